//! Files that no playlist names any more and that viewers may still fetch.
//!
//! RFC 8216 6.2.2: a segment stays for its duration plus that of the longest playlist that listed it. There is no
//! clock here; the media published since then stands for the time that has passed.

use std::collections::VecDeque;

use super::change::Change;
use crate::base::Ticks;

#[derive(Debug)]
struct Group {
    paths: Vec<String>,
    removed_at: Ticks,
}

/// The queue of files to be removed.
#[derive(Debug, Default)]
pub struct Linger {
    published: Ticks,
    longest: Ticks,
    groups: VecDeque<Group>,
}

impl Linger {
    /// A segment of this length is being published.
    pub fn publish(&mut self, duration: Ticks) {
        self.published += duration;
    }

    /// Playlists list this much now.
    pub fn listed(&mut self, listed: Ticks) {
        self.longest = self.longest.max(listed);
    }

    /// Files of a segment of this length are listed no longer.
    pub fn add(&mut self, paths: Vec<String>, duration: Ticks) {
        if !paths.is_empty() {
            self.groups.push_back(Group { paths, removed_at: self.published + duration + self.longest });
        }
    }

    /// Everything that waits to be removed.
    pub fn take_all(&mut self) -> Vec<String> {
        self.groups.drain(..).flat_map(|group| group.paths).collect()
    }

    /// What is due. A path that is published again in the meantime is no longer due.
    pub fn due(&mut self) -> Vec<Change> {
        let mut removals = Vec::new();
        let published = self.published;
        self.groups.retain_mut(|group| {
            let due = group.removed_at <= published;
            if due {
                removals.extend(std::mem::take(&mut group.paths).into_iter().map(|path| Change::Remove { path }));
            }
            !due
        });
        removals
    }

    /// `path` is published again: it stays.
    pub fn keep(&mut self, path: &str) {
        for group in &mut self.groups {
            group.paths.retain(|kept| kept != path);
        }
    }
}
