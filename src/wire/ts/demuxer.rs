//! Packets to events: which packet identifiers are followed, and what becomes of their packets.

use bytes::Bytes;

use super::aligner::{Aligned, Aligner};
use super::counters::Counters;
use super::elementary::{Elementary, Made, Out};
use super::follow::{Pids, Role};
use super::lineup::{Lineup, StreamId};
use super::packet::{self, Following, NULL_PID, Packet, SIZE};
use super::pes::{clock, span};
use super::pmt::{Kind, Listed, Programme};
use super::stream::Stream;
use super::tables::{Change, Tables};
use super::{Description, Event, Options, ProgramEntry, StreamEntry};
use crate::base::Ticks;

/// Streams of a programme that become tracks.
const MOST_TRACKS: usize = 16;
/// Splice streams that are followed.
const MOST_SPLICES: usize = 8;
/// Packets without a programme to follow that are counted as one error: about a megabyte.
const PACKETS_WITHOUT_PROGRAM: u32 = 5000;
/// A step of the programme's clock that no multiplexer makes (clause 2.7.2 asks for one reference in 100 ms).
const CLOCK_STEP: Ticks = Ticks::from_millis(1000);
/// Packet identifiers of tables, which no programme's stream may have.
const FIRST_STREAM_PID: u16 = 0x10;

/// The state of one source's stream.
#[derive(Debug)]
pub struct Demuxer {
    aligner: Aligner,
    core: Core,
}

/// All behind the aligner.
#[derive(Debug)]
struct Core {
    tables: Tables,
    pids: Pids,
    programme: Option<Programme>,
    /// The tracks' streams, in the order of the tracks.
    streams: Vec<(Listed, StreamId, Stream)>,
    next_id: StreamId,
    lineup: Lineup,
    counters: Counters,
    pcr: Option<Ticks>,
    last_dts: Option<Ticks>,
    last_pid: u16,
    without_program: u32,
    made: Vec<Made>,
}

impl Demuxer {
    /// A demuxer at the start of a stream.
    pub fn new(options: Options) -> Demuxer {
        let core = Core {
            tables: Tables::new(options.program),
            pids: Pids::new(),
            programme: None,
            streams: Vec::new(),
            next_id: 0,
            lineup: Lineup::default(),
            counters: Counters::default(),
            pcr: None,
            last_dts: None,
            last_pid: NULL_PID,
            without_program: 0,
            made: Vec::new(),
        };
        Demuxer { aligner: Aligner::default(), core }
    }

    /// Takes the next bytes, cut anywhere, and appends what comes of them to `out`. Damage costs what it hits and is counted.
    pub fn receive(&mut self, bytes: &[u8], out: &mut Vec<Event>) {
        let Demuxer { aligner, core } = self;
        aligner.receive(bytes, &mut |aligned| core.on_aligned(aligned, out));
    }

    /// Nothing more comes: appends what is held.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        let Demuxer { aligner, core } = self;
        aligner.finish(&mut |aligned| core.on_aligned(aligned, out));
        for index in 0..core.streams.len() {
            core.drive(index, out, Stream::finish);
        }
        core.lineup.finish(out);
    }

    /// What went wrong since [`Demuxer::take_counters`] was last asked.
    pub fn counters(&self) -> &Counters {
        &self.core.counters
    }

    /// What went wrong since this was last asked; counting starts over.
    pub fn take_counters(&mut self) -> Counters {
        self.core.counters.take()
    }

    /// The programmes of the stream and the streams of the one that is followed, as known now. Worth reading whenever
    /// [`Event::Tracks`] came.
    pub fn description(&self) -> Description {
        let core = &self.core;
        let entry = |(number, pmt_pid, programme): (u16, u16, Option<&Programme>)| {
            let has_video = programme.map(|programme| programme.streams.iter().any(|stream| stream.kind.is_video()));
            ProgramEntry { number, pmt_pid, has_video }
        };
        let streams = core.programme.iter().flat_map(|programme| &programme.streams).map(|listed| StreamEntry {
            pid: listed.pid,
            stream_type: listed.stream_type,
            codec: listed.kind.name(),
            language: listed.language.clone(),
            track: core.streams.iter().find(|(own, ..)| own == listed).and_then(|(_, id, _)| core.lineup.index(*id)),
        });
        Description { program: core.tables.chosen(), programs: core.tables.programs().map(entry).collect(), streams: streams.collect() }
    }
}

