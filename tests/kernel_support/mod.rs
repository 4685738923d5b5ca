//! Kernels that run on files: a job, memory that stands for the device's, and the program that `kernels/build-cpu.sh` builds.

pub mod compare;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use headend::codec::nvidia::ladder::job::{LadderJob, LumaCompareJob, LumaGridJob, RecolorJob};
use headend::codec::nvidia::ladder::reference::HostImage;
use headend::codec::nvidia::ladder::{DevicePlanes, Launch};
use tempfile::TempDir;

/// The repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where this file's programs are built.
pub fn build_folder() -> PathBuf {
    let folder = repository().join("target").join("kernels");
    fs::create_dir_all(&folder).expect("target can be written");
    folder
}

/// The kernels for the CPU, built once.
pub fn driver() -> &'static Path {
    static DRIVER: OnceLock<PathBuf> = OnceLock::new();
    DRIVER.get_or_init(|| {
        let built = Command::new(repository().join("kernels/build-cpu.sh")).arg(build_folder()).output().expect("bash runs");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        build_folder().join("drive-kernels")
    })
}

/// A job's words in the order of `kernels/jobs.h`.
pub trait Words {
    /// Its bytes.
    fn bytes(&self) -> Vec<u8>;
}

macro_rules! words {
    ($bytes:ident, $($value:expr),* $(,)?) => { $( $bytes.extend($value.to_ne_bytes()); )* };
}

impl Words for LadderJob {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        words!(bytes, self.tables, self.rungs, self.reserved);
        for plane in &self.planes {
            words!(bytes, plane.samples, plane.pitch, plane.middle_offset, plane.width, plane.height, plane.tile_width, plane.tile_height);
            words!(bytes, plane.tiles_across, plane.tiles_down, plane.halo_left, plane.halo_top, plane.window_width, plane.window_height);
            for target in &plane.targets {
                words!(bytes, target.samples, target.pitch, target.mode, target.width, target.height, target.left, target.top);
                words!(bytes, target.black, target.chunk_columns);
                for axis in [&target.x, &target.y] {
                    words!(bytes, axis.starts, axis.positions, axis.coefficients, axis.samples, axis.taps);
                }
            }
        }
        bytes
    }
}

impl Words for RecolorJob {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        words!(bytes, self.luma, self.chroma, self.pitch, self.width, self.height);
        for value in self.to_luma.iter().chain(&self.to_cb).chain(&self.to_cr) {
            words!(bytes, value);
        }
        words!(bytes, self.reserved);
        bytes
    }
}

impl Words for LumaGridJob {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        words!(bytes, self.luma, self.cells, self.pitch, self.width, self.height, self.columns, self.rows, self.reserved);
        bytes
    }
}

impl Words for LumaCompareJob {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        words!(bytes, self.current, self.reference, self.result, self.cells, self.noise, self.dark, self.reserved);
        bytes
    }
}

/// What lies around every buffer.
pub const GUARD: u8 = 0xA5;
/// What a buffer has that nothing is written to.
pub const ROOM: u8 = 0x5A;

/// Memory that a kernel runs on.
#[derive(Default)]
pub struct Memory {
    bytes: Vec<u8>,
}

impl Memory {
    /// Adds bytes, with a margin that shows what is written past them; gives their address.
    pub fn add(&mut self, bytes: &[u8]) -> u64 {
        const MARGIN: usize = 256;
        self.bytes.resize(self.bytes.len().next_multiple_of(256) + MARGIN, GUARD);
        let address = self.bytes.len();
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len() + MARGIN, GUARD);
        address as u64
    }

    /// Adds a picture.
    pub fn add_image(&mut self, image: &HostImage, pitch: usize) -> DevicePlanes {
        let y = self.add(&image.to_bytes(pitch));
        DevicePlanes { y, uv: y + (pitch * image.planes[0].height) as u64, pitch: pitch as u32 }
    }

    /// Adds room for a picture.
    pub fn add_room(&mut self, height: u32, pitch: usize) -> DevicePlanes {
        let y = self.add(&vec![ROOM; pitch * (height + height.div_ceil(2)) as usize]);
        DevicePlanes { y, uv: y + (pitch * height as usize) as u64, pitch: pitch as u32 }
    }

    /// What lies there.
    pub fn at(&self, address: u64, length: usize) -> &[u8] {
        &self.bytes[address as usize..address as usize + length]
    }

    /// Runs a kernel with `program` (see `kernels/cpu/drive.cpp`); gives the microseconds of a run.
    pub fn run_with<Job: Words>(&mut self, program: &Path, entry: &str, launch: &Launch<Job>, times: u32) -> Result<u64, String> {
        let folder = TempDir::new().expect("a folder for the job");
        let (job, memory) = (folder.path().join("job"), folder.path().join("memory"));
        fs::write(&job, launch.job.bytes()).expect("the job is written");
        fs::write(&memory, &self.bytes).expect("the memory is written");
        let sizes: Vec<String> = launch.grid.iter().chain(&launch.block).map(u32::to_string).collect();
        let ran = Command::new(program).arg(entry).args([&job, &memory]).args(sizes).arg(times.to_string()).output().expect("it starts");
        if !ran.status.success() {
            return Err(String::from_utf8_lossy(&ran.stderr).into_owned());
        }
        self.bytes = fs::read(&memory).expect("the memory is read back");
        Ok(String::from_utf8_lossy(&ran.stdout).trim().parse().expect("microseconds"))
    }

    /// Runs a kernel on the CPU.
    pub fn run<Job: Words>(&mut self, entry: &std::ffi::CStr, launch: &Launch<Job>) {
        self.run_with(driver(), entry.to_str().expect("ASCII"), launch, 1).expect("the kernel runs");
    }
}
