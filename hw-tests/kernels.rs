//! Every kernel on noise, compared with the plain reference to the byte. Beside every buffer lie guards that show what is written past it.

use std::ffi::CStr;
use std::sync::Arc;

use headend::codec::nvidia::cuda::{Argument, Buffer, Device, Module, Pinned, Stream};
use headend::codec::nvidia::ladder::luma::{self, LumaCells, Thresholds};
use headend::codec::nvidia::ladder::recolor::Recoloring;
use headend::codec::nvidia::ladder::reference::{HostImage, compared, luma_cells, recolored, scaled};
use headend::codec::nvidia::ladder::{DevicePlanes, Filter, LadderPlan, Launch, PTX, RungGeometry, SourceGeometry};
use headend::codec::{Area, Color, Matrix, fit};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::bench::{Bench, words};
use crate::report::Findings;

/// What a buffer has that nothing is written to.
const UNTOUCHED: u8 = 0xA5;
/// Bytes around every buffer.
const MARGIN: usize = 256;

/// A source that is shown whole.
fn source(width: u32, height: u32, ten_bit: bool) -> SourceGeometry {
    SourceGeometry { width, height, ten_bit, crop: Area::whole(width, height) }
}

/// A rung that the picture fills.
fn rung(width: u32, height: u32, ten_bit: bool) -> RungGeometry {
    RungGeometry { width, height, ten_bit, picture: Area::whole(width, height), full_range: false }
}

/// Compares every entry.
pub fn check(bench: &Bench, findings: &mut Findings) -> Result<(), String> {
    let mut lab = Lab::new(&bench.device()?)?;
    let mut random = StdRng::seed_from_u64(20);
    let groups: [(&str, Vec<Ladder>); 4] =
        [("every depth into every depth", depths()), ("odd sizes", odd_sizes()), ("crops and bars", crops()), ("steep ratios", steep())];
    for (what, ladders) in groups {
        findings.judge(what, &format!("{} ladders", ladders.len()), ladders.iter().try_for_each(|ladder| lab.holds(ladder, &mut random)));
    }
    let count = if bench.quick { 10 } else { 200 };
    let ladders = (0..count).map(|_| any(&mut random)).collect::<Vec<_>>();
    findings.judge("any ladder", &format!("{count} ladders"), ladders.iter().try_for_each(|ladder| lab.holds(ladder, &mut random)));
    let full_hd = Ladder::new(
        source(1920, 1080, false),
        vec![rung(1920, 1080, false), rung(1280, 720, false), rung(854, 480, false)],
        Filter::Bicubic,
    );
    findings.judge("1080p", "1 ladder", lab.holds(&full_hd, &mut random));
    findings.judge("colours into each other", "30 pairs", lab.recolours(&mut random));
    findings.judge("brightness of cells, and what changed", "4 sizes", lab.sees(&mut random));
    Ok(())
}

/// A source, its rungs and a filter.
struct Ladder {
    source: SourceGeometry,
    rungs: Vec<RungGeometry>,
    filter: Filter,
}

impl Ladder {
    fn new(source: SourceGeometry, rungs: Vec<RungGeometry>, filter: Filter) -> Ladder {
        Ladder { source, rungs, filter }
    }
}

fn depths() -> Vec<Ladder> {
    let depths = [(false, false), (true, true), (true, false), (false, true)];
    let both = depths.into_iter().flat_map(|depth| [Filter::Bicubic, Filter::Lanczos3].map(|filter| (depth, filter)));
    both.map(|((from, to), filter)| {
        let rungs = [(320, 180), (212, 120), (106, 60), (480, 270)].map(|(width, height)| rung(width, height, to));
        Ladder::new(source(320, 180, from), rungs.to_vec(), filter)
    })
    .collect()
}

fn odd_sizes() -> Vec<Ladder> {
    let sizes = [(1, 1), (2, 2), (3, 5), (63, 31), (65, 33), (127, 97), (321, 183)];
    let both = sizes.into_iter().flat_map(|size| [(size, false, Filter::Bicubic), (size, true, Filter::Lanczos3)]);
    both.map(|((width, height), ten_bit, filter)| {
        let rungs = [(width, height), (101, 57), (33, 19), (1, 1), (64, 2)].map(|(width, height)| rung(width, height, ten_bit));
        Ladder::new(source(width, height, ten_bit), rungs.to_vec(), filter)
    })
    .collect()
}

