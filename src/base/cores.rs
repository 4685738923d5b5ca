//! CPU cores: sets of them as Linux writes them, and where and how eagerly threads and processes run.
//!
//! A thread hands its cores and its niceness on to the threads and processes that it starts, so whoever starts something elsewhere
//! says where.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::io;
use std::str::FromStr;

use rustix::process::{Pid, Resource, getpriority_process, getrlimit, setpriority_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Cores that can be named; the kernel's own masks may be larger, which no machine of today needs.
pub const MOST_CORES: u16 = CpuSet::MAX_CPU as u16;

/// Least eager of all (setpriority(2)).
const NICEST: i32 = 19;

/// A set of cores by the kernel's numbers, written `0-3,6` (`Documentation/admin-guide/cputopology.rst`).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cores(BTreeSet<u16>);

/// A list of cores that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no list of cores such as 0-3,6 (numbers below {MOST_CORES})")]
pub struct NoCores(String);

impl Cores {
    /// The cores that the kernel lets this thread use: the affinity mask within the cpuset of its control group. `None` where the
    /// kernel does not say.
    pub fn allowed() -> Option<Cores> {
        let mask = sched_getaffinity(None).ok()?;
        Some((0..MOST_CORES).filter(|core| mask.is_set(usize::from(*core))).collect()).filter(|cores: &Cores| !cores.is_empty())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a core is among them.
    pub fn contains(&self, core: u16) -> bool {
        self.0.contains(&core)
    }

    /// In ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.0.iter().copied()
    }

    /// Those that are in `other` too.
    pub fn within(&self, other: &Cores) -> Cores {
        self.0.intersection(&other.0).copied().collect()
    }

    /// Those that are not in `other`.
    pub fn without(&self, other: &Cores) -> Cores {
        self.0.difference(&other.0).copied().collect()
    }

    /// Those of both.
    pub fn and(&self, other: &Cores) -> Cores {
        self.0.union(&other.0).copied().collect()
    }

    /// Whether none is in both.
    pub fn is_apart_from(&self, other: &Cores) -> bool {
        self.0.is_disjoint(&other.0)
    }

    /// Makes the calling thread run on these cores only.
    ///
    /// # Errors
    /// The kernel's, `EINVAL` where none of them is allowed.
    pub fn confine_this_thread(&self) -> io::Result<()> {
        Ok(sched_setaffinity(None, &self.mask())?)
    }

    /// Makes every thread that a process has now, and so those that they start, run on these cores only.
    ///
    /// # Errors
    /// The kernel's; a thread that has ended meanwhile is none.
    pub fn confine_process(&self, process: u32) -> io::Result<()> {
        let mask = self.mask();
        for entry in std::fs::read_dir(format!("/proc/{process}/task"))? {
            let thread = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()).and_then(Pid::from_raw);
            match thread.map(|thread| sched_setaffinity(Some(thread), &mask)) {
                None | Some(Ok(()) | Err(rustix::io::Errno::SRCH)) => {}
                Some(Err(cause)) => return Err(cause.into()),
            }
        }
        Ok(())
    }

    fn mask(&self) -> CpuSet {
        let mut mask = CpuSet::new();
        self.iter().filter(|core| *core < MOST_CORES).for_each(|core| mask.set(core.into()));
        mask
    }
}

impl FromIterator<u16> for Cores {
    fn from_iter<I: IntoIterator<Item = u16>>(cores: I) -> Cores {
        Cores(cores.into_iter().collect())
    }
}

impl FromStr for Cores {
    type Err = NoCores;

    /// Reads `0-3,6`; an empty list is the empty set, as the kernel writes it for a NUMA node without cores.
    fn from_str(text: &str) -> Result<Cores, NoCores> {
        let no_cores = || NoCores(text.chars().take(80).collect());
        let mut cores = BTreeSet::new();
        for part in text.trim().split(',').filter(|_| !text.trim().is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.trim().parse::<u16>().ok().filter(|core| *core < MOST_CORES).ok_or_else(no_cores);
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return Err(no_cores());
            }
            cores.extend(first..=last);
        }
        Ok(Cores(cores))
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.iter().peekable();
        while let Some(first) = rest.next() {
            let mut last = first;
            while let Some(next) = rest.next_if(|next| *next == last.saturating_add(1)) {
                last = next;
            }
            write!(out, "{first}")?;
            if last > first {
                write!(out, "-{last}")?;
            }
            if rest.peek().is_some() {
                out.write_char(',')?;
            }
        }
        Ok(())
    }
}

