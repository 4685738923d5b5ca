//! A ladder run on noise, compared with the reference byte for byte.

use std::path::Path;

use headend::codec::Area;
use headend::codec::nvidia::ladder::reference::{HostImage, scaled};
use headend::codec::nvidia::ladder::{DevicePlanes, Filter, LadderPlan, Launch, RungGeometry, SourceGeometry};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{GUARD, Memory, ROOM};

/// A source that is shown whole.
pub fn source(width: u32, height: u32, ten_bit: bool) -> SourceGeometry {
    SourceGeometry { width, height, ten_bit, crop: Area::whole(width, height) }
}

/// A rung that the picture fills.
pub fn rung(width: u32, height: u32, ten_bit: bool) -> RungGeometry {
    RungGeometry { width, height, ten_bit, picture: Area::whole(width, height), full_range: false }
}

/// Noise: every sample takes any value.
pub fn noise(width: u32, height: u32, ten_bit: bool, random: &mut StdRng) -> HostImage {
    let mut image = HostImage::filled(width, height, ten_bit, [0; 3]);
    for plane in &mut image.planes {
        plane.samples.iter_mut().for_each(|sample| *sample = random.random_range(0..if ten_bit { 1024 } else { 256 }));
    }
    image
}

/// Bytes from row to row: more than a row takes, as on a device.
pub fn pitch(width: u32, ten_bit: bool) -> usize {
    (width.next_multiple_of(2) as usize * if ten_bit { 2 } else { 1 }).next_multiple_of(64) + 64
}

/// Runs a ladder on noise with `program`, in blocks of `block` threads. An error says which sample is not the reference's, or what the
/// program said before it failed.
pub fn ladder_equals_reference(
    program: &Path,
    block: [u32; 3],
    from: &SourceGeometry,
    rungs: &[RungGeometry],
    filter: Filter,
) -> Result<(), String> {
    let mut random = StdRng::seed_from_u64((u64::from(from.width) << 32) | u64::from(from.height));
    let image = noise(from.width, from.height, from.ten_bit, &mut random);
    let plan = LadderPlan::new(from, rungs, filter).map_err(|error| error.to_string())?;
    let mut memory = Memory::default();
    let tables = memory.add(plan.tables());
    let planes = memory.add_image(&image, pitch(from.width, from.ten_bit));
    let targets: Vec<_> = rungs.iter().map(|rung| memory.add_room(rung.height, pitch(rung.width, rung.ten_bit))).collect();
    let launch = plan.launch(tables, &planes, &targets).map_err(|error| error.to_string())?;
    memory.run_with(program, plan.entry().to_str().expect("ASCII"), &Launch { block, ..launch }, 1)?;
    for (rung, planes) in rungs.iter().zip(&targets) {
        let made = made(&memory, planes, rung)?;
        same(&made, &scaled(&image, from, rung, filter)).map_err(|differs| format!("{from:?} to {rung:?}, {filter:?}: {differs}"))?;
    }
    Ok(())
}

/// What a kernel wrote; an error where it wrote beside it.
fn made(memory: &Memory, planes: &DevicePlanes, rung: &RungGeometry) -> Result<HostImage, String> {
    let (pitch, sample_bytes) = (planes.pitch as usize, if rung.ten_bit { 2 } else { 1 });
    let length = pitch * (rung.height + rung.height.div_ceil(2)) as usize;
    let bytes = memory.at(planes.y, length);
    for (row, bytes) in bytes.chunks_exact(pitch).enumerate() {
        let samples = if row < rung.height as usize { rung.width } else { rung.width.next_multiple_of(2) };
        if bytes[samples as usize * sample_bytes..].iter().any(|byte| *byte != ROOM) {
            return Err(format!("{rung:?}: row {row} is written beyond its end"));
        }
    }
    match memory.at(planes.y - 64, 64).iter().chain(memory.at(planes.y + length as u64, 64)).all(|byte| *byte == GUARD) {
        true => Ok(HostImage::from_bytes(rung.width, rung.height, rung.ten_bit, pitch, bytes)),
        false => Err(format!("{rung:?}: written outside of the buffer")),
    }
}

fn same(made: &HostImage, expected: &HostImage) -> Result<(), String> {
    for (name, (made, expected)) in ["Y", "Cb", "Cr"].iter().zip(made.planes.iter().zip(&expected.planes)) {
        if let Some(at) = made.samples.iter().zip(&expected.samples).position(|(made, expected)| made != expected) {
            let (x, y) = (at % made.width, at / made.width);
            return Err(format!("{name} at {x},{y} is {}, not {}", made.samples[at], expected.samples[at]));
        }
    }
    Ok(())
}