fn crops() -> Vec<Ladder> {
    let area = |x, y, width, height| Area { x, y, width, height };
    let pictures = [area(0, 22, 200, 68), area(30, 0, 140, 112), area(10, 20, 101, 51), area(198, 110, 2, 2)];
    let crops = [area(0, 0, 320, 180), area(8, 4, 300, 170), area(7, 3, 301, 171), area(319, 179, 1, 1)];
    let both = crops.into_iter().flat_map(|crop| [(crop, false), (crop, true)]);
    both.map(|(crop, wide)| {
        let rungs = pictures.map(|picture| RungGeometry { width: 200, height: 112, ten_bit: wide, picture, full_range: wide });
        Ladder::new(SourceGeometry { crop, ..source(322, 184, false) }, rungs.to_vec(), Filter::Bicubic)
    })
    .collect()
}

fn steep() -> Vec<Ladder> {
    vec![
        Ladder::new(source(1920, 1080, true), vec![rung(80, 44, true), rung(16, 16, true)], Filter::Lanczos3),
        Ladder::new(source(16, 16, false), vec![rung(1280, 720, false), rung(16, 16, false)], Filter::Bicubic),
    ]
}

fn any(random: &mut StdRng) -> Ladder {
    let (width, height, to) = (random.random_range(1..400), random.random_range(1..300), random.random());
    let (crop_width, crop_height) = (random.random_range(1..=width), random.random_range(1..=height));
    let (x, y) = (random.random_range(0..=width - crop_width), random.random_range(0..=height - crop_height));
    let crop = Area { x, y, width: crop_width, height: crop_height };
    let count = random.random_range(1..=8);
    let rungs = (0..count).map(|_| {
        let (width, height) = (random.random_range(1..200u32) * 2, random.random_range(1..150u32) * 2);
        RungGeometry { picture: fit(crop_width, crop_height, 1.0, width, height), ..rung(width, height, to) }
    });
    let rungs = rungs.collect();
    let filter = if random.random() { Filter::Bicubic } else { Filter::Lanczos3 };
    Ladder::new(SourceGeometry { crop, ..source(width, height, random.random()) }, rungs, filter)
}

fn noise(width: u32, height: u32, ten_bit: bool, random: &mut StdRng) -> HostImage {
    let mut image = HostImage::filled(width, height, ten_bit, [0; 3]);
    for plane in &mut image.planes {
        plane.samples.iter_mut().for_each(|sample| *sample = random.random_range(0..if ten_bit { 1024 } else { 256 }));
    }
    image
}

/// Bytes from row to row: more than a row takes.
fn pitch(width: u32, ten_bit: bool) -> usize {
    (width.next_multiple_of(2) as usize * if ten_bit { 2 } else { 1 }).next_multiple_of(64) + 64
}

/// The device's memory as a run has it, built up in main memory, taken there, and read back.
struct Lab {
    stream: Arc<Stream>,
    module: Arc<Module>,
    memory: Buffer,
    back: Pinned,
    bytes: Vec<u8>,
}

impl Lab {
    /// Room for two pictures of 1080p in 10 bits and their rungs.
    const ROOM: usize = 32 << 20;

    fn new(device: &Arc<Device>) -> Result<Lab, String> {
        let ptx = CStr::from_bytes_until_nul(PTX.as_bytes()).map_err(words)?;
        Ok(Lab {
            stream: Stream::new(device).map_err(words)?,
            module: Module::load(device, ptx).map_err(words)?,
            memory: Buffer::new(device, Lab::ROOM).map_err(words)?,
            back: Pinned::new(device, Lab::ROOM).map_err(words)?,
            bytes: Vec::new(),
        })
    }

