//! Filter tables: which source samples make an output sample, with which weights.
//!
//! Positions are exact fractions and weights are summed as integers, so that the tables of a symmetric axis are symmetric to the bit.

/// One in the fixed point of coefficients (2.14).
pub const ONE: i32 = 1 << 14;

/// One in the fixed point that weights are summed in.
const WEIGHT_ONE: f64 = (1u64 << 40) as f64;

/// How samples between samples are made. Down the scale the filter widens with the ratio, so that nothing aliases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Filter {
    /// Bicubic with B = 0 and C = 0.6 (Mitchell and Netravali, 1988): sharp, little ringing.
    #[default]
    Bicubic,
    /// Lanczos of three lobes: sharper, more ringing, half again the work.
    Lanczos3,
}

impl Filter {
    /// Reach on either side, in samples of the coarser grid.
    fn support(self) -> i64 {
        match self {
            Filter::Bicubic => 2,
            Filter::Lanczos3 => 3,
        }
    }

    /// Weight at a distance of `x` >= 0 samples of the coarser grid, less than the support.
    fn weight(self, x: f64) -> f64 {
        match self {
            Filter::Bicubic if x < 1.0 => (1.4 * x - 2.4) * x * x + 1.0,
            Filter::Bicubic => ((3.0 - 0.6 * x) * x - 4.8) * x + 2.4,
            Filter::Lanczos3 => sinc(x) * sinc(x / 3.0),
        }
    }
}

fn sinc(x: f64) -> f64 {
    let angle = std::f64::consts::PI * x;
    if x == 0.0 { 1.0 } else { angle.sin() / angle }
}

/// Where the samples of a plane lie relative to the picture's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Siting {
    /// In the middle of the area they stand for: luma, and chroma along columns.
    Centre,
    /// On the first of the two luma samples they stand for: chroma along rows, as H.264, HEVC and AV1 mean it unless they say otherwise
    /// (H.264 annex E, `chroma_sample_loc_type` 0).
    Left,
}

/// An axis of a plane, from source to rung. Lengths are the picture's and give the ratio; samples are the plane's, and of halved planes
/// they round up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Samples of the source that may be read.
    pub source_samples: u32,
    /// Pixels of the source.
    pub source_length: u32,
    /// Samples to make.
    pub target_samples: u32,
    /// Pixels of the rung that the source's pixels become.
    pub target_length: u32,
    /// Where the samples lie.
    pub siting: Siting,
    /// The source's first pixel is the second half of its first sample: a crop that begins at an odd pixel, in a halved plane.
    pub begins_at_half: bool,
}

/// The filters of an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisTable {
    taps: usize,
    positions: Vec<u16>,
    coefficients: Vec<i16>,
}

impl AxisTable {
    /// The filters of an axis whose lengths and samples are 1 to 16384.
    pub fn new(axis: &Axis, filter: Filter) -> AxisTable {
        let source_samples = axis.source_samples.max(1) as usize;
        let filters: Vec<Sparse> =
            (0..axis.target_samples).map(|output| Sparse::of(axis, filter, output).mirrored(source_samples)).collect();
        // Coefficients of zero are left out at the ends of some filters and not of others; positions never fall for all that.
        let mut firsts: Vec<usize> = filters.iter().map(|filter| filter.first.max(0) as usize).collect();
        for at in (1..firsts.len()).rev() {
            firsts[at - 1] = firsts[at - 1].min(firsts[at]);
        }
        let reach = |(first, filter): (&usize, &Sparse)| filter.first.max(0) as usize + filter.coefficients.len() - first;
        let taps = firsts.iter().zip(&filters).map(reach).max().unwrap_or(1).clamp(1, source_samples);
        let mut table = AxisTable { taps, positions: Vec::new(), coefficients: vec![0; taps * filters.len()] };
        for ((first, filter), row) in firsts.iter().zip(&filters).zip(table.coefficients.chunks_exact_mut(taps)) {
            let position = (*first).min(source_samples - taps);
            table.positions.push(position as u16);
            for (to, from) in row.iter_mut().skip(filter.first.max(0) as usize - position).zip(&filter.coefficients) {
                *to = *from as i16;
            }
        }
        table
    }

    /// Source samples that every output sample is made of; some with a coefficient of zero.
    pub fn taps(&self) -> usize {
        self.taps
    }

