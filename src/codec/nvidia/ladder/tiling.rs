//! How a plane of the source is divided among blocks: tiles, what a block sees around its own, and how shared memory is spent.

use super::filter::AxisTable;
use super::job::{MODE_COPY, MODE_DIRECT, MODE_WINDOW};

/// Shared memory that every device gives a block unasked.
pub(super) const SHARED_BYTES: usize = 48 * 1024;

/// Bytes of it for intermediate rows, at most, unless a single column of them needs more.
const MIDDLE_BYTES: usize = 20 * 1024;

/// Most columns of intermediate rows; what a warp or two write.
const CHUNK_COLUMNS: usize = 64;

/// Outputs of an axis by tile of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outputs {
    /// First output of every tile, and the end of the last.
    pub(super) starts: Vec<u16>,
    /// Source samples that outputs need before their tile, at most.
    before: usize,
    /// And after it.
    after: usize,
    /// Most outputs of a tile.
    most: usize,
    /// Most source samples between the first and the last that a tile's outputs need.
    span: usize,
}

impl Outputs {
    /// An output belongs to the tile that its filter's middle lies in.
    pub(super) fn of(table: &AxisTable, samples: usize, tile: usize) -> Outputs {
        let tiles = samples.div_ceil(tile);
        let tile_of = |position: u16| (usize::from(position) + table.taps() / 2).min(samples - 1) / tile;
        let mut outputs = Outputs::default();
        let mut begin = 0;
        for index in 0..tiles {
            let count = table.positions()[begin..].iter().take_while(|position| tile_of(**position) == index).count();
            outputs.starts.push(begin as u16);
            let positions = &table.positions()[begin..begin + count];
            if let (Some(first), Some(last)) = (positions.first(), positions.last()) {
                let (first, end) = (usize::from(*first), usize::from(*last) + table.taps());
                outputs.before = outputs.before.max((index * tile).saturating_sub(first));
                outputs.after = outputs.after.max(end.saturating_sub((index + 1) * tile));
                outputs.span = outputs.span.max(end - first);
                outputs.most = outputs.most.max(count);
            }
            begin += count;
        }
        outputs.starts.push(begin as u16);
        outputs
    }
}

/// How one rung of a plane is made.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub(super) mode: u32,
    pub(super) chunk_columns: usize,
    pub(super) x: Outputs,
    pub(super) y: Outputs,
}

/// A plane divided.
#[derive(Clone, Debug)]
pub(super) struct Tiling {
    pub(super) tile: (usize, usize),
    pub(super) tiles: (usize, usize),
    /// Window's samples before the tile, across and down.
    pub(super) halo: (usize, usize),
    pub(super) window: (usize, usize),
    pub(super) middle_offset: usize,
    pub(super) shared_bytes: usize,
    pub(super) shares: Vec<Share>,
}

impl Tiling {
    /// Divides a plane of `size` samples of `sample_bytes` among blocks for rungs with these filters (across, down).
    ///
    /// Rungs whose filters reach furthest read the source themselves where a window for all would not fit.
    pub(super) fn new(size: (usize, usize), sample_bytes: usize, components: usize, rungs: &[&(AxisTable, AxisTable)]) -> Tiling {
        let tile = (64 / components, 32);
        let share = |(x, y): &(AxisTable, AxisTable)| {
            let mode = if x.is_copy() && y.is_copy() { MODE_COPY } else { MODE_WINDOW };
            let (x, y) = (Outputs::of(x, size.0, tile.0), Outputs::of(y, size.1, tile.1));
            let columns = MIDDLE_BYTES / (y.span * components * 2).max(1);
            Share { mode, chunk_columns: columns.clamp(1, x.most.clamp(1, CHUNK_COLUMNS)), x, y }
        };
        let mut shares: Vec<Share> = rungs.iter().map(|tables| share(tables)).collect();
        let middle = |share: &Share| if share.mode == MODE_COPY { 0 } else { share.chunk_columns * share.y.span * components * 2 };
        let middle_bytes = shares.iter().map(middle).max().unwrap_or(0);
        loop {
            let (halo, window) = window_of(&shares, tile, size);
            let middle_offset = (window.0 * window.1 * components * sample_bytes).next_multiple_of(16);
            let shared_bytes = middle_offset + middle_bytes;
            let widest = shares.iter_mut().filter(|share| share.mode == MODE_WINDOW).max_by_key(|share| share.reach());
            match widest {
                Some(widest) if shared_bytes > SHARED_BYTES => widest.mode = MODE_DIRECT,
                _ => {
                    let tiles = (size.0.div_ceil(tile.0), size.1.div_ceil(tile.1));
                    return Tiling { tile, tiles, halo, window, middle_offset, shared_bytes, shares };
                }
            }
        }
    }
}

