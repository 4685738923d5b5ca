//! A small picture of what is on the device, brought down without anybody waiting for it.

use std::sync::Arc;

use super::channel::ChannelDevice;
use super::cuda::{CudaError, Event, Pinned, Rectangle};
use super::pool::{DevicePicture, Format};
use super::surface::ScaledLadder;
use crate::base::{MediaTime, Ticks};
use crate::codec::error::CodecError;
use crate::codec::frame::{Attached, Frame, HostPicture, Surface};
use crate::codec::planar::{Planar, PlanarPool};
use crate::media::device::CopyReason;

const COMPONENT: &str = "snapshot";

/// Brings down one picture at a time.
#[derive(Debug)]
pub struct Snapshot {
    channel: Arc<ChannelDevice>,
    copied: Event,
    host: Option<Pinned>,
    pending: Option<Pending>,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    pts: MediaTime,
    size: (u32, u32),
    format: Format,
    rows: Rectangle,
}

impl Snapshot {
    /// For a channel's pictures.
    pub fn new(channel: &Arc<ChannelDevice>) -> Result<Snapshot, CodecError> {
        let copied = Event::new(channel.device()).map_err(|cause| cause.of(COMPONENT))?;
        Ok(Snapshot { channel: Arc::clone(channel), copied, host: None, pending: None })
    }

    /// Queues the copy of a picture: of its smallest rung that is at least `width` wide. Nothing where one is on its way.
    pub fn take(&mut self, ladder: &ScaledLadder, pts: MediaTime, width: u32) -> Result<(), CodecError> {
        let wide = |picture: &&Arc<DevicePicture>| picture.pool().size().0 >= width;
        let Some(picture) = ladder.rungs.iter().rev().find(wide).or(ladder.rungs.first()).filter(|_| self.pending.is_none()) else {
            return Ok(());
        };
        self.queue(picture).map_err(|cause| cause.of(COMPONENT))?;
        let pool = picture.pool();
        self.pending = Some(Pending { pts, size: pool.size(), format: pool.format(), rows: picture.rows() });
        Ok(())
    }

    fn queue(&mut self, picture: &DevicePicture) -> Result<(), CudaError> {
        let rows = picture.rows();
        let bytes = rows.width_bytes * rows.height;
        let host = match &mut self.host {
            Some(host) if host.bytes().len() >= bytes => host,
            other => other.insert(Pinned::new(self.channel.device(), bytes)?),
        };
        self.channel.ledger().to_host(CopyReason::Thumbnail, picture, host, self.channel.stream())?;
        self.copied.record(self.channel.stream())
    }

    /// The picture, once, when it is there. Never waits.
    pub fn ready(&mut self) -> Result<Option<Frame>, CodecError> {
        let (Some(pending), Some(host)) = (self.pending, &self.host) else { return Ok(None) };
        if !self.copied.has_happened().map_err(|cause| cause.of(COMPONENT))? {
            return Ok(None);
        }
        self.pending = None;
        let picture = planar(host.bytes(), &pending);
        Ok(Some(Frame {
            pts: pending.pts,
            duration: Ticks::ZERO,
            color: self.channel.color(),
            surface: Surface::Host(HostPicture::Planar(Arc::new(picture))),
            attached: Attached::default(),
        }))
    }
}

/// NV12 or P010 without padding between rows, as 8 bits of three planes.
fn planar(bytes: &[u8], Pending { size, format, rows, .. }: &Pending) -> Planar {
    let mut picture = PlanarPool::new(size.0, size.1, 0).take();
    let step = format.sample_bytes();
    let (luma, chroma) = bytes.split_at(bytes.len().min(rows.width_bytes * size.1 as usize));
    for (plane, source, first, apart) in [(0, luma, 0, 1), (1, chroma, 0, 2), (2, chroma, 1, 2)] {
        let (stride, length) = (picture.stride(plane), picture.row_length(plane));
        for (to, from) in picture.plane_mut(plane).chunks_exact_mut(stride).zip(source.chunks_exact(rows.width_bytes)) {
            // Of ten bits in little-endian sixteen, the second byte has the eight that count.
            let samples = from.iter().skip(first * step + step - 1).step_by(apart * step);
            to.iter_mut().take(length).zip(samples).for_each(|(to, from)| *to = *from);
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brought(format: Format, (width, height): (u32, u32)) -> Planar {
        let even = |length: u32| (length as usize).next_multiple_of(2);
        let rows = Rectangle { width_bytes: even(width) * format.sample_bytes(), height: height as usize + even(height) / 2 };
        let mut bytes = Vec::new();
        for row in 0..rows.height {
            for column in 0..even(width) {
                let level = match row < height as usize {
                    true => (row * 16 + column) as u8,
                    false => 100 + (column % 2) as u8 * 50,
                };
                let sample = u16::from_be_bytes([level, 0xC0]).to_le_bytes();
                bytes.extend_from_slice(if format == Format::Nv12 { &sample[1..] } else { &sample });
            }
        }
        planar(&bytes, &Pending { pts: MediaTime(0), size: (width, height), format, rows })
    }

    #[test]
    fn every_plane_is_found_at_any_depth_and_size() {
        for format in [Format::Nv12, Format::P010] {
            for (width, height) in [(8, 4), (7, 3), (1, 1)] {
                let picture = brought(format, (width, height));
                let (x, y) = (width as usize - 1, height as usize - 1);
                assert_eq!(picture.plane(0)[y * picture.stride(0) + x], (y * 16 + x) as u8, "{format:?} {width}x{height}");
                let at = y / 2 * picture.stride(1) + x / 2;
                assert_eq!((picture.plane(1)[at], picture.plane(2)[at]), (100, 150), "{format:?} {width}x{height}");
            }
        }
    }
}