    /// First source sample of every output sample; with `taps` it stays within the source.
    pub fn positions(&self) -> &[u16] {
        &self.positions
    }

    /// The coefficients of every output sample, one output after the other; those of each sum to [`ONE`].
    pub fn coefficients(&self) -> impl ExactSizeIterator<Item = &[i16]> {
        self.coefficients.chunks_exact(self.taps)
    }

    /// Whether every output is the source's sample of the same number.
    pub fn is_copy(&self) -> bool {
        self.taps == 1 && self.positions.iter().enumerate().all(|(output, position)| output == usize::from(*position))
    }
}

/// A filter of one output: coefficients from sample `first` on.
struct Sparse {
    first: i64,
    coefficients: Vec<i32>,
}

impl Sparse {
    fn of(axis: &Axis, filter: Filter, output: u32) -> Sparse {
        let (from, to) = (i64::from(axis.source_length.max(1)), i64::from(axis.target_length.max(1)));
        // The sample at (output + s) * from / to - s + shift, s being 1/2 or 1/4, over the denominator 4 * to.
        let quarters = if axis.siting == Siting::Centre { 2 } else { 1 };
        let shift = if axis.begins_at_half { 2 } else { 0 };
        let place = (4 * i64::from(output) + quarters) * from + (shift - quarters) * to;
        let (unit, reach) = (4 * to, filter.support() * 4 * from.max(to));
        let (first, last) = ((place - reach).div_euclid(unit) + 1, (place + reach - 1).div_euclid(unit));
        let weights: Vec<i64> = (first..=last)
            .map(|sample| {
                let distance = (sample * unit - place).unsigned_abs() as f64 / (4 * from.max(to)) as f64;
                (filter.weight(distance) * WEIGHT_ONE).round() as i64
            })
            .collect();
        Sparse { first, coefficients: quantized(&weights) }
    }

    /// What lies outside of the source is taken from its mirror images, and what weighs nothing at the ends is left out.
    fn mirrored(&self, samples: usize) -> Sparse {
        let period = 2 * samples as i64;
        let inside = |sample: i64| sample.rem_euclid(period).min(period - 1 - sample.rem_euclid(period));
        let places = || (self.first..).zip(&self.coefficients).filter(|(_, c)| **c != 0).map(|(sample, c)| (inside(sample), *c));
        let first = places().map(|(sample, _)| sample).min().unwrap_or(0);
        let end = places().map(|(sample, _)| sample + 1).max().unwrap_or(first);
        let mut coefficients = vec![0; (end - first) as usize];
        for (sample, coefficient) in places() {
            coefficients[(sample - first) as usize] += coefficient;
        }
        Sparse { first, coefficients }
    }
}

