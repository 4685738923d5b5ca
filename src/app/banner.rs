//! What `serve` prints first: where to watch and where to publish, as lines to paste.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::channel::plan::Idle;
use crate::config::Plan;

/// The text for a plan.
pub fn banner(plan: &Plan) -> String {
    let http = reachable(plan.http);
    let mut text = format!("\nheadend {}\n\n  watch      http://{http}/\n", env!("CARGO_PKG_VERSION"));
    if let Some(rtmp) = plan.rtmp.map(reachable) {
        let server = if rtmp.port() == 1935 { format!("rtmp://{}/live", host(rtmp.ip())) } else { format!("rtmp://{rtmp}/live") };
        for channel in &plan.channels {
            let is_generated = plan.generated_keys.contains(&channel.name);
            let is_default = channel.stream_key.matches(&channel.name);
            // A configured key is a secret, and this text may end up in a journal.
            let key = if is_generated || is_default { channel.stream_key.reveal() } else { "STREAM_KEY" };
            let idle =
                if channel.idle == Idle::Pattern { "the test pattern is on the air until you publish" } else { "waits for a publisher" };
            let _ = write!(
                text,
                "\n  channel {name}: {idle}\n    OBS      Settings > Stream > Custom: Server {server}  Stream Key {key}\n    ffmpeg   ffmpeg -re -i FILE -c copy -f flv {server}/{key}\n    HLS      http://{http}/live/{name}/master.m3u8\n    DASH     http://{http}/live/{name}/manifest.mpd\n",
                name = channel.name,
            );
        }
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
