//! Which cores each part of the appliance runs on: a pure function of the machine's cores and the operator's wish.
//!
//! From [`FEWEST_PINNED`] cores up ingest, edge and the workers have cores of their own, so that neither a stampede of viewers nor an
//! encoder can delay what a publisher sends; packaging has its own from [`FEWEST_FOR_PACKAGING`] up and is with ingest below. On
//! smaller machines everything shares all cores and gives way by niceness. `docs/decisions/0004-pinning.md` has the measurements.

use crate::base::cores::Cores;

/// Below so many cores nothing is pinned.
pub const FEWEST_PINNED: usize = 4;
/// Below so many cores packaging shares those of ingest: a core for it alone would be one of few that the workers lose.
pub const FEWEST_FOR_PACKAGING: usize = 8;

/// Niceness of a part that shares cores with one that must not wait, above that of the front. Each level is about a quarter less of
/// a contended core (sched(7)).
const PACKAGING_NICER: u8 = 1;
const EDGE_NICER: u8 = 3;
const WORKERS_NICER: u8 = 5;

/// The cores of a machine, as far as this process may use them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Cores that the affinity mask and the control group's cpuset allow.
    pub allowed: Cores,
    /// Cores' worth of time that the control group's quota allows; not less than one.
    pub quota: usize,
    /// NUMA nodes; empty where the machine tells of none.
    pub nodes: Vec<Node>,
    /// Groups of cores that are one physical core.
    pub siblings: Vec<Cores>,
}

/// A NUMA node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The kernel's number.
    pub number: u32,
    /// Its cores, allowed or not.
    pub cores: Cores,
    /// A GPU is attached to it, so that its cores are worth more to workers.
    pub has_gpu: bool,
}

/// What the operator wants. Lists that are not given are chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PinningWish {
    /// Neither cores nor niceness: the kernel decides.
    pub off: bool,
    /// Sockets of publishers.
    pub ingest: Option<Cores>,
    /// Channels: timelines, packaging, links to workers.
    pub packaging: Option<Cores>,
    /// Viewers, the API, the page.
    pub edge: Option<Cores>,
    /// Decoding, scaling, encoding.
    pub workers: Option<Cores>,
}

/// Where one part runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Never empty, never beyond what is allowed.
    pub cores: Cores,
    /// Levels of niceness above what the front was started with.
    pub nicer: u8,
}

/// Where everything runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PinningMap {
    /// Every core that may be used.
    pub allowed: Cores,
    /// Sockets of publishers, the SRT gateway.
    pub ingest: Place,
    /// Channels.
    pub packaging: Place,
    /// Viewers.
    pub edge: Place,
    /// All workers together.
    pub workers: Place,
    /// The workers' cores by NUMA node; none is empty. Without nodes it is one, number 0.
    pub worker_nodes: Vec<(u32, Cores)>,
    /// Wishes that this machine cannot fulfil, in words.
    pub unmet: Vec<String>,
    /// How much of the cores the operator left to the kernel, or the machine is too small for.
    pub mode: Mode,
}

/// What keeps the parts apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    #[default]
    Off,
    /// Niceness.
    Niceness,
    /// Cores, and niceness where parts share some.
    Cores,
}

impl Mode {
    /// The word for logs and reports.
    pub fn label(self) -> &'static str {
        match self {
            Mode::Off => "off",
            Mode::Niceness => "niceness",
            Mode::Cores => "cores",
        }
    }
}

/// One of the four, in the order of who must wait least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Ingest,
    Packaging,
    Edge,
    Workers,
}

impl Part {
    const ALL: [Part; 4] = [Part::Ingest, Part::Packaging, Part::Edge, Part::Workers];

    fn label(self) -> &'static str {
        match self {
            Part::Ingest => "ingest",
            Part::Packaging => "packaging",
            Part::Edge => "edge",
            Part::Workers => "workers",
        }
    }

    fn nicer(self) -> u8 {
        match self {
            Part::Ingest => 0,
            Part::Packaging => PACKAGING_NICER,
            Part::Edge => EDGE_NICER,
            Part::Workers => WORKERS_NICER,
        }
    }
}

impl PinningWish {
    fn of(&self, part: Part) -> Option<&Cores> {
        match part {
            Part::Ingest => self.ingest.as_ref(),
            Part::Packaging => self.packaging.as_ref(),
            Part::Edge => self.edge.as_ref(),
            Part::Workers => self.workers.as_ref(),
        }
    }
}

impl PinningMap {
    /// The map of a machine.
    pub fn of(machine: &Topology, wish: &PinningWish) -> PinningMap {
        let everywhere = |part: Part| Place { cores: machine.allowed.clone(), nicer: if wish.off { 0 } else { part.nicer() } };
        let mut unmet = Vec::new();
        let named = Part::ALL.map(|part| if wish.off { None } else { named(part, wish, machine, &mut unmet) });
        let chosen = if wish.off { None } else { chosen(machine, &named) };
        let is_apart = chosen.is_some();
        let places = chosen.map_or(Part::ALL.map(everywhere), |cores| with_niceness(&cores));
        let [ingest, packaging, edge, workers] = places;
        let worker_nodes = by_node(&workers.cores, &machine.nodes);
        let mode = match (wish.off, is_apart) {
            (true, _) => Mode::Off,
            (false, false) => Mode::Niceness,
            (false, true) => Mode::Cores,
        };
        PinningMap { allowed: machine.allowed.clone(), ingest, packaging, edge, workers, worker_nodes, unmet, mode }
    }

    /// Whether anything is bound to cores.
    pub fn pins(&self) -> bool {
        self.mode == Mode::Cores
    }

