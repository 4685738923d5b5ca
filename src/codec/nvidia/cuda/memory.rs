//! Device memory and pinned main memory.
//!
//! Copies of samples go through the ledger of the module above and nowhere else; tables and counters go through [`Buffer::write`] and
//! [`Buffer::read`].
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr::{NonNull, null, null_mut};
use std::sync::Arc;

use super::Device;
use super::calls::{Copy2d, DEVICE, HOST, Handle};
use super::error::CudaError;
use super::stream::Stream;

/// An address in device memory. The host never follows it.
pub type DevicePointer = u64;

/// Device memory, freed when dropped.
///
/// It comes from `cuMemAlloc`: NVENC refuses to register what `cuMemAllocAsync` gives.
#[derive(Debug)]
pub struct Buffer {
    device: Arc<Device>,
    pointer: DevicePointer,
    bytes: usize,
}

impl Buffer {
    /// So many bytes.
    pub fn new(device: &Arc<Device>, bytes: usize) -> Result<Buffer, CudaError> {
        let _current = device.enter()?;
        let mut pointer = 0;
        // SAFETY: writes an address that `drop` frees.
        device.cuda.check("cuMemAlloc", unsafe { (device.cuda.allocate)(&mut pointer, bytes) })?;
        Ok(Buffer { device: Arc::clone(device), pointer, bytes })
    }

    /// Rows of at least `width_bytes`, as many as `rows`, and their pitch in bytes as the device likes it.
    pub fn pitched(device: &Arc<Device>, width_bytes: usize, rows: usize) -> Result<(Buffer, usize), CudaError> {
        let _current = device.enter()?;
        let (mut pointer, mut pitch) = (0, 0);
        // SAFETY: writes an address that `drop` frees, and a size. 16 is the largest element that a kernel may load at once.
        let status = unsafe { (device.cuda.allocate_pitched)(&mut pointer, &mut pitch, width_bytes, rows, 16) };
        device.cuda.check("cuMemAllocPitch", status)?;
        Ok((Buffer { device: Arc::clone(device), pointer, bytes: pitch * rows }, pitch))
    }

    /// Its address.
    pub fn pointer(&self) -> DevicePointer {
        self.pointer
    }

    /// Its size in bytes.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether it has no bytes, which CUDA does not give.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Writes tables to its beginning and waits until they are there. Not for samples.
    pub fn write(&self, bytes: &[u8], stream: &Stream) -> Result<(), CudaError> {
        let _current = self.device.enter()?;
        let length = bytes.len().min(self.bytes);
        // SAFETY: both ranges have `length` bytes; the call is waited for below, so the slice outlives it.
        let status = unsafe { (self.device.cuda.to_device)(self.pointer, bytes.as_ptr().cast(), length, stream.handle()) };
        self.device.cuda.check("cuMemcpyHtoDAsync", status)?;
        stream.synchronize()
    }

    /// Queues a copy of counters from its beginning into pinned memory. Not for samples.
    pub fn read(&self, into: &mut Pinned, bytes: usize, stream: &Stream) -> Result<(), CudaError> {
        let _current = self.device.enter()?;
        let length = bytes.min(self.bytes).min(into.bytes);
        // SAFETY: both ranges have `length` bytes. The host reads `into` only after an event behind this call (`Pinned::bytes`).
        let status = unsafe { (self.device.cuda.to_host)(into.pointer.as_ptr(), self.pointer, length, stream.handle()) };
        self.device.cuda.check("cuMemcpyDtoHAsync", status)
    }

    /// Queues filling it with one byte.
    pub fn fill(&self, byte: u8, stream: &Stream) -> Result<(), CudaError> {
        let _current = self.device.enter()?;
        // SAFETY: the whole of this buffer.
        self.device.cuda.check("cuMemsetD8Async", unsafe { (self.device.cuda.fill)(self.pointer, byte, self.bytes, stream.handle()) })
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Ok(_current) = self.device.enter() {
            // SAFETY: allocated in this context and freed once. `cuMemFree` waits for work that still uses it.
            unsafe { (self.device.cuda.free)(self.pointer) };
        }
    }
}

/// Pinned main memory, which a device copies to and from at full speed and without the host's help.
#[derive(Debug)]
pub struct Pinned {
    device: Arc<Device>,
    pointer: NonNull<c_void>,
    bytes: usize,
}

// SAFETY: it is plain memory; who reads it while a device writes is ruled by events, as the methods say.
unsafe impl Send for Pinned {}
// SAFETY: shared references only read.
unsafe impl Sync for Pinned {}

