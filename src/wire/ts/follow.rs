//! The packet identifiers that are followed. All others cost one look at a table, however many there are.

use super::packet::Continuity;
use super::section::Sections;

/// Packet identifiers that exist.
const PIDS: usize = 1 << 13;
/// Followed at once: the PAT, 64 PMTs, 16 tracks, splice information, a clock.
const MOST_FOLLOWED: usize = 128;

/// What a packet identifier is followed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The list of programmes.
    Pat,
    /// Streams of one or more programmes.
    Pmt,
    /// A track, by its place among the streams.
    Stream(u8),
    /// SCTE 35 sections.
    Splice,
    /// Nothing but the programme's clock.
    Clock,
}

/// A followed packet identifier.
#[derive(Debug)]
pub(super) struct Followed {
    pid: u16,
    pub(super) role: Role,
    pub(super) continuity: Continuity,
    pub(super) sections: Sections,
}

/// All that are followed.
#[derive(Debug)]
pub(super) struct Pids {
    /// One more than the place in `followed`; zero where it is not.
    places: Box<[u8; PIDS]>,
    followed: Vec<Followed>,
}

impl Pids {
    /// Follows the PAT only.
    pub(super) fn new() -> Pids {
        let mut pids = Pids { places: Box::new([0; PIDS]), followed: Vec::new() };
        pids.follow(&[(0, Role::Pat)]);
        pids
    }

    /// What is known of a packet identifier, where it is followed.
    pub(super) fn get_mut(&mut self, pid: u16) -> Option<&mut Followed> {
        let place = self.places.get(usize::from(pid)).copied().filter(|&place| place > 0)?;
        self.followed.get_mut(usize::from(place) - 1)
    }

    /// Follows these and no others; of two roles for one packet identifier the first counts. What is known of those that
    /// stay is kept.
    pub(super) fn follow(&mut self, wanted: &[(u16, Role)]) {
        let mut known = std::mem::take(&mut self.followed);
        self.places.fill(0);
        for &(pid, role) in wanted {
            let Some(place) = self.places.get_mut(usize::from(pid)).filter(|place| **place == 0) else { continue };
            if self.followed.len() == MOST_FOLLOWED {
                return;
            }
            let same = known.iter().position(|followed| followed.pid == pid).map(|index| known.swap_remove(index));
            let new = Followed { pid, role, continuity: Continuity::default(), sections: Sections::default() };
            self.followed.push(Followed { role, ..same.unwrap_or(new) });
            *place = self.followed.len() as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_role_counts_and_no_more_than_the_most_are_followed() {
        let mut pids = Pids::new();
        pids.follow(&[(0, Role::Pat), (100, Role::Pmt), (100, Role::Clock), (8191, Role::Clock), (9000, Role::Clock)]);
        assert_eq!(pids.get_mut(100).map(|followed| followed.role), Some(Role::Pmt));
        assert_eq!(pids.get_mut(8191).map(|followed| followed.role), Some(Role::Clock));
        assert!(pids.get_mut(101).is_none() && pids.get_mut(9000).is_none());
        pids.follow(&(0..1000).map(|pid| (pid, Role::Clock)).collect::<Vec<_>>());
        assert!(pids.get_mut(127).is_some() && pids.get_mut(128).is_none());
    }
}
