//! What `serve` prints first: where to watch and where to publish, as lines to paste.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::channel::plan::{ChannelPlan, FeedPlan, FeedSource, Idle, SrtSecurity, StreamKey};
use crate::config::{Plan, RTMP_PORT};

/// The text for a plan. Holds no key but those that are no secret or that were made just now, and no passphrase.
pub fn banner(plan: &Plan) -> String {
    let http = reachable(plan.http);
    let mut text = format!("\nheadend {}\n\n  watch      http://{http}/\n", env!("CARGO_PKG_VERSION"));
    if let Some(https) = plan.https.map(reachable) {
        // Certificates are for names, which this machine does not know of itself.
        let _ = writeln!(text, "  watch      https://{https}/ (by a name of its certificate)");
    }
    for channel in &plan.channels {
        let name = &channel.name;
        let idle = match (channel.idle, channel.feeds.iter().any(|feed| feed.key().is_some())) {
            (Idle::Pattern, true) => "the test pattern is on the air until you publish",
            (Idle::Pattern, false) => "the test pattern is on the air until a feed comes",
            (Idle::Wait, true) => "waits for a publisher",
            (Idle::Wait, false) => "waits for its feeds",
        };
        let _ = write!(text, "\n  channel {name}: {idle}\n");
        channel.feeds.iter().for_each(|feed| write_feed(&mut text, plan, channel, feed));
        let _ = write!(text, "    HLS      http://{http}/live/{name}/master.m3u8\n    DASH     http://{http}/live/{name}/manifest.mpd\n");
    }
    for name in &plan.generated_keys {
        let _ = write!(
            text,
            "\n  The stream key of {name} was generated and is kept in {}; treat it like a password.\n",
            plan.state_dir.display()
        );
    }
    text.push('\n');
    text
}

/// How to deliver a feed, or where it is fetched.
fn write_feed(text: &mut String, plan: &Plan, channel: &ChannelPlan, feed: &FeedPlan) {
    if channel.feeds.len() > 1 {
        let _ = writeln!(text, "    feed {}", feed.name);
    }
    let key = match &feed.source {
        FeedSource::Publish(key) => shown_key(plan, channel, key),
        FeedSource::Pull(address) => {
            let _ = writeln!(text, "    pulled   {address}");
            return;
        }
    };
    if let Some(rtmp) = plan.rtmp.map(reachable) {
        let server = if rtmp.port() == RTMP_PORT { format!("rtmp://{}/live", host(rtmp.ip())) } else { format!("rtmp://{rtmp}/live") };
        let _ = write!(
            text,
            "    OBS      Settings > Stream > Custom: Server {server}  Stream Key {key}\n    ffmpeg   ffmpeg -re -i FILE -c copy -f flv {server}/{key}\n",
        );
    }
    if let Some(rtmps) = plan.rtmps.map(reachable) {
        let _ = writeln!(text, "    OBS      or, through TLS: Server rtmps://{rtmps}/live  Stream Key {key}");
    }
    if let Some(srt) = plan.srt.map(reachable) {
        let address = format!("srt://{srt}?streamid={key}{}", channel.srt.as_ref().map(options).unwrap_or_default());
        let _ = write!(
            text,
            "    OBS      or, by SRT: Server {address}  no Stream Key\n    ffmpeg   ffmpeg -re -i FILE -c copy -f mpegts '{address}'\n"
        );
    }
}

/// The key of a feed where it may be shown. A configured key is a secret, and this text may end up in a journal.
fn shown_key<'a>(plan: &Plan, channel: &ChannelPlan, key: &'a StreamKey) -> &'a str {
    let is_generated = plan.generated_keys.contains(&channel.name) && *key == channel.stream_key;
    if is_generated || key.matches(&channel.name) { key.reveal() } else { "STREAM_KEY" }
}

/// What a caller adds who has to encrypt.
fn options(security: &SrtSecurity) -> String {
    format!("&passphrase=PASSPHRASE&pbkeylen={}", security.key_bytes)
}

/// The address that another machine can use where a listener takes all of them.
fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    SocketAddr::new(outward_address().unwrap_or_else(|| address.ip()), address.port())
}

/// The source address that the routing table gives for the outside; nothing is sent.
fn outward_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, embedded_default, parse};

    fn text(file: &str, overrides: Overrides) -> String {
        banner(&parse("a.toml", file, &overrides).unwrap_or_else(|report| panic!("{report}")))
    }

    #[test]
    fn a_newcomer_can_paste_how_to_publish_by_rtmp_and_srt() {
        let text = text(embedded_default(), Overrides::default());
        assert!(text.contains("ffmpeg -re -i FILE -c copy -f flv rtmp://127.0.0.1/live/demo\n"), "{text}");
        assert!(text.contains("Server srt://127.0.0.1:9000?streamid=demo  no Stream Key\n"), "{text}");
        assert!(text.contains("ffmpeg -re -i FILE -c copy -f mpegts 'srt://127.0.0.1:9000?streamid=demo'\n"), "{text}");
        assert!(text.contains("http://127.0.0.1:8080/live/demo/master.m3u8"), "{text}");
    }

    #[test]
    fn what_is_closed_is_not_offered_and_watching_goes_on() {
        let off = Overrides { rtmp: Some("off".into()), srt: Some("off".into()), ..Overrides::default() };
        let text = text(embedded_default(), off);
        assert!(!text.contains("rtmp://") && !text.contains("srt://") && text.contains("/live/demo/manifest.mpd"), "{text}");
    }

    #[test]
    fn secrets_stay_out_of_the_journal() {
        let file = "[[channel]]\nname = \"news\"\nsrt.passphrase = \"hunter2-hunter2\"\nsrt.key_length = 32\n\
                    [[channel.feeds]]\nstream_key = \"hunter2\"\n[[channel.feeds]]\nsource = \"srt://192.0.2.7:9000\"\npassphrase = \"hunter2-hunter2\"\n";
        let text = text(file, Overrides::default());
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("?streamid=STREAM_KEY&passphrase=PASSPHRASE&pbkeylen=32"), "{text}");
        assert!(text.contains("    feed backup\n    pulled   srt://192.0.2.7:9000\n"), "{text}");
    }

    #[test]
    fn a_made_key_is_shown_once_it_is_made() {
        let network = Overrides { srt: Some("0.0.0.0".into()), generate_keys: true, ..Overrides::default() };
        let text = text(embedded_default(), network);
        assert!(!text.contains("streamid=demo") && !text.contains("STREAM_KEY") && text.contains("was generated"), "{text}");
    }
}