    /// Puts bytes between guards; gives their address.
    fn add(&mut self, bytes: &[u8]) -> u64 {
        self.bytes.resize(self.bytes.len().next_multiple_of(256) + MARGIN, UNTOUCHED);
        let at = self.bytes.len();
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len() + MARGIN, UNTOUCHED);
        self.memory.pointer() + at as u64
    }

    fn add_image(&mut self, image: &HostImage, width: u32) -> DevicePlanes {
        let pitch = pitch(width, image.ten_bit);
        let y = self.add(&image.to_bytes(pitch));
        DevicePlanes { y, uv: y + (pitch * image.planes[0].height) as u64, pitch: pitch as u32 }
    }

    fn add_room(&mut self, rung: &RungGeometry) -> DevicePlanes {
        let pitch = pitch(rung.width, rung.ten_bit);
        let y = self.add(&vec![UNTOUCHED; pitch * (rung.height + rung.height.div_ceil(2)) as usize]);
        DevicePlanes { y, uv: y + (pitch * rung.height as usize) as u64, pitch: pitch as u32 }
    }

    fn run<Job: Argument>(&mut self, entry: &CStr, launch: &Launch<Job>) -> Result<(), String> {
        if self.bytes.len() > Lab::ROOM {
            return Err(format!("{} bytes are more than there is room for", self.bytes.len()));
        }
        let kernel = self.module.kernel(entry).map_err(words)?;
        self.memory.write(&self.bytes, &self.stream).map_err(words)?;
        kernel.launch(&self.stream, launch.grid, launch.block, launch.shared_bytes, &launch.job).map_err(words)?;
        self.memory.read(&mut self.back, self.bytes.len(), &self.stream).map_err(words)?;
        self.stream.synchronize().map_err(words)?;
        let length = self.bytes.len();
        self.bytes.copy_from_slice(self.back.bytes().get(..length).ok_or("too little came back")?);
        Ok(())
    }

    fn at(&self, address: u64, length: usize) -> &[u8] {
        let at = (address - self.memory.pointer()) as usize;
        self.bytes.get(at..at + length).unwrap_or_default()
    }

    fn holds(&mut self, ladder: &Ladder, random: &mut StdRng) -> Result<(), String> {
        let Ladder { source, rungs, filter } = ladder;
        let image = noise(source.width, source.height, source.ten_bit, random);
        let plan = LadderPlan::new(source, rungs, *filter).map_err(words)?;
        self.bytes.clear();
        let tables = self.add(plan.tables());
        let from = self.add_image(&image, source.width);
        let targets: Vec<DevicePlanes> = rungs.iter().map(|rung| self.add_room(rung)).collect();
        let before = self.at(from.y, image.to_bytes(from.pitch as usize).len()).to_vec();
        self.run(plan.entry(), &plan.launch(tables, &from, &targets).map_err(words)?)?;
        if self.at(from.y, before.len()) != before {
            return Err(format!("{source:?}: the source was written to"));
        }
        for (rung, planes) in rungs.iter().zip(&targets) {
            let told = |differs: String| format!("{source:?} to {rung:?}, {filter:?}: {differs}");
            let made = self.made(planes, rung).map_err(told)?;
            same(&made, &scaled(&image, source, rung, *filter)).map_err(told)?;
        }
        Ok(())
    }

    /// What a kernel wrote; an error where it wrote beside it.
    fn made(&self, planes: &DevicePlanes, rung: &RungGeometry) -> Result<HostImage, String> {
        let (pitch, sample_bytes) = (planes.pitch as usize, if rung.ten_bit { 2 } else { 1 });
        let length = pitch * (rung.height + rung.height.div_ceil(2)) as usize;
        let bytes = self.at(planes.y, length);
        let untouched = |bytes: &[u8]| bytes.iter().all(|byte| *byte == UNTOUCHED);
        for (row, bytes) in bytes.chunks_exact(pitch).enumerate() {
            let samples = if row < rung.height as usize { rung.width } else { rung.width.next_multiple_of(2) } as usize;
            if !untouched(bytes.get(samples * sample_bytes..).unwrap_or_default()) {
                return Err(format!("row {row} is written beyond its end"));
            }
        }
        match untouched(self.at(planes.y - MARGIN as u64, MARGIN)) && untouched(self.at(planes.y + length as u64, MARGIN)) {
            true => Ok(HostImage::from_bytes(rung.width, rung.height, rung.ten_bit, pitch, bytes)),
            false => Err("written outside of the buffer".into()),
        }
    }

    fn recolours(&mut self, random: &mut StdRng) -> Result<(), String> {
        let matrices = [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020];
        let colors: Vec<Color> =
            matrices.into_iter().flat_map(|matrix| [false, true].map(|full_range| Color { matrix, full_range })).collect();
        for (index, (from, to)) in colors.iter().flat_map(|from| colors.iter().map(move |to| (*from, *to))).enumerate() {
            let (ten_bit, width, height) = (index % 2 == 0, 150 + index as u32, 90 - index as u32);
            let Some(recoloring) = Recoloring::new(from, to, ten_bit) else { continue };
            let mut image = noise(width, height, ten_bit, random);
            let picture = Area { x: 6, y: 4, width: width - 6, height: height - 9 };
            self.bytes.clear();
            let planes = self.add_image(&image, width);
            self.run(recoloring.entry(), &recoloring.launch(&planes, picture).map_err(words)?)?;
            let bytes = self.at(planes.y, planes.pitch as usize * (height + height.div_ceil(2)) as usize);
            let made = HostImage::from_bytes(width, height, ten_bit, planes.pitch as usize, bytes);
            recolored(&mut image, picture, &recoloring);
            same(&made, &image).map_err(|differs| format!("{from:?} to {to:?}, {width}x{height}: {differs}"))?;
        }
        Ok(())
    }

    fn sees(&mut self, random: &mut StdRng) -> Result<(), String> {
        for (width, height, ten_bit) in [(1, 1, false), (17, 3, true), (722, 578, false), (1000, 563, true)] {
            let shown = Area { x: width / 3, y: height / 5, width: width - width / 3, height: height - height / 5 };
            let images = [0; 2].map(|_| noise(width, height, ten_bit, random));
            let layout = LumaCells::of(shown.width, shown.height);
            let expected = images.each_ref().map(|image| luma_cells(image, shown));
            self.bytes.clear();
            let mut addresses = [0; 2];
            for (address, (image, expected)) in addresses.iter_mut().zip(images.iter().zip(&expected)) {
                let planes = self.add_image(image, width);
                *address = self.add(&vec![0; 2 * layout.count() as usize]);
                self.run(luma::grid_entry(ten_bit), &luma::grid(&planes, shown, ten_bit, *address))?;
                let cells = self.at(*address, 2 * layout.count() as usize).chunks_exact(2);
                if !cells.map(|cell| u16::from_le_bytes([cell[0], cell[1]])).eq(expected.iter().copied()) {
                    return Err(format!("cells of {width}x{height} differ"));
                }
            }
            let thresholds = Thresholds { noise: 3000, dark: 30000 };
            let result = self.add(&[0; 16]);
            self.run(luma::COMPARE_ENTRY, &luma::compare(addresses[0], addresses[1], result, layout, thresholds))?;
            let counted = compared(&expected[0], &expected[1], thresholds);
            let bytes = [&counted.changed.to_le_bytes()[..], &counted.dark.to_le_bytes(), &counted.sum.to_le_bytes()].concat();
            if self.at(result, 16) != bytes {
                return Err(format!("what changed of {width}x{height} is not {counted:?}"));
            }
        }
        Ok(())
    }
}

/// An error that names the first sample that differs.
pub fn same(made: &HostImage, expected: &HostImage) -> Result<(), String> {
    for (name, (made, expected)) in ["Y", "Cb", "Cr"].iter().zip(made.planes.iter().zip(&expected.planes)) {
        if (made.width, made.height) != (expected.width, expected.height) {
            return Err(format!("{name} is {}x{}, not {}x{}", made.width, made.height, expected.width, expected.height));
        }
        if let Some(at) = made.samples.iter().zip(&expected.samples).position(|(made, expected)| made != expected) {
            let (x, y) = (at % made.width, at / made.width);
            return Err(format!("{name} at {x},{y} is {}, not {}", made.at(x, y), expected.at(x, y)));
        }
    }
    Ok(())
}