impl Core {
    fn on_aligned(&mut self, aligned: Aligned<'_>, out: &mut Vec<Event>) {
        match aligned {
            Aligned::Packet(packet) => self.on_packet(packet, out),
            Aligned::Skipped(count) => self.counters.skipped_bytes += count as u64,
            Aligned::Lost => {
                self.counters.sync_loss += 1;
                // Bytes are missing or too many in the packet before, too.
                if let Some(followed) = self.pids.get_mut(self.last_pid) {
                    let role = followed.role;
                    followed.sections.gap();
                    self.gap(role);
                }
            }
        }
    }

    fn on_packet(&mut self, bytes: &[u8; SIZE], out: &mut Vec<Event>) {
        if packet::has_error(bytes) {
            self.counters.transport_error += 1;
            return;
        }
        if self.programme.is_none() {
            self.count_without_program();
        }
        let pid = packet::pid(bytes);
        self.last_pid = pid;
        let Some(followed) = self.pids.get_mut(pid) else { return };
        if packet::is_scrambled(bytes) {
            self.counters.scrambled += 1;
            return;
        }
        let Ok(packet) = Packet::parse(bytes) else {
            self.counters.adaptation += 1;
            return;
        };
        let following = packet.payload.map(|payload| (payload, followed.continuity.follow(&packet, payload)));
        let role = followed.role;
        if self.programme.as_ref().is_some_and(|programme| programme.pcr_pid == pid) {
            self.on_clock(&packet);
        }
        match following {
            None => {}
            Some((_, Following::Duplicate)) => self.counters.duplicate += 1,
            Some((payload, Following::Next)) => self.on_payload(role, pid, &packet, payload, out),
            Some((payload, Following::Gap)) => {
                self.counters.continuity += 1;
                if let Some(followed) = self.pids.get_mut(pid) {
                    followed.sections.gap();
                }
                self.gap(role);
                self.on_payload(role, pid, &packet, payload, out);
            }
        }
    }

    fn count_without_program(&mut self) {
        self.without_program += 1;
        if self.without_program >= PACKETS_WITHOUT_PROGRAM {
            self.without_program = 0;
            self.counters.no_program += 1;
        }
    }

    fn gap(&mut self, role: Role) {
        if let Role::Stream(index) = role
            && let Some((_, _, stream)) = self.streams.get_mut(usize::from(index))
        {
            stream.gap();
        }
    }

    fn on_clock(&mut self, packet: &Packet<'_>) {
        let Some(now) = packet.pcr.map(clock) else { return };
        let step = self.pcr.replace(now).map_or(Ticks::ZERO, |last| span(last, now));
        if packet.discontinuity {
            self.counters.discontinuity += 1;
        } else if step < Ticks::ZERO || step > CLOCK_STEP {
            self.counters.clock_jump += 1;
        }
    }

    fn on_payload(&mut self, role: Role, pid: u16, packet: &Packet<'_>, payload: &[u8], out: &mut Vec<Event>) {
        match role {
            Role::Clock => {}
            Role::Stream(index) => self.drive(index.into(), out, |stream, sink| stream.receive(packet, payload, sink)),
            Role::Pat | Role::Pmt | Role::Splice => self.on_sections(role, pid, payload, packet.start, out),
        }
    }