    /// The workers' cores near NUMA node `number`; all of them where that node has none.
    pub fn workers_near(&self, number: u32) -> &Cores {
        self.worker_nodes.iter().find(|(node, _)| *node == number).map_or(&self.workers.cores, |(_, cores)| cores)
    }
}

/// The cores that the operator names for a part, as far as they may be used.
fn named(part: Part, wish: &PinningWish, machine: &Topology, unmet: &mut Vec<String>) -> Option<Cores> {
    let wanted = wish.of(part)?;
    let usable = wanted.within(&machine.allowed);
    let missing = wanted.without(&machine.allowed);
    if !missing.is_empty() {
        let instead = if usable.is_empty() { "cores are chosen instead".to_owned() } else { format!("{usable} are used") };
        unmet.push(format!(
            "machine.{} names cores {missing}, which this machine lacks or this process may not use (allowed: {}); {instead}",
            part.label(),
            machine.allowed
        ));
    }
    Some(usable).filter(|usable| !usable.is_empty())
}

/// The cores of the four parts, where they are to be kept apart by cores.
fn chosen(machine: &Topology, named: &[Option<Cores>; 4]) -> Option<[Cores; 4]> {
    let taken = named.iter().flatten().fold(Cores::default(), |all, one| all.and(one));
    let free = machine.allowed.without(&taken);
    let is_named = !taken.is_empty();
    let open = named.iter().filter(|cores| cores.is_none()).count();
    let size = machine.allowed.count().min(machine.quota);
    if size < FEWEST_PINNED && !is_named {
        return None;
    }
    // Packaging may do without, with ingest.
    let least = open.saturating_sub(usize::from(named.get(1).is_some_and(Option::is_none) && size < FEWEST_FOR_PACKAGING));
    let picked = if size >= FEWEST_PINNED && free.count() >= least { apart(machine, &free, named, size) } else { shared(machine, &free) };
    let [a, b, c, d] = picked;
    let [e, f, g, h] = named.clone();
    Some([e.unwrap_or(a), f.unwrap_or(b), g.unwrap_or(c), h.unwrap_or(d)])
}

/// What is left, for everybody who has no cores yet.
fn shared(machine: &Topology, free: &Cores) -> [Cores; 4] {
    let rest = if free.is_empty() { &machine.allowed } else { free };
    [rest, rest, rest, rest].map(Cores::clone)
}

/// Cores of their own for all parts that are not named; what it says of the others means nothing.
fn apart(machine: &Topology, free: &Cores, named: &[Option<Cores>; 4], size: usize) -> [Cores; 4] {
    let mut order = in_order(machine, free).into_iter();
    let [ingest, packaging, edge, workers] = named;
    // At least one core stays for the workers, however few the operator left.
    let mut spare = free.count().saturating_sub([ingest, packaging, edge, workers].iter().filter(|cores| cores.is_none()).count());
    let mut take = |named: &Option<Cores>, wanted: usize| -> Cores {
        if named.is_some() {
            return Cores::default();
        }
        let more = (wanted - 1).min(spare);
        spare -= more;
        order.by_ref().take(1 + more).collect()
    };
    let in_ingest = (size / 16).clamp(1, 4);
    let sockets = take(ingest, in_ingest);
    let packing = if size >= FEWEST_FOR_PACKAGING || packaging.is_some() {
        take(packaging, in_ingest)
    } else {
        ingest.clone().unwrap_or_else(|| sockets.clone())
    };
    let viewers = take(edge, (size / 8).clamp(1, 8));
    [sockets, packing, viewers, order.collect()]
}

/// Free cores in the order in which the front takes them: a node without a GPU first, physical core by physical core.
fn in_order(machine: &Topology, free: &Cores) -> Vec<u16> {
    let mut nodes: Vec<&Node> = machine.nodes.iter().collect();
    nodes.sort_by_key(|node| (node.has_gpu, std::cmp::Reverse(node.cores.within(free).count()), node.number));
    let on_nodes = nodes.iter().flat_map(|node| node.cores.within(free).iter().collect::<Vec<_>>());
    let physical = on_nodes.chain(free.iter()).flat_map(|core| {
        let group = machine.siblings.iter().find(|group| group.contains(core)).map(|group| group.within(free));
        let others: Vec<u16> = group.iter().flat_map(|group| group.iter().filter(|other| *other != core).collect::<Vec<_>>()).collect();
        std::iter::once(core).chain(others)
    });
    let mut order = Vec::new();
    for core in physical {
        if !order.contains(&core) {
            order.push(core);
        }
    }
    order
}

/// Who shares cores with somebody more urgent gives way.
fn with_niceness(cores: &[Cores; 4]) -> [Place; 4] {
    let mut earlier = Cores::default();
    let place = |(part, cores): (Part, &Cores)| {
        let nicer = if cores.is_apart_from(&earlier) { 0 } else { part.nicer() };
        earlier = earlier.and(cores);
        Place { cores: cores.clone(), nicer }
    };
    let places: Vec<Place> = Part::ALL.into_iter().zip(cores).map(place).collect();
    <[Place; 4]>::try_from(places).unwrap_or_default()
}

fn by_node(cores: &Cores, nodes: &[Node]) -> Vec<(u32, Cores)> {
    let parts = nodes.iter().map(|node| (node.number, node.cores.within(cores)));
    let parts: Vec<(u32, Cores)> = parts.filter(|(_, cores)| !cores.is_empty()).collect();
    if parts.is_empty() { vec![(0, cores.clone())] } else { parts }
}

#[cfg(test)]
mod tests;
