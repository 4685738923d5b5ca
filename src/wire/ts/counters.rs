//! What goes wrong in a stream, by kind.

/// Counts since the last [`Counters::take`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Times that packets were not where they should begin.
    pub sync_loss: u64,
    /// Bytes that belong to no packet.
    pub skipped_bytes: u64,
    /// Packets that a hop before this one knows to be damaged (transport_error_indicator).
    pub transport_error: u64,
    /// Packets of followed streams that are scrambled: nothing here has keys.
    pub scrambled: u64,
    /// Packets whose adaptation field does not fit.
    pub adaptation: u64,
    /// Holes in the continuity counter of a followed stream.
    pub continuity: u64,
    /// Packets sent twice, as the standard allows.
    pub duplicate: u64,
    /// Sections whose checksum is wrong.
    pub crc: u64,
    /// Sections that do not add up.
    pub section: u64,
    /// PES packets whose header or length is wrong.
    pub pes: u64,
    /// Coded frames that cannot be what they claim to be, or have no time.
    pub frame: u64,
    /// Units, PES packets or tables beyond what is held for one.
    pub oversize: u64,
    /// Announced discontinuities of the programme's clock.
    pub discontinuity: u64,
    /// Jumps of the programme's clock that nobody announced.
    pub clock_jump: u64,
    /// Megabytes, about, without a programme to follow: no PAT or no PMT comes.
    pub no_program: u64,
}

impl Counters {
    /// The counts with the value of the `kind` label of each.
    pub fn by_kind(&self) -> [(&'static str, u64); 14] {
        [
            ("sync_loss", self.sync_loss),
            ("transport_error", self.transport_error),
            ("scrambled", self.scrambled),
            ("adaptation", self.adaptation),
            ("continuity", self.continuity),
            ("duplicate", self.duplicate),
            ("crc", self.crc),
            ("section", self.section),
            ("pes", self.pes),
            ("frame", self.frame),
            ("oversize", self.oversize),
            ("discontinuity", self.discontinuity),
            ("clock_jump", self.clock_jump),
            ("no_program", self.no_program),
        ]
    }

    /// The counts, which start over at zero.
    pub fn take(&mut self) -> Counters {
        std::mem::take(self)
    }
}