    /// Lets a stream work and passes on what it makes.
    fn drive(&mut self, index: usize, out: &mut Vec<Event>, work: impl FnOnce(&mut Stream, &mut Out<'_>)) {
        let Some((_, id, stream)) = self.streams.get_mut(index) else { return };
        work(stream, &mut Out { made: &mut self.made, counters: &mut self.counters });
        for made in self.made.drain(..) {
            if let Made::Unit(unit) = &made {
                self.last_dts = Some(unit.dts);
            }
            self.lineup.receive(*id, made, out);
        }
    }

    fn on_sections(&mut self, role: Role, pid: u16, payload: &[u8], start: bool, out: &mut Vec<Event>) {
        let Some(followed) = self.pids.get_mut(pid) else { return };
        let (mut changes, time) = (Vec::new(), self.pcr.or(self.last_dts));
        let (tables, mut damage) = (&mut self.tables, Counters::default());
        followed.sections.receive(payload, start, &mut self.counters, &mut |section| match role {
            Role::Pat => changes.push(tables.on_pat(section, &mut damage)),
            Role::Pmt => changes.push(tables.on_pmt(pid, section, &mut damage)),
            _ => out.push(Event::Section { pid, time, bytes: Bytes::copy_from_slice(section) }),
        });
        self.counters.section += damage.section;
        self.counters.oversize += damage.oversize;
        for change in changes {
            match change {
                Change::None => {}
                Change::Programs => self.follow_all(),
                Change::Chosen(programme) => self.take_programme(programme, out),
            }
        }
    }

    /// The followed programme is this from here on. Streams that are in both keep what they hold.
    fn take_programme(&mut self, programme: Programme, out: &mut Vec<Event>) {
        let mut known = std::mem::take(&mut self.streams);
        let mut told_at_once = Vec::new();
        for listed in tracks_of(&programme) {
            let same = known.iter().position(|(own, ..)| (own.pid, &own.kind) == (listed.pid, &listed.kind));
            if let Some((_, id, stream)) = same.map(|index| known.swap_remove(index)) {
                self.streams.push((listed, id, stream));
                continue;
            }
            self.next_id = self.next_id.wrapping_add(1);
            let sink = &mut Out { made: &mut self.made, counters: &mut self.counters };
            let Some(reader) = Elementary::new(&listed.kind, sink) else { continue };
            told_at_once.extend(self.made.drain(..).map(|made| (self.next_id, made)));
            self.streams.push((listed, self.next_id, Stream::new(reader)));
        }
        for (_, id, mut stream) in known {
            stream.finish(&mut Out { made: &mut self.made, counters: &mut self.counters });
            self.made.drain(..).for_each(|made| self.lineup.receive(id, made, out));
        }
        let ids: Vec<StreamId> = self.streams.iter().map(|(_, id, _)| *id).collect();
        self.lineup.follow(&ids, out);
        told_at_once.into_iter().for_each(|(id, made)| self.lineup.receive(id, made, out));
        self.programme = Some(programme);
        self.follow_all();
    }

    /// Says anew which packet identifiers are followed.
    fn follow_all(&mut self) {
        if self.programme.as_ref().is_some_and(|programme| self.tables.chosen() != Some(programme.number)) {
            self.programme = None;
            self.streams.clear();
        }
        let mut wanted = vec![(0, Role::Pat)];
        wanted.extend(self.tables.programs().map(|(_, pid, _)| (pid, Role::Pmt)));
        let streams = self.streams.iter().enumerate().map(|(index, (listed, ..))| (listed.pid, Role::Stream(index as u8)));
        wanted.extend(streams);
        if let Some(programme) = &self.programme {
            let splices = programme.streams.iter().filter(|listed| listed.kind == Kind::Splice).take(MOST_SPLICES);
            wanted.extend(splices.map(|listed| (listed.pid, Role::Splice)));
            wanted.push((programme.pcr_pid, Role::Clock));
        }
        wanted.retain(|&(pid, role)| pid != NULL_PID && (pid >= FIRST_STREAM_PID || role == Role::Pat));
        self.pids.follow(&wanted);
    }
}

/// The streams of a programme that become tracks: the first video, then sound in the order of the PMT.
fn tracks_of(programme: &Programme) -> Vec<Listed> {
    let mut tracks: Vec<Listed> = Vec::new();
    let video = programme.streams.iter().find(|listed| listed.kind.is_video());
    for listed in video.into_iter().chain(programme.streams.iter().filter(|listed| listed.kind.is_audio())) {
        if tracks.len() < MOST_TRACKS && !tracks.iter().any(|known| known.pid == listed.pid) {
            tracks.push(listed.clone());
        }
    }
    tracks
}
