//! Who sits where on a machine, as a table and as JSON: what `headend plan` prints and the API serves.

use std::fmt::Write as _;

use serde::Serialize;

use super::devices::{Need, Refusal, Ticket, gpu_name, lendable_bytes};
use super::machine::Machine;
use super::pool::Amount;
use super::short::Short;
use crate::media::device::Seat;

/// What a seat in software is called.
const SOFTWARE: &str = "software";
/// What the place of a channel without a worker is called.
const COPY: &str = "copy";

/// What became of a channel's wish for a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = SeatVerdict)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It has all that it takes.
    Admitted,
    /// It has a seat, and more is in use of the cores or the memory than channels should have.
    Over,
    /// It has none.
    Refused,
    /// It has not asked: nobody has published to it.
    Idle,
}

impl Verdict {
    fn label(self) -> &'static str {
        match self {
            Verdict::Admitted => "admitted",
            Verdict::Over => "over",
            Verdict::Refused => "REFUSED",
            Verdict::Idle => "idle",
        }
    }
}

/// What is kept free in software for the loss of a channel's device.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct FallbackSeat {
    /// Cores that it would take.
    pub cores: f64,
    /// Memory that it would take, in bytes.
    pub memory_bytes: u64,
    /// The slowest preset that it would use, where that is not the ladder's.
    pub preset: Option<&'static str>,
}

/// One channel.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = PlanRow)]
pub struct Row {
    /// Its name.
    pub channel: String,
    /// `main` or `best-effort`.
    pub priority: &'static str,
    /// What it wants of devices: `prefer`, `require` or `software`.
    pub device: &'static str,
    /// `software`, the UUID of a GPU, `copy` where it needs none; none without a seat.
    pub seat: Option<String>,
    /// Cores that it takes, as estimated; of a refused one those that it would take in software.
    pub cores: f64,
    /// Memory that it takes in bytes, as estimated, with what is kept for viewers.
    pub memory_bytes: u64,
    /// Encode sessions on its device.
    pub sessions: u32,
    /// What is kept for the loss of its device.
    pub fallback: Option<FallbackSeat>,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, in words; empty where there is nothing to say.
    pub reason: String,
    /// Its ticket on its device.
    #[serde(skip)]
    pub(super) ticket: Option<Ticket>,
    /// The preset that caps those of its rungs.
    #[serde(skip)]
    pub(super) preset: Option<&'static str>,
}

impl Row {
    fn of(channel: &str, need: &Need, amount: Amount) -> Row {
        Row {
            channel: channel.to_owned(),
            priority: need.load.priority.label(),
            device: need.wish.policy.label(),
            cores: amount.cores(),
            memory_bytes: amount.bytes,
            ..Row::idle(channel)
        }
    }

    /// A channel that has not asked for a seat.
    pub fn idle(channel: &str) -> Row {
        Row {
            channel: channel.to_owned(),
            priority: "main",
            device: "prefer",
            seat: None,
            cores: 0.0,
            memory_bytes: 0,
            sessions: 0,
            fallback: None,
            verdict: Verdict::Idle,
            reason: String::new(),
            ticket: None,
            preset: None,
        }
    }

    /// A channel whose source is passed on as it is, which takes no seat.
    pub fn copied(channel: &str) -> Row {
        Row { seat: Some(COPY.to_owned()), verdict: Verdict::Admitted, device: SOFTWARE, ..Row::idle(channel) }
    }

    pub(super) fn seated(channel: &str, need: &Need, amount: Amount, sessions: u32, seat: &Seat) -> Row {
        let seat = match seat {
            Seat::Software => SOFTWARE.to_owned(),
            Seat::Cuda(seat) => seat.uuid.clone(),
        };
        Row { seat: Some(seat), sessions, verdict: Verdict::Admitted, ..Row::of(channel, need, amount) }
    }

    pub(super) fn refused(channel: &str, need: &Need, amount: Amount, refusal: &Refusal) -> Row {
        Row { verdict: Verdict::Refused, reason: refusal.to_string(), ..Row::of(channel, need, amount) }
    }

    pub(super) fn explain(&mut self, over: Option<&Short>, fallback: Option<(Amount, Option<&'static str>)>, unprotected: Option<&str>) {
        self.fallback = fallback.map(|(amount, preset)| FallbackSeat { cores: amount.cores(), memory_bytes: amount.bytes, preset });
        if let Some(over) = over {
            (self.verdict, self.reason) = (Verdict::Over, over.to_string());
        } else if let Some(why) = unprotected {
            self.reason = format!("no seat is kept for the loss of its device: {why}");
        } else if let Some(preset) = self.preset {
            self.reason = format!("for want of a device, with no preset slower than {preset}");
        }
    }
}

/// How much of something is lent.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Lent<T> {
    /// What channels may have; none without a limit.
    pub lent: Option<T>,
    /// What they have.
    pub used: T,
    /// What is kept free for the loss of the device whose channels would take most.
    pub kept: T,
}

/// One GPU.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct GpuRow {
    /// Its UUID.
    pub uuid: String,
    /// Ordinal and name.
    pub name: String,
    /// `healthy`, `suspected` or `condemned`.
    pub state: &'static str,
    /// Encode sessions that channels have.
    pub sessions: u32,
    /// Encode sessions that there can be; none where no limit was found.
    pub most_sessions: Option<u32>,
    /// Device memory that channels have, in bytes, as estimated.
    pub memory_bytes: u64,
    /// Device memory that channels may have, in bytes.
    pub lent_memory_bytes: u64,
}

