//! What is wrong with an input that delivers.

/// What the input on the air looks and sounds like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The picture stands still.
    pub frozen: bool,
    /// The picture is black.
    pub black: bool,
    /// Nothing is to be heard.
    pub silent: bool,
}

impl Look {
    /// Whether viewers should rather see another feed.
    pub fn is_faulty(self) -> bool {
        self.frozen || self.black || self.silent
    }

    /// What is wrong, in words.
    pub fn words(self) -> Vec<&'static str> {
        self.kinds().into_iter().filter(|(_, is_so)| *is_so).map(|(kind, _)| kind).collect()
    }

    /// Each kind of fault, and whether it is there.
    pub(super) fn kinds(self) -> [(&'static str, bool); 3] {
        [("frozen", self.frozen), ("black", self.black), ("silent", self.silent)]
    }
}
