//! The kernels, built for the CPU, do what the reference does, to the byte; the reference does what zimg does; the checked-in PTX is what
//! the sources give and what every card's assembler takes.

#[path = "kernel_support/mod.rs"]
mod kernel_support;
#[path = "support/tools.rs"]
#[allow(dead_code)]
mod tools;

use std::collections::HashMap;
use std::mem::size_of;
use std::path::PathBuf;
use std::process::Command;

use headend::codec::frame::{Color, Matrix};
use headend::codec::nvidia::ladder::job::{LadderJob, LumaCompareJob, LumaComparison, LumaGridJob, MODE_COPY, MODE_DIRECT, RecolorJob};
use headend::codec::nvidia::ladder::luma::{self, LumaCells, Thresholds};
use headend::codec::nvidia::ladder::recolor::Recoloring;
use headend::codec::nvidia::ladder::reference::{HostImage, Plane, compared, luma_cells, recolored, scaled};
use headend::codec::nvidia::ladder::{Filter, LadderPlan, PTX, RungGeometry, SourceGeometry};
use headend::codec::{Area, fit};
use kernel_support::{Memory, Words, build_folder, driver, repository};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn source(width: u32, height: u32, ten_bit: bool) -> SourceGeometry {
    SourceGeometry { width, height, ten_bit, crop: Area::whole(width, height) }
}

fn rung(width: u32, height: u32, ten_bit: bool) -> RungGeometry {
    RungGeometry { width, height, ten_bit, picture: Area::whole(width, height), full_range: false }
}

/// Noise: every sample takes any value.
fn noise(width: u32, height: u32, ten_bit: bool, random: &mut StdRng) -> HostImage {
    let mut image = HostImage::filled(width, height, ten_bit, [0; 3]);
    for plane in &mut image.planes {
        plane.samples.iter_mut().for_each(|sample| *sample = random.random_range(0..if ten_bit { 1024 } else { 256 }));
    }
    image
}

/// Bytes from row to row: more than a row takes, as on a device.
fn pitch(width: u32, ten_bit: bool) -> usize {
    (width.next_multiple_of(2) as usize * if ten_bit { 2 } else { 1 }).next_multiple_of(64) + 64
}

/// Runs a ladder on noise with `program` and compares every rung with the reference, and what lies around the rungs with what was there.
fn ladder_equals_reference(program: &std::path::Path, from: &SourceGeometry, rungs: &[RungGeometry], filter: Filter) -> Result<(), String> {
    let mut random = StdRng::seed_from_u64(u64::from(from.width) << 32 | u64::from(from.height));
    let image = noise(from.width, from.height, from.ten_bit, &mut random);
    let plan = LadderPlan::new(from, rungs, filter).map_err(|error| error.to_string())?;
    let mut memory = Memory::default();
    let tables = memory.add(plan.tables());
    let planes = memory.add_image(&image, pitch(from.width, from.ten_bit));
    let targets: Vec<_> = rungs.iter().map(|rung| memory.add_room(rung.width, rung.height, pitch(rung.width, rung.ten_bit))).collect();
    let launch = plan.launch(tables, &planes, &targets).map_err(|error| error.to_string())?;
    memory.run_with(program, plan.entry().to_str().expect("ASCII"), &launch, 1)?;
    for (rung, planes) in rungs.iter().zip(&targets) {
        let pitch = planes.pitch as usize;
        let length = pitch * (rung.height + rung.height.div_ceil(2)) as usize;
        let bytes = memory.at(planes.y, length);
        let made = HostImage::from_bytes(rung.width, rung.height, rung.ten_bit, pitch, bytes);
        let expected = scaled(&image, from, rung, filter);
        for (name, (made, expected)) in ["Y", "Cb", "Cr"].iter().zip(made.planes.iter().zip(&expected.planes)) {
            let differing = made.samples.iter().zip(&expected.samples).position(|(made, expected)| made != expected);
            if let Some(at) = differing {
                let (x, y) = (at % made.width, at / made.width);
                return Err(format!(
                    "{from:?} to {rung:?}, {filter:?}: {name} at {x},{y} is {}, not {}",
                    made.samples[at], expected.samples[at]
                ));
            }
        }
        let samples = |width: u32| width as usize * if rung.ten_bit { 2 } else { 1 };
        for (row, bytes) in bytes.chunks_exact(pitch).enumerate() {
            let used = if row < rung.height as usize { samples(rung.width) } else { samples(rung.width.next_multiple_of(2)) };
            assert!(bytes[used..].iter().all(|byte| *byte == 0x5A), "{from:?} to {rung:?}: row {row} is written beyond its end");
        }
        assert!(memory.at(planes.y - 64, 64).iter().chain(memory.at(planes.y + length as u64, 64)).all(|byte| *byte == 0xA5));
    }
    Ok(())
}

