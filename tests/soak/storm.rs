//! A storm: what racks suffer, in an order that a seed decides, so that one that found something can be had again.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::held::Held;
use super::support::appliance::Appliance;
use super::support::configs::{Channel, channel, config};
use super::support::publisher::Publisher;
use super::support::wait::{Stopwatch, seconds};
use super::support::watch::Watch;
use super::support::{media, process};

/// What may happen, and how often beside the others.
const ACTS: [(Act, u32); 13] = [
    (Act::Publish, 8),
    (Act::Leave, 3),
    (Act::Vanish, 3),
    (Act::Stall, 3),
    (Act::KillWorker, 4),
    (Act::FreezeWorker, 1),
    (Act::KillGateway, 1),
    (Act::Garbage, 3),
    (Act::WrongKey, 2),
    (Act::Reload, 3),
    (Act::WrongReload, 2),
    (Act::Guest, 2),
    (Act::Crowd, 3),
];
/// After so many of them everybody goes home, and what is held is counted.
const BETWEEN_RESTS: u32 = 12;
/// What the front may hold more at one rest than at another: windows are full of other pictures.
const GROWTH_KIB: u64 = 16 << 10;
const DESCRIPTOR_NOISE: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Somebody publishes, some clip.
    Publish,
    /// The publisher stops as it should.
    Leave,
    /// The publisher is gone without a word.
    Vanish,
    /// The publisher sends nothing for a while.
    Stall,
    /// The channel's worker is killed.
    KillWorker,
    /// The channel's worker hangs.
    FreezeWorker,
    /// The SRT gateway is killed.
    KillGateway,
    /// Somebody sends nonsense to the RTMP and HTTP ports.
    Garbage,
    /// Somebody publishes with a key that is none.
    WrongKey,
    /// The configuration is read again, changed.
    Reload,
    /// The configuration is read again, wrong.
    WrongReload,
    /// A channel is made over the API, or removed.
    Guest,
    /// Viewers that read slowly come all at once, and go.
    Crowd,
}

/// A storm over one appliance.
pub struct Storm<'a> {
    appliance: &'a Appliance,
    pub watch: Watch,
    random: StdRng,
    clock: Stopwatch,
    publisher: Option<Publisher>,
    has_guest: bool,
    window_s: u64,
    /// Workers that were killed, or frozen.
    pub lost_workers: u32,
    rests: Vec<Held>,
}

/// The channel that suffers, and its neighbour, with a window of so many seconds.
pub fn storm_config(window_s: u64) -> String {
    let demo = |channel: Channel| channel.pattern().text("window", &format!("{window_s}s"));
    config(&[demo(channel("demo")), channel("neighbour").copy().without("gop")])
}