/// Makes the calling thread give way by `levels` more of niceness than it does now.
///
/// # Errors
/// The kernel's. To give way more needs no right.
pub fn give_way(levels: u8) -> io::Result<()> {
    if levels == 0 {
        return Ok(());
    }
    let now = getpriority_process(None)?;
    // On Linux this is the calling thread's alone (setpriority(2), "C library/kernel differences").
    Ok(setpriority_process(None, now.saturating_add(levels.into()).min(NICEST))?)
}

/// Makes a child that was just started, and so what it starts, give way by `levels` more of niceness than it does now.
///
/// # Errors
/// The kernel's.
pub fn make_nicer(process: u32, levels: u8) -> io::Result<()> {
    let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw).filter(|_| levels > 0) else { return Ok(()) };
    let now = getpriority_process(Some(process))?;
    Ok(setpriority_process(Some(process), now.saturating_add(levels.into()).min(NICEST))?)
}

/// What a process may open at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// The limit that holds; `u64::MAX` for none.
    pub limit: u64,
    /// The limit that held before.
    pub before: u64,
}

/// Raises this process's limit of open files to the highest that it may set itself (the hard limit, `ulimit -Hn`).
///
/// Shells and service managers start with 1,024 for programs that still use select(2); nothing of ours does.
pub fn raise_open_files() -> OpenFiles {
    let mut limits = getrlimit(Resource::Nofile);
    let before = limits.current.unwrap_or(u64::MAX);
    limits.current = limits.maximum;
    match setrlimit(Resource::Nofile, limits) {
        Ok(()) => OpenFiles { limit: limits.maximum.unwrap_or(u64::MAX), before },
        Err(cause) => {
            tracing::debug!(%cause, before, "the limit of open files stays");
            OpenFiles { limit: before, before }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cores(text: &str) -> Cores {
        text.parse().unwrap()
    }

    #[test]
    fn lists_are_read_and_written_as_the_kernel_does() {
        assert_eq!(cores("0-3,6\n").iter().collect::<Vec<_>>(), [0, 1, 2, 3, 6]);
        assert_eq!(cores("6,3,0-2,1").to_string(), "0-3,6");
        assert_eq!(cores("\n"), Cores::default());
        for wrong in ["3-1", "a", "0-", ",", "0,,1", "1024", "-1", "0 1", "99999"] {
            assert!(wrong.parse::<Cores>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_thread_stays_on_its_core_and_so_do_those_that_it_starts() {
        let allowed = Cores::allowed().expect("the kernel tells");
        let one: Cores = allowed.iter().take(1).collect();
        let seen = std::thread::Builder::new().name("confined".into()).spawn({
            let one = one.clone();
            move || {
                one.confine_this_thread().unwrap();
                let heir = std::thread::Builder::new().name("heir".into()).spawn(Cores::allowed).unwrap();
                (Cores::allowed(), heir.join().unwrap())
            }
        });
        assert_eq!(seen.unwrap().join().unwrap(), (Some(one.clone()), Some(one)));
        assert_eq!(Cores::allowed(), Some(allowed), "the others are where they were");
    }

    #[test]
    fn cores_that_the_machine_does_not_have_are_refused() {
        let none: Cores = [MOST_CORES - 1].into_iter().collect();
        let tried = std::thread::Builder::new().name("nowhere".into()).spawn(move || none.confine_this_thread());
        assert!(tried.unwrap().join().unwrap().is_err());
    }

    #[test]
    fn giving_way_adds_up_and_ends_at_the_nicest() {
        let tried = std::thread::Builder::new().name("nicer".into()).spawn(|| {
            let before = getpriority_process(None).unwrap();
            give_way(2).unwrap();
            let after = getpriority_process(None).unwrap();
            give_way(40).unwrap();
            (before, after, getpriority_process(None).unwrap())
        });
        let (before, after, last) = tried.unwrap().join().unwrap();
        assert_eq!((after, last), ((before + 2).min(NICEST), NICEST));
    }

    #[test]
    fn every_thread_of_a_process_is_confined() {
        let one: Cores = Cores::allowed().unwrap().iter().take(1).collect();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        one.confine_process(child.id()).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
        assert_eq!(mask.parse::<Cores>().unwrap(), one);
        assert!(one.confine_process(child.id()).is_err(), "nobody is there any more");
    }

    #[test]
    fn the_limit_of_open_files_does_not_fall() {
        let raised = raise_open_files();
        assert!(raised.limit >= raised.before && raised.limit > 0);
        assert_eq!(raise_open_files().before, raised.limit);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(list in proptest::collection::btree_set(0..MOST_CORES, 0..40)) {
            let cores: Cores = list.into_iter().collect();
            prop_assert_eq!(cores.to_string().parse::<Cores>(), Ok(cores));
        }

        #[test]
        fn noise_never_panics(text in "[-0-9, ]{0,20}|.{0,40}") {
            let _ = text.parse::<Cores>();
        }
    }
}