impl Share {
    fn reach(&self) -> usize {
        self.x.before + self.x.after + self.y.before + self.y.after
    }
}

/// Samples before the tile, and the window's size, so that it holds what all rungs that read it need.
fn window_of(shares: &[Share], tile: (usize, usize), size: (usize, usize)) -> ((usize, usize), (usize, usize)) {
    let reading = || shares.iter().filter(|share| share.mode == MODE_WINDOW);
    let most = |of: fn(&Share) -> usize| reading().map(of).max().unwrap_or(0);
    let (left, right) = (most(|share| share.x.before), most(|share| share.x.after));
    let (above, below) = (most(|share| share.y.before), most(|share| share.y.after));
    let side = |before: usize, tile: usize, after: usize, size: usize| before + tile.min(size) + after;
    ((left, above), (side(left, tile.0, right, size.0), side(above, tile.1, below, size.1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::nvidia::ladder::filter::{Axis, Filter, Siting};

    fn table(from: u32, to: u32, filter: Filter) -> AxisTable {
        let siting = Siting::Centre;
        let axis = Axis { source_samples: from, source_length: from, target_samples: to, target_length: to, siting, begins_at_half: false };
        AxisTable::new(&axis, filter)
    }

    #[test]
    fn every_output_belongs_to_one_tile_and_its_samples_lie_in_the_window() {
        for (from, to) in [(1920, 1280), (1920, 640), (640, 1920), (100, 7), (7, 100), (1, 1), (65, 65)] {
            let table = table(from, to, Filter::Bicubic);
            let outputs = Outputs::of(&table, from as usize, 64);
            assert_eq!((outputs.starts.first(), outputs.starts.last()), (Some(&0), Some(&(to as u16))), "{from} to {to}");
            for (tile, range) in outputs.starts.windows(2).enumerate() {
                for position in &table.positions()[usize::from(range[0])..usize::from(range[1])] {
                    assert!(usize::from(*position) + outputs.before >= tile * 64);
                    assert!(usize::from(*position) + table.taps() <= (tile + 1) * 64 + outputs.after);
                }
            }
        }
    }

    #[test]
    fn a_filter_wider_than_any_window_reads_the_source_and_the_others_do_not() {
        let tables: Vec<_> = [(1920u32, 1080u32), (160, 90)]
            .map(|(width, height)| (table(3840, width, Filter::Lanczos3), table(2160, height, Filter::Lanczos3)))
            .into();
        let rungs: Vec<_> = tables.iter().collect();
        let tiling = Tiling::new((3840, 2160), 2, 2, &rungs);
        assert_eq!([tiling.shares[0].mode, tiling.shares[1].mode], [MODE_WINDOW, MODE_DIRECT]);
    }

    #[test]
    fn shared_memory_is_never_exceeded() {
        let heights = [16, 90, 180, 360, 720, 1080, 2160, 4320];
        for from in heights {
            for to in heights {
                for (components, sample_bytes) in [(1, 1), (2, 1), (1, 2), (2, 2)] {
                    let tables = (table(from * 2, to * 2, Filter::Lanczos3), table(from, to, Filter::Lanczos3));
                    let tiling = Tiling::new((from as usize * 2, from as usize), sample_bytes, components, &[&tables]);
                    assert!(tiling.shared_bytes <= SHARED_BYTES, "{from} to {to}: {tiling:?}");
                }
            }
        }
    }
}
