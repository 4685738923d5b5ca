//! Which programme is followed: the PAT, the PMTs, and the choice.

use std::collections::BTreeMap;

use super::counters::Counters;
use super::pmt::{Programme, Table};

/// Programmes that are looked at. A satellite transponder has about 20.
const MOST_PROGRAMS: usize = 64;
/// Sections of a PAT that are looked at.
const MOST_SECTIONS: u8 = 8;
/// How often a PMT comes before those that have not come are taken to be missing.
const ROUNDS: u32 = 3;

const PAT: u8 = 0x00;
const PMT: u8 = 0x02;

/// A programme as the PAT lists it.
#[derive(Clone, Debug)]
struct Entry {
    number: u16,
    pid: u16,
    programme: Option<Programme>,
    seen: u32,
}

/// The tables so far.
#[derive(Debug)]
pub(super) struct Tables {
    wanted: Option<u16>,
    version: Option<u8>,
    sections: BTreeMap<u8, Vec<(u16, u16)>>,
    entries: Vec<Entry>,
    chosen: Option<u16>,
}

/// What a section changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// The programmes: their PMTs are to be followed anew.
    Programs,
    /// The chosen programme is another one, or its streams are others.
    Chosen(Programme),
}

impl Tables {
    /// Follows the programme with this number; without one the first that has video, else the first.
    pub(super) fn new(wanted: Option<u16>) -> Tables {
        Tables { wanted, version: None, sections: BTreeMap::new(), entries: Vec::new(), chosen: None }
    }

    /// Number and PMT of every programme, and what is known of it.
    pub(super) fn programs(&self) -> impl Iterator<Item = (u16, u16, Option<&Programme>)> {
        self.entries.iter().map(|entry| (entry.number, entry.pid, entry.programme.as_ref()))
    }

    /// The number of the programme that is followed.
    pub(super) fn chosen(&self) -> Option<u16> {
        self.chosen
    }

    /// Takes a section of the PAT.
    pub(super) fn on_pat(&mut self, section: &[u8], counters: &mut Counters) -> Change {
        let Some(table) = Table::parse(section).filter(|table| table.id == PAT) else {
            counters.section += 1;
            return Change::None;
        };
        if !table.current || table.section > table.last_section || table.last_section >= MOST_SECTIONS {
            return Change::None;
        }
        if self.version != Some(table.version) {
            self.version = Some(table.version);
            self.sections.clear();
        }
        self.sections.insert(table.section, table.programs().take(MOST_PROGRAMS).collect());
        self.sections.retain(|&number, _| number <= table.last_section);
        if self.sections.len() <= usize::from(table.last_section) {
            return Change::None;
        }
        let mut listed: Vec<(u16, u16)> = self.sections.values().flatten().copied().collect();
        if listed.len() > MOST_PROGRAMS {
            listed.truncate(MOST_PROGRAMS);
            counters.oversize += 1;
        }
        self.take_list(&listed)
    }

    fn take_list(&mut self, listed: &[(u16, u16)]) -> Change {
        if self.entries.iter().map(|entry| (entry.number, entry.pid)).eq(listed.iter().copied()) {
            return Change::None;
        }
        let known = std::mem::take(&mut self.entries);
        self.entries = listed
            .iter()
            .map(|&(number, pid)| {
                let same = known.iter().find(|entry| (entry.number, entry.pid) == (number, pid));
                same.cloned().unwrap_or(Entry { number, pid, programme: None, seen: 0 })
            })
            .collect();
        if self.chosen.is_some_and(|number| !self.entries.iter().any(|entry| entry.number == number)) {
            self.chosen = None;
        }
        Change::Programs
    }

    /// Takes a section that came where the PMT of a programme comes; several programmes may share the place.
    pub(super) fn on_pmt(&mut self, pid: u16, section: &[u8], counters: &mut Counters) -> Change {
        let Some(table) = Table::parse(section) else { return Change::None };
        if table.id != PMT || !table.current {
            return Change::None;
        }
        let mut entries = self.entries.iter_mut();
        let Some(entry) = entries.find(|entry| entry.number == table.extension && entry.pid == pid) else { return Change::None };
        let Some(programme) = table.programme() else {
            counters.section += 1;
            return Change::None;
        };
        entry.seen = entry.seen.saturating_add(1);
        if entry.programme.as_ref() == Some(&programme) && self.chosen.is_some() {
            return Change::None;
        }
        entry.programme = Some(programme.clone());
        match self.chosen {
            Some(number) if number == programme.number => Change::Chosen(programme),
            Some(_) => Change::None,
            None => self.choose(),
        }
    }

