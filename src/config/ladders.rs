//! The rules of ladders, and the ladders that channels can name.

use std::collections::{BTreeMap, BTreeSet};

use crate::media::{Rung, VideoCodec};
use crate::placement::ladders::{NAMES, ladder, wide_width};

use super::keys::nearest;
use super::scalar::{Complaint, Scalar};
use super::sink::{Entry, Field, Sink};
use super::units::written_bitrate;
use super::values;
use super::written::{WrittenLadder, WrittenRung};

/// Most rungs of a ladder.
const MOST_RUNGS: usize = 8;

/// Names that stand beside the rungs in a channel's addresses.
const RESERVED_RUNGS: [&str; 4] = ["audio", "ts", "iframe", "subtitles"];

/// Names that `ladder = ...` gives another meaning.
const RESERVED_LADDERS: [&str; 2] = ["auto", "copy"];

/// Every ladder that a channel can name. `None` for one whose mistakes were reported: its users stay silent.
pub struct Ladders(BTreeMap<String, Option<Vec<Rung>>>);

impl Ladders {
    /// The built-in ladders and the written ones.
    pub fn of(written: &[WrittenLadder], sink: &mut Sink) -> Ladders {
        let built_in = NAMES.iter().map(|name| ((*name).to_owned(), ladder(name)));
        let mut all: BTreeMap<String, Option<Vec<Rung>>> = built_in.collect();
        for ladder in written {
            check_name(ladder, sink);
            let rungs = checked_rungs(ladder, sink);
            all.entry(ladder.name.value.clone()).or_insert(rungs);
        }
        Ladders(all)
    }

    /// The ladder of this name; outside `None` where there is no such ladder.
    pub fn named(&self, name: &str) -> Option<Option<Vec<Rung>>> {
        self.0.get(name).cloned()
    }

    /// What to say of a name that no ladder has.
    pub fn complaint(&self, name: &str) -> Complaint {
        let words = || RESERVED_LADDERS.into_iter().chain(self.0.keys().map(String::as_str));
        let rule = format!("must be one of {}", words().collect::<Vec<_>>().join(", "));
        match nearest(name, words()) {
            Some(meant) => Complaint::new(rule, format!("use \"{meant}\"")),
            None => Complaint::new(rule, "use one of them, or describe yours below [[ladder.NAME]]"),
        }
    }
}

fn check_name(ladder: &WrittenLadder, sink: &mut Sink) {
    let name = &ladder.name;
    if let Err(complaint) = values::name(&Scalar::Text(&name.value)) {
        sink.complain(&name.place, complaint);
    } else if NAMES.contains(&name.value.as_str()) || RESERVED_LADDERS.contains(&name.value.as_str()) {
        sink.add(&name.place, "is a name that headend has given already", format!("use another, for example \"my-{}\"", name.value));
    }
}

/// The rungs of a ladder if each of them and their order is right.
pub fn checked_rungs(ladder: &WrittenLadder, sink: &mut Sink) -> Option<Vec<Rung>> {
    let count = ladder.rungs.len();
    let explained = count == 0 && sink.speaks_of(&ladder.name.place.key);
    if !explained && !(1..=MOST_RUNGS).contains(&count) {
        sink.add(
            &ladder.name.place,
            format!("has {count} rungs, and must have 1 to {MOST_RUNGS}"),
            format!("add or remove [[{}]] tables", ladder.name.place.key),
        );
    }
    let rungs: Vec<Option<Rung>> = ladder.rungs.iter().map(|written| rung(written, sink)).collect();
    let unique = check_names(&ladder.rungs, &rungs, sink);
    let ordered = check_order(&ladder.rungs, sink);
    let whole: Option<Vec<Rung>> = rungs.into_iter().collect();
    whole.filter(|rungs| unique && ordered && (1..=MOST_RUNGS).contains(&rungs.len()))
}