impl Pinned {
    /// So many bytes, all zero.
    pub fn new(device: &Arc<Device>, bytes: usize) -> Result<Pinned, CudaError> {
        let _current = device.enter()?;
        let mut pointer = null_mut();
        // SAFETY: writes an address that `drop` frees. The flag 1 (PORTABLE) makes it pinned for every context.
        device.cuda.check("cuMemHostAlloc", unsafe { (device.cuda.allocate_host)(&mut pointer, bytes, 1) })?;
        let call = "cuMemHostAlloc";
        let pointer = NonNull::new(pointer).ok_or(CudaError::Call { call, status: 2, name: "null".into() })?;
        // SAFETY: so many bytes are there.
        unsafe { std::ptr::write_bytes(pointer.as_ptr().cast::<u8>(), 0, bytes) };
        Ok(Pinned { device: Arc::clone(device), pointer, bytes })
    }

    /// Its bytes. What a queued copy writes is there once an event recorded behind the copy has happened.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: allocated with this length and initialised.
        unsafe { std::slice::from_raw_parts(self.pointer.as_ptr().cast(), self.bytes) }
    }

    /// Its bytes, to write. No queued copy may still read them.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.as_ptr().cast(), self.bytes) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Ok(_current) = self.device.enter() {
            // SAFETY: allocated by `cuMemHostAlloc` and freed once.
            unsafe { (self.device.cuda.free_host)(self.pointer.as_ptr()) };
        }
    }
}

/// A rectangle of rows somewhere: `height` rows of `width_bytes`, `pitch` bytes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rectangle {
    /// Bytes of a row.
    pub width_bytes: usize,
    /// Rows.
    pub height: usize,
}

/// Queues copying rows from `source` (pinned, its rows `source_pitch` apart from byte `offset` on) to the device.
pub(in crate::codec::nvidia) fn rows_to_device(
    (source, offset, source_pitch): (&Pinned, usize, usize),
    (target, target_pitch): (DevicePointer, usize),
    rows: Rectangle,
    stream: &Stream,
) -> Result<(), CudaError> {
    check_range(source, offset, source_pitch, rows)?;
    // SAFETY: the range was checked to lie inside `source`.
    let host = unsafe { source.pointer.as_ptr().cast::<u8>().add(offset) };
    let copy = Copy2d {
        source_kind: HOST,
        source_host: host.cast(),
        source_pitch,
        target_kind: DEVICE,
        target_device: target,
        target_pitch,
        ..nothing(rows)
    };
    copy_2d(&copy, &source.device, stream)
}

/// Queues copying rows from the device into `target` (pinned, its rows `target_pitch` apart from byte `offset` on).
pub(in crate::codec::nvidia) fn rows_to_host(
    (source, source_pitch): (DevicePointer, usize),
    (target, offset, target_pitch): (&mut Pinned, usize, usize),
    rows: Rectangle,
    stream: &Stream,
) -> Result<(), CudaError> {
    check_range(target, offset, target_pitch, rows)?;
    // SAFETY: the range was checked to lie inside `target`.
    let host = unsafe { target.pointer.as_ptr().cast::<u8>().add(offset) };
    let copy = Copy2d {
        source_kind: DEVICE,
        source_device: source,
        source_pitch,
        target_kind: HOST,
        target_host: host.cast(),
        target_pitch,
        ..nothing(rows)
    };
    copy_2d(&copy, &target.device, stream)
}

fn check_range(host: &Pinned, offset: usize, pitch: usize, rows: Rectangle) -> Result<(), CudaError> {
    let end = rows.height.saturating_sub(1).saturating_mul(pitch).saturating_add(rows.width_bytes).saturating_add(offset);
    match end <= host.bytes && rows.width_bytes <= pitch {
        true => Ok(()),
        false => Err(CudaError::Call { call: "cuMemcpy2DAsync", status: 1, name: "beyond the pinned buffer".into() }),
    }
}

fn copy_2d(copy: &Copy2d, device: &Device, stream: &Stream) -> Result<(), CudaError> {
    let _current = device.enter()?;
    // SAFETY: the description is complete; the host's range was checked, the device checks its own.
    device.cuda.check("cuMemcpy2DAsync", unsafe { (device.cuda.copy_2d)(copy, stream.handle()) })
}

fn nothing(rows: Rectangle) -> Copy2d {
    let none: Handle = null_mut();
    Copy2d {
        source_x_bytes: 0,
        source_y: 0,
        source_kind: 0,
        source_host: null(),
        source_device: 0,
        source_array: none,
        source_pitch: 0,
        target_x_bytes: 0,
        target_y: 0,
        target_kind: 0,
        target_host: null_mut(),
        target_device: 0,
        target_array: none,
        target_pitch: 0,
        width_bytes: rows.width_bytes,
        height: rows.height,
    }
}
