//! The tests' own readers and publisher, held to output that is not headend's: a reader that sees nothing proves nothing.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::appliance::free_address;
use support::process::Process;
use support::rtmp_client::Client;
use support::wait::{self, seconds};
use support::watch::Watch;
use support::{flv, hls, media, mp4, tools};

const PLAYLIST: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:10\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n\
    #EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2026-01-31T23:59:58.000Z\n#EXTINF:2.000,\n10.m4s\n\
    #EXTINF:2.000,\n11.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-02-01T00:00:02.000Z\n#EXTINF:2.000,\n12.m4s\n#EXTINF:1.500,\n13.m4s\n";

#[test]
fn a_good_playlist_is_read_as_it_is_written() {
    let playlist = hls::media(PLAYLIST).expect("it is valid");
    assert_eq!((playlist.sequence, playlist.discontinuity_sequence, playlist.target_s, playlist.version), (10, 1, 2, 7));
    let numbers: Vec<(u64, bool)> = playlist.segments.iter().map(|segment| (segment.number, segment.discontinuity)).collect();
    assert_eq!(numbers, [(10, false), (11, false), (12, true), (13, false)]);
    assert_eq!(playlist.segments[3].date_us, hls::date_us("2026-02-01T01:00:04.000+01:00").ok());
    assert_eq!(hls::date_us("1970-01-01T00:00:00.001Z"), Ok(1000));
    assert_eq!(hls::date_us("2024-02-29T12:00:00Z"), Ok(1_709_208_000_000_000));
}

#[test]
fn a_playlist_that_breaks_a_rule_is_not_taken() {
    for (from, to) in [
        ("#EXTINF:1.500", "#EXTINF:2.600"),
        ("-VERSION:7", "-VERSION:5"),
        ("#EXT-X-MAP:URI=\"init.mp4\"\n", ""),
        ("#EXTM3U\n", ""),
        ("#EXT-X-TARGETDURATION:2\n", ""),
        ("#EXTINF:2.000,\n11", "#EXT-X-PROGRAM-DATE-TIME:2026-02-01T00:00:00.100Z\n#EXTINF:2.000,\n11"),
        ("#EXTINF:2.000,\n11", "11"),
        ("URI=\"init.mp4\"", "URI=\"init.mp4"),
    ] {
        let broken = PLAYLIST.replacen(from, to, 1);
        assert_ne!(broken, PLAYLIST, "{from} occurs");
        assert!(hls::media(&broken).is_err(), "taken:\n{broken}");
    }
}

#[test]
fn a_reload_that_breaks_a_rule_is_not_taken() {
    let before = hls::media(PLAYLIST).expect("it is valid");
    let slid = PLAYLIST.replacen("SEQUENCE:10", "SEQUENCE:11", 1).replacen("#EXTINF:2.000,\n10.m4s\n", "", 1).replacen(
        "2026-01-31T23:59:58",
        "2026-02-01T00:00:00",
        1,
    ) + "#EXTINF:2,\n14.m4s\n";
    let good = hls::media(&slid).expect("it is valid");
    assert_eq!(hls::check_reload(&before, &good), Ok(()));
    let broken = |from: &str, to: &str| {
        let text = slid.replacen(from, to, 1);
        assert_ne!(text, slid, "{from} occurs");
        hls::check_reload(&before, &hls::media(&text).expect("valid by itself"))
    };
    assert!(broken("DURATION:2", "DURATION:3").is_err(), "another target");
    assert!(broken("SEQUENCE:11", "SEQUENCE:9").is_err(), "a sequence that goes back");
    assert!(broken("SEQUENCE:11", "SEQUENCE:20").is_err(), "segments that were never listed");
    assert!(broken("DISCONTINUITY-SEQUENCE:1", "DISCONTINUITY-SEQUENCE:2").is_err(), "a discontinuity too many");
    assert!(broken("12.m4s", "x.m4s").is_err(), "another name");
    assert!(broken("02-01T00:00:00.000", "02-01T00:00:00.900").is_err(), "another date");
    assert!(broken("#EXT-X-DISCONTINUITY\n", "").is_err(), "a discontinuity that vanished");
    assert!(broken("#EXTINF:1.500,\n13.m4s\n#EXTINF:2,\n14.m4s\n", "").is_err(), "an end that was taken back");
}

#[test]
fn attributes_are_read_with_their_quotes() {
    let read = hls::attributes("A=1,CODECS=\"avc1.64001f,mp4a.40.2\",B-C=1x2").expect("valid");
    assert_eq!(read["CODECS"], "avc1.64001f,mp4a.40.2");
    assert_eq!(read["B-C"], "1x2");
    for broken in ["A", "A=1,", "a=1", "A=\"x", "A=\"x\"y", "A=1,A=2"] {
        assert!(hls::attributes(broken).is_err(), "{broken}");
    }
}

#[test]
fn a_live_presentation_of_ffmpeg_is_watched_and_its_faults_are_seen() {
    if !tools::has(&["ffmpeg", "python3"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let _ffmpeg = live(folder.path());
    let (server, _http) = served(folder.path());
    wait::until("three segments", seconds(20), || folder.path().join("360p/00002.m4s").exists());
    let mut watch = Watch::master(server, "/master.m3u8");
    watch.for_a_while(seconds(6));
    watch.assert_clean();
    assert!(watch.count() >= 3, "{}", watch.count());
    for seen in watch.segments("360p") {
        assert!((seen.length_s - 2.0).abs() < 0.001, "{seen:?}");
    }

    // the same segment with other times in the second rung: the rungs no longer stand for one span
    let newest = watch.newest().expect("segments");
    wait::until("a newer segment", seconds(10), || folder.path().join(format!("180p/{:05}.m4s", newest + 1)).exists());
    let mut unaware = Watch::master(server, "/master.m3u8");
    for number in 0..=newest + 1 {
        let file = folder.path().join(format!("180p/{number:05}.m4s"));
        let Ok(mut data) = fs::read(&file) else { continue };
        let at = data.windows(4).position(|four| four == b"tfdt").expect("a tfdt") + 4 + 4 + 6;
        data[at] ^= 0x10;
        fs::write(&file, data).expect("writable");
    }
    unaware.poll();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| unaware.assert_clean()));
    assert!(outcome.is_err(), "moved times went unseen");
}