fn rung(written: &WrittenRung, sink: &mut Sink) -> Option<Rung> {
    for (key, absent, example) in [
        ("height", matches!(written.height, Field::Absent), "height = 720"),
        ("bitrate", matches!(written.bitrate, Field::Absent), "bitrate = \"2.8M\""),
    ] {
        if absent {
            sink.add(&written.place.of(key), "is missing", format!("add for example {example}"));
        }
    }
    let spoilt = written.width.is_invalid() || written.name.is_invalid() || written.preset.is_invalid();
    let height = *written.height.value()?;
    let width = written.width.or(wide_width(height));
    let bare =
        written.bitrate.given().and_then(|entry| entry.place.shown.as_deref()).is_some_and(|shown| !shown.contains(char::is_alphabetic));
    let bitrate = written.bitrate.clone().checked(sink, |bitrate| sane(*bitrate, bare, width, height));
    let name = written.name.or(format!("{height}p"));
    let rung = Rung::new(&name, width, height, *bitrate.value()?, &written.preset.or("veryfast".into()));
    let codec = written.codec.or(VideoCodec::H264);
    let usual = if codec == VideoCodec::H264 { "high" } else { "main" };
    let rung = Rung { codec, tune: written.tune.or(String::new()), profile: written.profile.or(usual.into()), ..rung };
    let spoilt = spoilt || written.codec.is_invalid();
    (!spoilt && !written.tune.is_invalid() && !written.profile.is_invalid()).then_some(rung)
}

/// Catches a forgotten or doubled unit: from a blur to far more than an eye can tell from the source. `bare` numbers are
/// often meant as kbit/s.
fn sane(bitrate_bps: u32, bare: bool, width: u32, height: u32) -> Result<(), Complaint> {
    let pixels = width * height;
    // Two figures are enough to read.
    let rounded = |bits: u32| bits - bits % 10u32.pow(bits.max(1).ilog10().saturating_sub(1));
    let (least, most) = (rounded(pixels / 5).max(10_000), rounded(pixels.saturating_mul(50)).max(1_000_000));
    let rule = || format!("must be from {} to {} at {width}x{height}", written_bitrate(least), written_bitrate(most));
    match bitrate_bps {
        low if bare && low < least && (least..=most).contains(&low.saturating_mul(1000)) => {
            Err(Complaint::new(rule(), format!("write \"{}k\" if kbit/s are meant", low)))
        }
        low if low < least => Err(Complaint::new(rule(), format!("use at least \"{}\"", written_bitrate(least)))),
        high if high > most => Err(Complaint::new(rule(), format!("use at most \"{}\"", written_bitrate(most)))),
        _ => Ok(()),
    }
}

/// Whether names differ and none is taken by the addresses.
fn check_names(written: &[WrittenRung], rungs: &[Option<Rung>], sink: &mut Sink) -> bool {
    let mut seen = BTreeSet::new();
    let mut fine = true;
    for (written, rung) in written.iter().zip(rungs) {
        let Some(rung) = rung else { continue };
        let place = written.name.given().map_or_else(|| written.place.of("name"), |name| name.place.clone());
        if RESERVED_RUNGS.contains(&rung.name.as_str()) {
            sink.add(&place, "stands for something else in addresses", format!("use for example \"{}p\"", rung.height));
            fine = false;
        } else if !seen.insert(rung.name.clone()) {
            let remedy = format!("use for example name = \"{}p-low\"", rung.height);
            sink.add(&place, format!("must differ from the other rungs' names, and \"{}\" is there already", rung.name), remedy);
            fine = false;
        }
    }
    fine
}

/// Whether every rung is smaller than the one before it: players list and step through them in this order. Looks at
/// sizes and bitrates only, so that a mistake elsewhere in a rung does not hide one in the order.
fn check_order(written: &[WrittenRung], sink: &mut Sink) -> bool {
    let sized = written.iter().filter(|rung| !rung.width.is_invalid()).filter_map(|rung| Some((rung, rung.height.given()?)));
    let sized: Vec<(&WrittenRung, &Entry<u32>)> = sized.collect();
    let pixels = |rung: &WrittenRung, height: u32| rung.width.or(wide_width(height)) * height;
    let mut fine = true;
    for pair in sized.windows(2) {
        let [(larger, above), (smaller, below)] = *pair else { continue };
        let name = larger.name.or(format!("{}p", above.value));
        if pixels(smaller, below.value) > pixels(larger, above.value) {
            sink.add(&below.place, format!("must come before {name}: rungs are listed largest first"), "move this rung up");
            fine = false;
        } else if let (Some(most), Some(bitrate)) = (larger.bitrate.value(), smaller.bitrate.given())
            && bitrate.value >= *most
        {
            let rule = format!("must be less than the {} of {name} before it", written_bitrate(*most));
            sink.add(&bitrate.place, rule, "lower it, or change the order of the rungs");
            fine = false;
        }
    }
    fine
}