/// A machine with everybody on it.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = PlanReport)]
pub struct Report {
    /// What becomes of a main channel for which cores or memory do not suffice: `warn` or `strict`.
    pub admission: &'static str,
    /// Cores of the machine that the process may use.
    pub machine_cores: f64,
    /// Cores.
    pub cores: Lent<f64>,
    /// Main memory in bytes.
    pub memory_bytes: Lent<u64>,
    /// The GPUs.
    pub gpus: Vec<GpuRow>,
    /// The channels, by name.
    pub channels: Vec<Row>,
}

impl Machine {
    /// Who sits where now, and who was refused when it last asked.
    pub fn report(&self) -> Report {
        let mut rows: Vec<Row> = Vec::new();
        for (place, row) in &self.seated {
            let row = match self.pushed_out(*place) {
                Some(by) => Row {
                    seat: None,
                    sessions: 0,
                    fallback: None,
                    verdict: Verdict::Refused,
                    reason: format!("gives way to {by}"),
                    ..row.clone()
                },
                None => row.clone(),
            };
            // The worker that takes over counts, not the one that drains.
            rows.retain(|other| other.channel != row.channel);
            rows.push(row);
        }
        rows.extend(self.refused.values().filter(|refused| !self.seated.values().any(|row| row.channel == refused.channel)).cloned());
        rows.sort_by(|one, other| one.channel.cmp(&other.channel));
        let (lent, used, kept) = (self.pool.lent(), self.pool.used(&[]), self.pool.kept(&[], None));
        let gpu =
            |(report, state, _, _, usage): (&crate::media::device::GpuReport, super::devices::State, _, _, super::devices::Usage)| GpuRow {
                uuid: report.uuid.clone(),
                name: gpu_name(report),
                state: state.label(),
                sessions: usage.sessions,
                most_sessions: report.most_sessions,
                memory_bytes: usage.bytes,
                lent_memory_bytes: lendable_bytes(report),
            };
        Report {
            admission: self.admission.label(),
            machine_cores: self.cores,
            cores: Lent { lent: (lent.millicores < u64::MAX).then(|| lent.cores()), used: used.cores(), kept: kept.cores() },
            memory_bytes: Lent { lent: (lent.bytes < u64::MAX).then_some(lent.bytes), used: used.bytes, kept: kept.bytes },
            gpus: self.devices.each().map(gpu).collect(),
            channels: rows,
        }
    }
}

impl Report {
    /// Whether a channel has no seat that asked for one.
    pub fn refuses(&self) -> bool {
        self.channels.iter().any(|row| row.verdict == Verdict::Refused)
    }

    /// The report for people.
    pub fn table(&self) -> String {
        let name = |seat: &str| self.gpus.iter().find(|gpu| gpu.uuid == seat).map_or_else(|| seat.to_owned(), |gpu| gpu.name.clone());
        let head = ["CHANNEL", "SEAT", "CORES", "MEMORY", "SESSIONS", "FALLBACK", "VERDICT", "REASON"].map(str::to_owned);
        let row = |row: &Row| {
            let fallback = row
                .fallback
                .as_ref()
                .map(|seat| format!("{:.1} cores{}", seat.cores, seat.preset.map_or(String::new(), |preset| format!(", {preset}"))));
            [
                row.channel.clone(),
                row.seat.as_deref().map_or_else(|| "-".to_owned(), name),
                format!("{:.2}", row.cores),
                format!("{} MiB", row.memory_bytes >> 20),
                if row.sessions == 0 { "-".to_owned() } else { row.sessions.to_string() },
                fallback.unwrap_or_else(|| "-".to_owned()),
                row.verdict.label().to_owned(),
                row.reason.clone(),
            ]
        };
        let rows: Vec<[String; 8]> = [head].into_iter().chain(self.channels.iter().map(row)).collect();
        let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..8).map(width).collect();
        let mut text = String::new();
        for row in &rows {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        // Writing to a String cannot fail.
        let _ = self.write_sums(&mut text);
        text
    }

    fn write_sums(&self, text: &mut String) -> std::fmt::Result {
        let Lent { lent, used, kept } = &self.cores;
        let of =
            lent.map_or("without a limit".to_owned(), |lent| format!("of {lent:.2} that channels may have on {:.2}", self.machine_cores));
        writeln!(text, "\ncores   {used:.2} in use, {kept:.2} kept for the loss of a device, {of}")?;
        let Lent { lent, used, kept } = &self.memory_bytes;
        let of = lent.map_or("without a limit".to_owned(), |lent| format!("of {} MiB that channels may have", lent >> 20));
        writeln!(text, "memory  {} MiB in use, {} MiB kept for the loss of a device, {of}", used >> 20, kept >> 20)?;
        for gpu in &self.gpus {
            let most = gpu.most_sessions.map_or(String::new(), |most| format!(" of {most}"));
            let (used, lent) = (gpu.memory_bytes >> 20, gpu.lent_memory_bytes >> 20);
            writeln!(text, "{}  {}, {}{most} sessions, {used} of {lent} MiB", gpu.name, gpu.state, gpu.sessions)?;
        }
        Ok(())
    }
}