impl<'a> Storm<'a> {
    pub fn over(appliance: &'a Appliance, seed: u64) -> Storm<'a> {
        let mut watch = Watch::cmaf(appliance, "demo");
        // A worker that hangs is waited for before it is replaced.
        watch.allow_late(seconds(9));
        Storm {
            appliance,
            watch,
            random: StdRng::seed_from_u64(seed),
            clock: Stopwatch::start(),
            publisher: None,
            has_guest: false,
            window_s: 12,
            lost_workers: 0,
            rests: Vec::new(),
        }
    }

    /// Storms for so long, with rests in between.
    pub fn rage(&mut self, length: Duration) {
        let start = Stopwatch::start();
        self.rest();
        // Three rests at least: what the first holds is not what is full yet, and the last two are compared.
        while !start.is_past(length) || self.rests.len() < 3 {
            for _ in 0..BETWEEN_RESTS {
                let act = ACTS.choose_weighted(&mut self.random, |(_, weight)| *weight).expect("acts").0;
                println!("{:7.1} s {act:?}", self.clock.seconds());
                self.act(act);
                let pause = self.random.random_range(300..3_000);
                self.watch.for_a_while(Duration::from_millis(pause));
                if start.is_past(length) && self.rests.len() >= 2 {
                    break;
                }
            }
            self.rest();
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Publish => self.publish(),
            Act::Leave => drop(self.publisher.take().map(Publisher::stop)),
            Act::Vanish => self.signal_publisher("KILL"),
            Act::Stall => {
                self.signal_publisher("STOP");
                let stall = self.random.random_range(500..6_000);
                self.watch.for_a_while(Duration::from_millis(stall));
                self.signal_publisher("CONT");
            }
            Act::KillWorker => self.signal_worker("KILL"),
            Act::FreezeWorker => self.signal_worker("STOP"),
            Act::KillGateway => {
                process::children(self.appliance.front_id(), "headend-srt").iter().for_each(|id| process::signal(*id, "KILL"))
            }
            Act::Garbage => [self.appliance.rtmp, self.appliance.http].iter().for_each(|address| self.garbage(*address)),
            Act::WrongKey => {
                let url = self.appliance.publish_url("no-such-key");
                let _ = Publisher::start(&media::PLAIN.flv(), &url).wait(seconds(10));
            }
            Act::Reload => self.reload(),
            Act::WrongReload => self.reload_wrong(),
            Act::Guest => self.guest(),
            Act::Crowd => self.crowd(),
        }
    }

    fn publish(&mut self) {
        if self.publisher.as_mut().is_some_and(|publisher| publisher.wait(Duration::ZERO).is_none()) {
            return;
        }
        let clips = [media::PLAIN, media::B_FRAMES, media::FILM, media::PORTRAIT, media::VIDEO_ONLY];
        let clip = clips.choose(&mut self.random).expect("clips").flv();
        self.publisher = Some(Publisher::start(&clip, &self.appliance.publish_url("demo")));
    }

    fn signal_publisher(&mut self, signal: &str) {
        if let Some(publisher) = &mut self.publisher
            && publisher.wait(Duration::ZERO).is_none()
        {
            publisher.signal(signal);
        }
    }

    /// Workers without a channel are few percent of the busiest one's work.
    fn signal_worker(&mut self, signal: &str) {
        let newest = self.watch.newest();
        process::signal(self.appliance.busiest_worker(), signal);
        self.lost_workers += 1;
        self.watch.until("a segment after the worker was lost", seconds(20), |watch| watch.newest() > newest);
    }

    fn garbage(&mut self, address: SocketAddr) {
        for _ in 0..5 {
            let Ok(mut stream) = TcpStream::connect(address) else { continue };
            let _ = stream.set_write_timeout(Some(seconds(1)));
            let length = self.random.random_range(1..20_000);
            let mut bytes = vec![0u8; length];
            self.random.fill(&mut bytes[..]);
            if self.random.random_bool(0.5) {
                // As RTMP begins.
                bytes[0] = 3;
            }
            let _ = stream.write_all(&bytes);
        }
    }

    fn reload(&mut self) {
        self.window_s = self.random.random_range(10..20);
        self.appliance.rewrite(&storm_config(self.window_s));
        let (succeeded, text) = self.appliance.reload(&[]);
        assert!(succeeded, "{text}");
    }

    fn reload_wrong(&mut self) {
        self.appliance.rewrite(&storm_config(self.window_s).replace("\"2s\"", "\"nine\""));
        let (succeeded, text) = self.appliance.reload(&[]);
        assert!(!succeeded && text.contains("segment"), "{text}");
        self.appliance.rewrite(&storm_config(self.window_s));
    }

    fn guest(&mut self) {
        let answer = match self.has_guest {
            true => self.appliance.ask("DELETE", "/api/v1/channels/guest", ""),
            false => self.appliance.ask("POST", "/api/v1/channels", r#"{"name": "guest", "ladder": "copy"}"#),
        };
        assert!([200, 201].contains(&answer.status), "{} {}", answer.status, answer.text());
        self.has_guest = !self.has_guest;
    }

    /// Each asks for the multivariant playlist, then for something large, reads a little and stays.
    fn crowd(&mut self) {
        let playlist = self.watch.paths().into_iter().next().unwrap_or_default();
        let viewers: Vec<TcpStream> = (0..60)
            .filter_map(|_| {
                let mut viewer = TcpStream::connect(self.appliance.http).ok()?;
                let _ = viewer.set_read_timeout(Some(Duration::from_millis(200)));
                write!(viewer, "GET {playlist} HTTP/1.1\r\nHost: headend\r\n\r\n").ok()?;
                let _ = viewer.read(&mut [0; 16]);
                Some(viewer)
            })
            .collect();
        self.watch.for_a_while(seconds(1));
        drop(viewers);
    }

    /// Everybody goes home; what is held then is what an hour later is held too.
    fn rest(&mut self) {
        if let Some(mut publisher) = self.publisher.take() {
            if publisher.wait(Duration::ZERO).is_none() {
                publisher.signal("CONT");
            }
            publisher.stop();
        }
        if self.has_guest {
            self.guest();
        }
        let appliance = self.appliance;
        self.watch.until("the pattern is back", seconds(15), |_| appliance.channel_state("demo") != "live");
        // The window is full of the pattern, and the gateway is back.
        self.watch.for_a_while(seconds(self.window_s + 3));
        let held = Held::by(appliance);
        println!("{:7.1} s rest: {held:?}", self.clock.seconds());
        self.rests.push(held);
    }

    /// Nothing has grown since the second rest, nothing is missing, nothing has panicked.
    pub fn assert_unharmed(&self) {
        self.watch.assert_clean();
        let log = self.appliance.log();
        assert!(self.appliance.is_alive() && !log.contains("panicked"), "{log}");
        assert_eq!(self.appliance.get("/readyz").status, 200);
        let restarts = self.appliance.metric("headend_worker_restarts_total", &["demo"]);
        assert!(restarts <= f64::from(self.lost_workers), "{restarts} workers replaced, {} lost", self.lost_workers);
        let [_, first, .., last] = self.rests.as_slice() else { panic!("{} rests", self.rests.len()) };
        let is_bounded = last.front_kib <= first.front_kib + GROWTH_KIB
            && last.workers_kib <= first.workers_kib + GROWTH_KIB
            && last.processes == first.processes
            && last.front_descriptors <= first.front_descriptors + DESCRIPTOR_NOISE
            && last.worker_descriptors <= first.worker_descriptors + DESCRIPTOR_NOISE;
        assert!(is_bounded, "{first:?} once, {last:?} at the end");
    }
}