/// Weights as coefficients that sum to [`ONE`]. What rounding leaves goes to the largest, halved where two are.
fn quantized(weights: &[i64]) -> Vec<i32> {
    let total = i128::from(weights.iter().sum::<i64>().max(1));
    let rounded = |weight: i64| {
        let scaled = i128::from(weight) * i128::from(ONE);
        ((2 * scaled.abs() + total) / (2 * total) * scaled.signum()) as i32
    };
    let mut coefficients: Vec<i32> = weights.iter().map(|weight| rounded(*weight)).collect();
    let left = ONE - coefficients.iter().sum::<i32>();
    let largest = weights.iter().copied().max().unwrap_or(0);
    let first = weights.iter().position(|weight| *weight == largest).unwrap_or(0);
    let last = weights.iter().rposition(|weight| *weight == largest).unwrap_or(0);
    for (at, part) in [(first, left - left / 2), (last, left / 2)] {
        if let Some(coefficient) = coefficients.get_mut(at) {
            *coefficient += part;
        }
    }
    coefficients
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn luma(from: u32, to: u32) -> Axis {
        Axis {
            source_samples: from,
            source_length: from,
            target_samples: to,
            target_length: to,
            siting: Siting::Centre,
            begins_at_half: false,
        }
    }

    fn chroma(from: u32, to: u32, siting: Siting, begins_at_half: bool) -> Axis {
        let source_samples = (from + u32::from(begins_at_half)).div_ceil(2);
        Axis { source_samples, source_length: from, target_samples: to.div_ceil(2), target_length: to, siting, begins_at_half }
    }

    /// Source place that an output is the weighted mean of.
    fn centroid(table: &AxisTable, output: usize) -> f64 {
        let row = table.coefficients().nth(output).unwrap();
        let places = (0..).map(|tap| f64::from(table.positions()[output]) + f64::from(tap));
        row.iter().zip(places).map(|(c, place)| f64::from(*c) * place).sum::<f64>() / f64::from(ONE)
    }

    #[test]
    fn the_same_size_is_a_copy() {
        for filter in [Filter::Bicubic, Filter::Lanczos3] {
            assert!(AxisTable::new(&luma(1080, 1080), filter).is_copy());
            assert!(AxisTable::new(&chroma(1081, 1081, Siting::Left, false), filter).is_copy());
            assert!(!AxisTable::new(&luma(1080, 1079), filter).is_copy());
            assert!(!AxisTable::new(&chroma(100, 100, Siting::Left, true), filter).is_copy(), "half a sample aside");
        }
    }

    #[test]
    fn chroma_sited_left_stays_on_its_luma() {
        // Output chroma 50 lies on output luma 100, which lies at 300 / 2 + 0.25 of the source's luma, so at 100.5 * 1.5 - 0.5 in pixels.
        let table = AxisTable::new(&chroma(300, 200, Siting::Left, false), Filter::Bicubic);
        assert!((centroid(&table, 50) - (100.5 * 1.5 - 0.5) / 2.0).abs() < 0.02, "{}", centroid(&table, 50));
        let table = AxisTable::new(&chroma(300, 200, Siting::Centre, false), Filter::Bicubic);
        assert!((centroid(&table, 50) - (101.0 * 1.5 - 1.0) / 2.0).abs() < 0.02, "{}", centroid(&table, 50));
        let table = AxisTable::new(&chroma(300, 200, Siting::Centre, true), Filter::Bicubic);
        assert!((centroid(&table, 50) - (101.0 * 1.5) / 2.0).abs() < 0.02, "{}", centroid(&table, 50));
    }

    /// What the kernels' intermediate samples need in order to fit.
    fn magnitude(row: &[i16]) -> i32 {
        row.iter().map(|c| i32::from(*c).abs()).sum()
    }

    #[test]
    fn the_steepest_filters_overflow_nothing() {
        for (from, to) in [(16384, 1), (16384, 2), (16383, 3), (12000, 1), (8191, 1), (16384, 16), (1, 16384), (2, 16384)] {
            for filter in [Filter::Bicubic, Filter::Lanczos3] {
                let table = AxisTable::new(&luma(from, to), filter);
                assert!(table.coefficients().all(|row| magnitude(row) < 2 * ONE), "{from} to {to}, {filter:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_filter_sums_to_one_and_stays_inside(from in 1u32..2200, to in 1u32..2200, lanczos: bool, left: bool, half: bool, halved: bool) {
            let filter = if lanczos { Filter::Lanczos3 } else { Filter::Bicubic };
            let siting = if left { Siting::Left } else { Siting::Centre };
            let axis = if halved { chroma(from, to, siting, half) } else { luma(from, to) };
            let table = AxisTable::new(&axis, filter);
            prop_assert_eq!(table.positions().len(), axis.target_samples as usize);
            prop_assert!(table.positions().is_sorted());
            for (position, row) in table.positions().iter().zip(table.coefficients()) {
                prop_assert!(usize::from(*position) + table.taps() <= axis.source_samples as usize);
                prop_assert_eq!(row.iter().map(|c| i32::from(*c)).sum::<i32>(), ONE);
                prop_assert!(magnitude(row) < 2 * ONE);
            }
        }

        #[test]
        fn a_centred_axis_is_its_own_mirror_image(from in 1u32..800, to in 1u32..800, lanczos: bool) {
            let table = AxisTable::new(&luma(from, to), if lanczos { Filter::Lanczos3 } else { Filter::Bicubic });
            let dense: Vec<Vec<i32>> = table.positions().iter().zip(table.coefficients()).map(|(position, row)| {
                let mut line = vec![0; from as usize];
                row.iter().zip(usize::from(*position)..).for_each(|(c, at)| line[at] = i32::from(*c));
                line
            }).collect();
            for (line, mirror) in dense.iter().zip(dense.iter().rev()) {
                prop_assert!(line.iter().eq(mirror.iter().rev()));
            }
        }
    }
}
