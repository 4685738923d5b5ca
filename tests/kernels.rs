//! The kernels, built for the CPU, do what the reference does, to the byte; and the reference does what zimg does.

#[path = "kernel_support/mod.rs"]
mod kernel_support;
#[path = "support/tools.rs"]
#[allow(dead_code)]
mod tools;

use std::collections::HashMap;
use std::io::Write;
use std::mem::size_of;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use headend::codec::frame::{Color, Matrix};
use headend::codec::nvidia::ladder::job::{
    BLOCK, LadderJob, LumaCompareJob, LumaComparison, LumaGridJob, MODE_COPY, MODE_DIRECT, RecolorJob,
};
use headend::codec::nvidia::ladder::luma::{self, LumaCells, Thresholds};
use headend::codec::nvidia::ladder::recolor::Recoloring;
use headend::codec::nvidia::ladder::reference::{HostImage, Plane, compared, luma_cells, recolored, scaled};
use headend::codec::nvidia::ladder::{DevicePlanes, Filter, LadderPlan, RungGeometry, SourceGeometry};
use headend::codec::{Area, fit};
use kernel_support::compare::{ladder_equals_reference, noise, pitch, rung, source};
use kernel_support::{Memory, Words, build_folder, driver, repository};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn holds(from: &SourceGeometry, rungs: &[RungGeometry], filter: Filter) {
    ladder_equals_reference(driver(), BLOCK, from, rungs, filter).unwrap_or_else(|error| panic!("{error}"));
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
    let wide = DevicePlanes { pitch: 4096, ..DevicePlanes::default() };
    let modes = plan.launch(0, &wide, &[wide; 3]).unwrap().job.planes.map(|plane| [plane.targets[1].mode, plane.targets[2].mode]);
    assert_eq!(modes, [[MODE_DIRECT; 2]; 2], "too wide for a window, or this tests nothing");
    holds(&from, &rungs, Filter::Lanczos3);
    // And the steepest enlargement.
    holds(&source(16, 16, false), &[rung(1280, 720, false), rung(16, 16, false)], Filter::Bicubic);
}

#[test]
fn the_sources_own_size_is_copied_and_not_filtered() {
    let plan = LadderPlan::new(&source(640, 360, false), &[rung(640, 360, false)], Filter::Lanczos3).unwrap();
    let wide = DevicePlanes { pitch: 1024, ..DevicePlanes::default() };
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

/// A picture with what pictures have: slopes, an edge, texture of every fineness.
fn scene(width: u32, height: u32) -> HostImage {
    let wave = |x: f64, y: f64, length: f64, angle: f64| ((x * angle.cos() + y * angle.sin()) * std::f64::consts::TAU / length).sin();
    let value = |x: f64, y: f64, salt: f64| {
        let texture: f64 = (1..9).map(|octave| wave(x, y, 3.0 * 1.7f64.powi(octave), salt + f64::from(octave) * 2.4) * 5.0).sum();
        let edge = if (x - width as f64 / 2.0).hypot(y - height as f64 / 2.0) < height as f64 / 3.0 { 40.0 } else { 0.0 };
        (100.0 + texture + edge + 30.0 * x / width as f64).round().clamp(16.0, 235.0) as u16
    };
    let mut image = HostImage::filled(width, height, false, [0; 3]);
    for (plane, (step, salt)) in image.planes.iter_mut().zip([(1.0, 0.0), (2.0, 0.7), (2.0, 1.9)]) {
        *plane = Plane::painted(plane.width, plane.height, |x, y| value(x as f64 * step, y as f64 * step, salt));
    }
    image
}

/// zimg as a program.
fn zimg() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = build_folder().join("zimg");
        let mut compile = Command::new("gcc");
        compile.args(["-O2", "-Wall", "-Wextra", "-Werror"]).arg(repository().join("tests/kernel_support/zimg.c"));
        let built = compile.arg("-o").arg(&program).arg("-lzimg").output().expect("gcc runs");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        program
    })
}

/// The picture scaled by zimg.
fn by_zimg(image: &HostImage, filter: &str, width: u32, height: u32) -> HostImage {
    let sizes = [image.planes[0].width as u32, image.planes[0].height as u32, width, height].map(|size| size.to_string());
    let mut child = Command::new(zimg()).arg(filter).args(sizes).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let samples: Vec<u8> = image.planes.iter().flat_map(|plane| plane.samples.iter().map(|sample| *sample as u8)).collect();
    child.stdin.take().expect("piped").write_all(&samples).expect("it reads all before it writes");
    let output = child.wait_with_output().expect("it ends").stdout;
    let mut samples = output.into_iter().map(u16::from);
    let mut scaled = HostImage::filled(width, height, false, [0; 3]);
    scaled.planes.iter_mut().flat_map(|plane| plane.samples.iter_mut()).for_each(|sample| *sample = samples.next().expect("enough"));
    scaled
}

fn psnr(one: &Plane, other: &Plane) -> f64 {
    let squares: f64 = one.samples.iter().zip(&other.samples).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    10.0 * (255.0 * 255.0 * one.samples.len() as f64 / squares.max(1e-9)).log10()
}

#[test]
fn zimg_makes_the_same_pictures() {
    if !Path::new("/usr/include/zimg.h").exists() {
        return tools::left_out("libzimg-dev missing (make test-deps installs it)");
    }
    let image = scene(1280, 720);
    for (filter, name) in [(Filter::Bicubic, "bicubic"), (Filter::Lanczos3, "lanczos")] {
        for (width, height) in [(854, 480), (640, 360), (426, 240), (1920, 1080)] {
            let ours = scaled(&image, &source(1280, 720, false), &rung(width, height, false), filter);
            let theirs = by_zimg(&image, name, width, height);
            let figures: Vec<f64> = ours.planes.iter().zip(&theirs.planes).map(|(ours, theirs)| psnr(ours, theirs)).collect();
            println!("{name} to {width}x{height}: {figures:.1?} dB");
            assert!(figures.iter().all(|figure| *figure >= 65.0), "{name} to {width}x{height}: {figures:.1?} dB");
        }
    }
}
