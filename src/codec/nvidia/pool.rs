//! A fixed set of picture buffers in device memory, all of one size, registered with an encoder once and used over and over.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::cuda::{Buffer, Device, DevicePointer, Rectangle};
use super::ladder::DevicePlanes;
use crate::base::Fault;
use crate::codec::error::CodecError;

const COMPONENT: &str = "device pool";

/// Longer than any encoder keeps a picture while it works; a pool that stays empty belongs to an encoder that does not.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How samples lie in device memory: rows of luma, then half as many rows of interleaved chroma, all of one pitch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// 8 bits.
    Nv12,
    /// 10 bits in the high end of little-endian 16.
    P010,
}

impl Format {
    /// Bytes of a sample.
    pub fn sample_bytes(self) -> usize {
        match self {
            Format::Nv12 => 1,
            Format::P010 => 2,
        }
    }
}

/// The buffers.
pub struct DevicePool {
    name: String,
    ordinal: u32,
    format: Format,
    width: u32,
    height: u32,
    pitch: usize,
    buffers: Vec<Buffer>,
    free: Mutex<Vec<usize>>,
    returned: Condvar,
}

impl fmt::Debug for DevicePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "DevicePool({} {}x{} {:?}, {} of {} in use)",
            self.name,
            self.width,
            self.height,
            self.format,
            self.in_use(),
            self.buffers.len()
        )
    }
}

impl DevicePool {
    /// `count` buffers of this size; `name` is the rung's.
    pub fn new(
        device: &Arc<Device>,
        name: &str,
        format: Format,
        (width, height): (u32, u32),
        count: usize,
    ) -> Result<Arc<DevicePool>, CodecError> {
        let rows = rows(format, width, height);
        let mut buffers = Vec::with_capacity(count);
        let mut pitch = 0;
        for _ in 0..count {
            let (buffer, own) = Buffer::pitched(device, rows.width_bytes, rows.height).map_err(|cause| cause.of(COMPONENT))?;
            pitch = own;
            buffers.push(buffer);
        }
        let free = Mutex::new((0..count).rev().collect());
        Ok(Arc::new(DevicePool {
            name: name.to_owned(),
            ordinal: device.ordinal(),
            format,
            width,
            height,
            pitch,
            buffers,
            free,
            returned: Condvar::new(),
        }))
    }

    /// The ordinal of its device.
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// Format of every buffer.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Width and height of every picture.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Bytes from row to row.
    pub fn pitch(&self) -> usize {
        self.pitch
    }

    /// The address of every buffer, by its index.
    pub fn addresses(&self) -> impl Iterator<Item = DevicePointer> {
        self.buffers.iter().map(Buffer::pointer)
    }

    /// Buffers that hold a picture.
    pub fn in_use(&self) -> usize {
        self.buffers.len() - self.free.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).len()
    }

    /// A free buffer, waited for where all are in use.
    pub fn take(self: &Arc<DevicePool>) -> Result<DevicePicture, CodecError> {
        let free = self.free.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let waited = self.returned.wait_timeout_while(free, LONGEST_WAIT, |free| free.is_empty());
        let (mut free, _) = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
        match free.pop() {
            Some(index) => Ok(DevicePicture { pool: Arc::clone(self), index }),
            None => {
                let detail =
                    format!("all {} buffers of rung {} stay in use: its encoder does not give them back", self.buffers.len(), self.name);
                Err(CodecError::new(Fault::SessionLost, COMPONENT, detail))
            }
        }
    }
}

/// A picture in a buffer of a pool; dropped, the buffer is free again. Who drops it knows that the device is done with it, or queues
/// what comes next on the same stream.
pub struct DevicePicture {
    pool: Arc<DevicePool>,
    index: usize,
}

impl fmt::Debug for DevicePicture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DevicePicture({} of {:?})", self.index, self.pool)
    }
}

impl DevicePicture {
    /// The buffer's number in its pool, by which an encoder finds its registration.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its pool.
    pub fn pool(&self) -> &Arc<DevicePool> {
        &self.pool
    }

    /// Address of the luma's first row.
    pub fn pointer(&self) -> DevicePointer {
        self.pool.buffers.get(self.index).map_or(0, Buffer::pointer)
    }

    /// Address of the chroma's first row.
    pub fn chroma(&self) -> DevicePointer {
        self.pointer() + (self.pool.pitch * self.pool.height as usize) as u64
    }

    /// Bytes from row to row.
    pub fn pitch(&self) -> usize {
        self.pool.pitch
    }

    /// Both planes, as kernels are told of them.
    pub fn planes(&self) -> DevicePlanes {
        DevicePlanes { y: self.pointer(), uv: self.chroma(), pitch: self.pitch() as u32 }
    }

    /// All rows, luma and chroma: the chroma of an odd width has one column more.
    pub fn rows(&self) -> Rectangle {
        rows(self.pool.format, self.pool.width, self.pool.height)
    }
}

impl Drop for DevicePicture {
    fn drop(&mut self) {
        self.pool.free.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(self.index);
        self.pool.returned.notify_one();
    }
}

fn rows(format: Format, width: u32, height: u32) -> Rectangle {
    let even = |length: u32| (length as usize).next_multiple_of(2);
    Rectangle { width_bytes: even(width) * format.sample_bytes(), height: height as usize + even(height) / 2 }
}