    /// Chooses a programme once enough is known.
    fn choose(&mut self) -> Change {
        let known = || self.entries.iter().filter_map(|entry| entry.programme.as_ref());
        let complete = self.entries.iter().all(|entry| entry.programme.is_some());
        let patient = !complete && self.entries.iter().all(|entry| entry.seen < ROUNDS);
        let chosen = match self.wanted {
            Some(number) => known().find(|programme| programme.number == number),
            None if patient => None,
            None => known().find(|programme| programme.streams.iter().any(|stream| stream.kind.is_video())).or(known().next()),
        };
        let Some(chosen) = chosen.cloned() else { return Change::None };
        self.chosen = Some(chosen.number);
        Change::Chosen(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pat(version: u8, section: u8, last: u8, programs: &[(u16, u16)]) -> Vec<u8> {
        let body = programs.iter().flat_map(|(number, pid)| [number.to_be_bytes(), pid.to_be_bytes()].concat());
        let mut bytes = vec![PAT, 0xb0, 0, 0, 1, 0xc1 | version << 1, section, last];
        bytes.extend(body);
        bytes.extend([0; 4]);
        bytes
    }

    fn pmt(number: u16, types: &[u8]) -> Vec<u8> {
        let [high, low] = number.to_be_bytes();
        let mut bytes = vec![PMT, 0xb0, 0, high, low, 0xc1, 0, 0, 0xe1, 0x00, 0xf0, 0x00];
        for (index, stream_type) in types.iter().enumerate() {
            bytes.extend([*stream_type, 0xe1, index as u8, 0xf0, 0]);
        }
        bytes.extend([0; 4]);
        bytes
    }

    fn chosen(change: Change) -> Option<u16> {
        match change {
            Change::Chosen(programme) => Some(programme.number),
            _ => None,
        }
    }

    #[test]
    fn the_first_programme_with_video_is_followed_whichever_comes_first() {
        let (mut tables, mut counters) = (Tables::new(None), Counters::default());
        let programs = pat(0, 0, 0, &[(0, 16), (7, 100), (8, 101), (9, 102)]);
        assert_eq!(tables.on_pat(&programs, &mut counters), Change::Programs);
        assert_eq!(tables.on_pat(&programs, &mut counters), Change::None);
        assert_eq!(tables.on_pmt(102, &pmt(9, &[0x1b]), &mut counters), Change::None, "an earlier one may have video too");
        assert_eq!(tables.on_pmt(100, &pmt(7, &[0x0f]), &mut counters), Change::None);
        assert_eq!(chosen(tables.on_pmt(101, &pmt(8, &[0x0f, 0x24]), &mut counters)), Some(8));
        assert_eq!(tables.on_pmt(102, &pmt(9, &[0x1b, 0x0f]), &mut counters), Change::None, "another's change is nothing");
        assert_eq!(chosen(tables.on_pmt(101, &pmt(8, &[0x1b]), &mut counters)), Some(8), "its own is");
    }

    #[test]
    fn a_programme_that_never_comes_is_not_waited_for() {
        let (mut tables, mut counters) = (Tables::new(None), Counters::default());
        tables.on_pat(&pat(0, 0, 0, &[(7, 100), (8, 101)]), &mut counters);
        let rounds: Vec<_> = (0..3).map(|_| chosen(tables.on_pmt(101, &pmt(8, &[0x1b]), &mut counters))).collect();
        assert_eq!(rounds, [None, None, Some(8)]);
    }

    #[test]
    fn the_programme_asked_for_is_followed_and_no_other() {
        let (mut tables, mut counters) = (Tables::new(Some(8)), Counters::default());
        tables.on_pat(&pat(0, 0, 0, &[(7, 100), (8, 100)]), &mut counters);
        assert_eq!(chosen(tables.on_pmt(100, &pmt(7, &[0x1b]), &mut counters)), None);
        assert_eq!(chosen(tables.on_pmt(100, &pmt(8, &[0x0f]), &mut counters)), Some(8));
        assert_eq!(tables.on_pat(&pat(1, 0, 0, &[(9, 100)]), &mut counters), Change::Programs);
        assert_eq!(tables.chosen(), None);
    }

    #[test]
    fn a_list_over_two_sections_is_used_when_it_is_whole() {
        let (mut tables, mut counters) = (Tables::new(None), Counters::default());
        assert_eq!(tables.on_pat(&pat(3, 1, 1, &[(8, 101)]), &mut counters), Change::None);
        assert_eq!(tables.on_pat(&pat(3, 0, 1, &[(7, 100)]), &mut counters), Change::Programs);
        assert_eq!(tables.programs().map(|(number, ..)| number).collect::<Vec<_>>(), [7, 8]);
        assert_eq!(tables.on_pat(&pat(3, 1, 1, &[(8, 101)]), &mut counters), Change::None);
    }
}