#[test]
fn fragments_of_ffmpeg_add_up() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fragmented.mp4");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(media::PLAIN.mp4())
        .args(["-map", "0:v", "-c", "copy", "-t", "10", "-movflags", "+frag_keyframe+empty_moov+default_base_moof"])
        .arg(&file)
        .status();
    assert!(made.is_ok_and(|status| status.success()));
    let data = fs::read(&file).expect("the file");
    let init = mp4::init(&data).expect("an initialisation segment");
    assert_eq!((init.entry.as_str(), init.width, init.height), ("avc1", 640, 360));
    let start = data.windows(4).position(|four| four == b"moof").expect("a fragment") - 4;
    let end = data.windows(4).position(|four| four == b"mfra").map_or(data.len(), |at| at - 4);
    let fragments = mp4::fragments(&init, &data[start..end]).expect("fragments");
    assert_eq!(fragments.len(), 5, "a keyframe every two seconds");
    assert_eq!(fragments.iter().map(|fragment| fragment.samples.len()).sum::<usize>(), 250);
    for pair in fragments.windows(2) {
        assert_eq!(pair[0].decode_time + pair[0].duration(), pair[1].decode_time);
        assert!(pair[1].samples[0].sync && !pair[1].samples[1].sync);
    }
    assert!(mp4::fragments(&init, &data[start..end - 1]).is_err(), "a segment that is cut off");
}

#[test]
fn the_scripted_publisher_speaks_rtmp_that_ffmpeg_understands() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let address = free_address();
    let received = folder.path().join("received.flv");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "info", "-nostdin", "-listen", "1", "-i", &format!("rtmp://{address}/live/demo"), "-c", "copy"]).arg(&received);
    let mut server = Process::start(&mut command, &folder.path().join("server.log"));
    wait::until("ffmpeg listens", seconds(5), || listens(address.port()));
    let sent = flv::tags(&media::PLAIN.flv());
    let mut client = Client::publishing(address, "demo");
    client.announce_chunk_size(4096);
    assert!(client.tags_in_real_time(&sent[..300], Some(2)));
    drop(client);
    server.wait(seconds(10)).expect("ffmpeg ends with its publisher");
    let pictures = |tags: &[flv::Tag]| -> Vec<Vec<u8>> {
        tags.iter().filter(|tag| tag.kind == 9 && tag.body[1] == 1).map(|tag| tag.body.clone()).collect()
    };
    let (arrived, expected) = (pictures(&flv::tags(&received)), pictures(&sent[..300]));
    assert!(
        arrived.len() > 20 && expected.starts_with(&arrived),
        "{} of {} pictures, server: {}",
        arrived.len(),
        expected.len(),
        server.log()
    );
}

/// ffmpeg writes two rungs of a live presentation; the multivariant playlist, which it writes too thinly, is written here.
fn live(folder: &Path) -> Process {
    let mut command = Command::new("ffmpeg");
    command.current_dir(folder).args(["-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25"]);
    for (name, height) in [("360p", "360"), ("180p", "180")] {
        fs::create_dir(folder.join(name)).expect("a folder");
        command.args([
            "-map",
            "0:v",
            "-vf",
            &format!("scale=-2:{height}"),
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-g",
            "50",
            "-bf",
            "0",
        ]);
        command.args([
            "-f",
            "hls",
            "-hls_time",
            "2",
            "-hls_list_size",
            "6",
            "-hls_segment_type",
            "fmp4",
            "-hls_fmp4_init_filename",
            "init.mp4",
        ]);
        command.args([
            "-hls_flags",
            "independent_segments",
            "-hls_segment_filename",
            &format!("{name}/%05d.m4s"),
            &format!("{name}/playlist.m3u8"),
        ]);
    }
    let variant = |name: &str, size: &str| {
        format!(
            "#EXT-X-STREAM-INF:BANDWIDTH=2000000,AVERAGE-BANDWIDTH=1000000,CODECS=\"avc1.42c01e\",RESOLUTION={size},FRAME-RATE=25.000\n{name}/playlist.m3u8\n"
        )
    };
    let master = format!("#EXTM3U\n#EXT-X-VERSION:7\n{}{}", variant("360p", "640x360"), variant("180p", "320x180"));
    fs::write(folder.join("master.m3u8"), master).expect("a file");
    Process::start(&mut command, &folder.join("ffmpeg.log"))
}

fn served(folder: &Path) -> (std::net::SocketAddr, Process) {
    let address = free_address();
    let mut command = Command::new("python3");
    command.args(["-m", "http.server", &address.port().to_string(), "--bind", "127.0.0.1", "--directory"]).arg(folder);
    let server = Process::start(&mut command, &folder.join("http.log"));
    wait::until("the web server listens", seconds(10), || listens(address.port()));
    (address, server)
}

/// Whether something listens on a port of loopback, without connecting to it: ffmpeg takes one connection only.
fn listens(port: u16) -> bool {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    table.lines().any(|line| line.contains(&format!("0100007F:{port:04X} 00000000:0000 0A")))
}