fn holds(from: &SourceGeometry, rungs: &[RungGeometry], filter: Filter) {
    ladder_equals_reference(driver(), from, rungs, filter).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn jobs_have_the_sizes_that_kernels_expect() {
    let printed = Command::new(driver()).arg("sizes").output().expect("it runs").stdout;
    let printed = String::from_utf8(printed).expect("text");
    let sizes: HashMap<&str, usize> =
        printed.lines().filter_map(|line| line.split_once(' ')).map(|(name, size)| (name, size.parse().expect("a size"))).collect();
    let ours = [
        ("LadderJob", size_of::<LadderJob>(), LadderJob::default().bytes().len()),
        ("RecolorJob", size_of::<RecolorJob>(), RecolorJob::default().bytes().len()),
        ("LumaGridJob", size_of::<LumaGridJob>(), LumaGridJob::default().bytes().len()),
        ("LumaCompareJob", size_of::<LumaCompareJob>(), LumaCompareJob::default().bytes().len()),
        ("LumaComparison", size_of::<LumaComparison>(), size_of::<LumaComparison>()),
    ];
    assert_eq!(sizes.len(), ours.len());
    // That the fields add up to the struct says that nothing is padding.
    ours.iter().for_each(|(name, size, words)| assert_eq!((sizes[name], *words), (*size, *size), "{name}"));
}

#[test]
fn every_depth_into_every_depth_equals_the_reference() {
    for (from, to) in [(false, false), (true, true), (true, false), (false, true)] {
        for filter in [Filter::Bicubic, Filter::Lanczos3] {
            holds(&source(320, 180, from), &[rung(320, 180, to), rung(212, 120, to), rung(106, 60, to), rung(480, 270, to)], filter);
        }
    }
}

#[test]
fn odd_sizes_equal_the_reference() {
    for (width, height) in [(1, 1), (2, 2), (3, 5), (63, 31), (65, 33), (127, 97), (321, 183)] {
        let rungs = [rung(width, height, false), rung(101, 57, false), rung(33, 19, false), rung(1, 1, false), rung(64, 2, false)];
        holds(&source(width, height, false), &rungs, Filter::Bicubic);
        holds(&source(width, height, true), &rungs.map(|rung| RungGeometry { ten_bit: true, ..rung }), Filter::Lanczos3);
    }
}

#[test]
fn the_steepest_ladder_equals_the_reference() {
    let from = source(1920, 1080, true);
    let rungs = [rung(1280, 720, true), rung(80, 44, true), rung(16, 16, true)];
    let plan = LadderPlan::new(&from, &rungs, Filter::Lanczos3).unwrap();
    let planes = Default::default();
    let wide = headend::codec::nvidia::ladder::DevicePlanes { pitch: 4096, ..planes };
    let modes = plan.launch(0, &wide, &[wide; 3]).unwrap().job.planes.map(|plane| [plane.targets[1].mode, plane.targets[2].mode]);
    assert_eq!(modes, [[MODE_DIRECT; 2]; 2], "too wide for a window, or this tests nothing");
    holds(&from, &rungs, Filter::Lanczos3);
    // And the steepest enlargement.
    holds(&source(16, 16, false), &[rung(1280, 720, false), rung(16, 16, false)], Filter::Bicubic);
}

#[test]
fn the_sources_own_size_is_copied_and_not_filtered() {
    let plan = LadderPlan::new(&source(640, 360, false), &[rung(640, 360, false)], Filter::Lanczos3).unwrap();
    let wide = headend::codec::nvidia::ladder::DevicePlanes { pitch: 1024, ..Default::default() };
    let job = plan.launch(0, &wide, &[wide]).unwrap().job;
    assert_eq!(job.planes.map(|plane| plane.targets[0].mode), [MODE_COPY; 2]);
}

#[test]
fn crop_and_pad_equal_the_reference() {
    let crops = [
        Area { x: 0, y: 0, width: 320, height: 180 },
        Area { x: 8, y: 4, width: 300, height: 170 },
        Area { x: 7, y: 3, width: 301, height: 171 },
        Area { x: 319, y: 179, width: 1, height: 1 },
    ];
    let pictures = [
        Area { x: 0, y: 22, width: 200, height: 68 },
        Area { x: 30, y: 0, width: 140, height: 112 },
        Area { x: 10, y: 20, width: 101, height: 51 },
        Area { x: 198, y: 110, width: 2, height: 2 },
    ];
    for crop in crops {
        for (full_range, ten_bit) in [(false, false), (true, true)] {
            let rungs = pictures.map(|picture| RungGeometry { width: 200, height: 112, ten_bit, picture, full_range });
            holds(&SourceGeometry { crop, ..source(322, 184, false) }, &rungs, Filter::Bicubic);
        }
    }
}

#[test]
fn any_ladder_equals_the_reference() {
    let mut random = StdRng::seed_from_u64(20);
    for _ in 0..60 {
        let (width, height, ten_bit) = (random.random_range(1..400), random.random_range(1..300), random.random());
        let crop_width = random.random_range(1..=width);
        let crop_height = random.random_range(1..=height);
        let crop = Area {
            x: random.random_range(0..=width - crop_width),
            y: random.random_range(0..=height - crop_height),
            width: crop_width,
            height: crop_height,
        };
        let target_ten_bit = random.random();
        let rungs: Vec<RungGeometry> = (0..random.random_range(1..=8))
            .map(|_| {
                let (width, height) = (random.random_range(1..200u32) * 2, random.random_range(1..150u32) * 2);
                RungGeometry { picture: fit(crop.width, crop.height, 1.0, width, height), ..rung(width, height, target_ten_bit) }
            })
            .collect();
        let filter = if random.random() { Filter::Bicubic } else { Filter::Lanczos3 };
        holds(&SourceGeometry { crop, ..source(width, height, ten_bit) }, &rungs, filter);
    }
}

#[test]
fn recolouring_equals_the_reference() {
    let mut random = StdRng::seed_from_u64(3);
    let colors = [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020]
        .into_iter()
        .flat_map(|matrix| [false, true].map(|full_range| Color { matrix, full_range }))
        .collect::<Vec<_>>();
    for (index, (from, to)) in colors.iter().flat_map(|from| colors.iter().map(move |to| (*from, *to))).enumerate() {
        let (ten_bit, width, height) = (index % 2 == 0, 150 + index as u32, 90 - index as u32);
        let Some(recoloring) = Recoloring::new(from, to, ten_bit) else { continue };
        let mut image = noise(width, height, ten_bit, &mut random);
        let picture = Area { x: 6, y: 4, width: width - 6, height: height - 9 };
        let mut memory = Memory::default();
        let planes = memory.add_image(&image, pitch(width, ten_bit));
        memory.run(recoloring.entry(), &recoloring.launch(&planes, picture).unwrap());
        let bytes = memory.at(planes.y, planes.pitch as usize * (height + height.div_ceil(2)) as usize);
        let made = HostImage::from_bytes(width, height, ten_bit, planes.pitch as usize, bytes);
        recolored(&mut image, picture, &recoloring);
        assert!(made == image, "{from:?} to {to:?}, {width}x{height}, ten bits {ten_bit}");
    }
}

#[test]
fn cells_and_their_comparison_equal_the_reference() {
    let mut random = StdRng::seed_from_u64(4);
    for (width, height, ten_bit) in [(1, 1, false), (17, 3, true), (722, 578, false), (1000, 563, true)] {
        let shown = Area { x: width / 3, y: height / 5, width: width - width / 3, height: height - height / 5 };
        let images = [0; 2].map(|_| noise(width, height, ten_bit, &mut random));
        let cells = LumaCells::of(shown.width, shown.height);
        let mut memory = Memory::default();
        let addresses = images.each_ref().map(|image| {
            let planes = memory.add_image(image, pitch(width, ten_bit));
            let address = memory.add(&vec![0; 2 * cells.count() as usize]);
            memory.run(luma::grid_entry(ten_bit), &luma::grid(&planes, shown, ten_bit, address));
            address
        });
        let expected = images.each_ref().map(|image| luma_cells(image, shown));
        for (address, expected) in addresses.iter().zip(&expected) {
            let words = memory.at(*address, 2 * cells.count() as usize).chunks_exact(2);
            let made: Vec<u16> = words.map(|word| u16::from_le_bytes([word[0], word[1]])).collect();
            assert_eq!(&made, expected, "{width}x{height}");
        }
        let thresholds = Thresholds { noise: 3000, dark: 30000 };
        let result = memory.add(&[0; 16]);
        memory.run(luma::COMPARE_ENTRY, &luma::compare(addresses[0], addresses[1], result, cells, thresholds));
        let counted = compared(&expected[0], &expected[1], thresholds);
        let bytes: Vec<u8> =
            counted.changed.to_le_bytes().into_iter().chain(counted.dark.to_le_bytes()).chain(counted.sum.to_le_bytes()).collect();
        assert_eq!(memory.at(result, 16), bytes, "{counted:?}");
    }
}
