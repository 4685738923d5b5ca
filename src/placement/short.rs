//! Why the cores or the memory of a machine do not suffice for a channel, and what would.

use std::fmt;

use super::pool::Amount;

/// What is short, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short {
    /// What the channel needs.
    pub needed: Amount,
    /// What it could have.
    pub free: Amount,
    /// The nearest things that would fit, in words: `without 1080p`.
    pub fits: Vec<String>,
    /// It has room on a device, but none is left for the case that the device is lost.
    pub is_fallback: bool,
}

impl Short {
    /// The bounded value of the `reason` label.
    pub fn label(&self) -> &'static str {
        match (self.is_fallback, self.is_of_cores()) {
            (true, _) => "fallback",
            (false, true) => "cores",
            (false, false) => "memory",
        }
    }

    fn is_of_cores(&self) -> bool {
        self.needed.millicores > self.free.millicores
    }
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_of_cores() {
            true => write!(f, "needs {:.1} cores of {:.1} free", self.needed.cores(), self.free.cores())?,
            false => write!(f, "needs {} MiB of memory of {} free", self.needed.bytes.div_ceil(1 << 20), self.free.bytes >> 20)?,
        }
        match (self.is_fallback, self.fits.as_slice()) {
            (true, _) => f.write_str(" in software for the loss of its device; device = \"require\" keeps no such place"),
            (false, []) => f.write_str("; no smaller ladder of these rungs would fit: free the machine of something else"),
            (false, fits) => write!(f, ": would fit {}", fits.join(", or ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_resource_is_named_with_what_would_fit() {
        let fits = vec!["without 1080p".to_owned(), "with preset superfast".to_owned()];
        let cores = Short { needed: Amount::new(2.8, 1), free: Amount::new(1.5, 1 << 30), fits, is_fallback: false };
        assert_eq!(cores.to_string(), "needs 2.8 cores of 1.5 free: would fit without 1080p, or with preset superfast");
        let memory = Short { needed: Amount::new(1.0, 5 << 20), free: Amount::new(1.5, 1 << 20), fits: Vec::new(), is_fallback: false };
        assert!(memory.to_string().starts_with("needs 5 MiB of memory of 1 free; no smaller"), "{memory}");
        let fallback = Short { is_fallback: true, ..cores.clone() };
        assert_eq!([cores.label(), memory.label(), fallback.label()], ["cores", "memory", "fallback"]);
        assert!(fallback.to_string().ends_with("in software for the loss of its device; device = \"require\" keeps no such place"));
    }
}
