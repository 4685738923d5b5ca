//! Decoded pictures in main memory, whoever decoded them.

use headend::base::MediaTime;
use headend::codec::nvidia::cuda::{Event, Pinned};
use headend::codec::nvidia::ladder::reference::HostImage;
use headend::codec::nvidia::{ChannelDevice, CudaSurface, DevicePicture, Format};
use headend::codec::software::{SemiPlanar, SemiPlanarLayout, VideoDecoder};
use headend::codec::{Color, Decoder, Frame, Surface};
use headend::media::device::CopyReason;
use headend::media::{AccessUnit, VideoTrack};

use crate::bench::words;

/// A picture as libavcodec decodes it.
#[derive(Clone, Debug)]
pub struct Reference {
    /// When it is shown.
    pub pts: MediaTime,
    /// How its samples are meant.
    pub color: Color,
    /// Width and height.
    pub size: (u32, u32),
    /// Its samples.
    pub image: HostImage,
}

/// Every picture of a track as libavcodec decodes it.
pub fn by_libavcodec(track: &VideoTrack, units: &[AccessUnit], ten_bit: bool) -> Result<Vec<Reference>, String> {
    let mut decoder = VideoDecoder::open(track).map_err(words)?;
    let (mut frames, mut references) = (Vec::new(), Vec::new());
    let mut converter = SemiPlanar::default();
    for unit in units.iter().map(Some).chain([None]) {
        match unit {
            Some(unit) => decoder.decode(unit, &mut frames).map_err(words)?,
            None => decoder.drain(&mut frames).map_err(words)?,
        }
        for frame in frames.drain(..) {
            references.push(reference(&frame, &mut converter, ten_bit)?);
        }
    }
    Ok(references)
}

fn reference(frame: &Frame, converter: &mut SemiPlanar, ten_bit: bool) -> Result<Reference, String> {
    let picture = frame.surface.host("hw-test").map_err(words)?;
    let layout = SemiPlanarLayout::of(picture, ten_bit).ok_or("a picture of no size")?;
    let mut bytes = vec![0; layout.bytes()];
    converter.convert(picture, frame.color, frame.color, &layout, &mut bytes).map_err(words)?;
    let size = (layout.width, layout.height);
    Ok(Reference { pts: frame.pts, color: frame.color, size, image: HostImage::from_bytes(size.0, size.1, ten_bit, layout.pitch, &bytes) })
}

/// The picture of the first rung of a frame, brought down through the ledger.
pub fn brought_down(channel: &ChannelDevice, frame: &Frame) -> Result<HostImage, String> {
    let Surface::Cuda(CudaSurface::Ladder(ladder)) = &frame.surface else { return Err("a decoded picture is not on the device".into()) };
    let picture: &DevicePicture = ladder.rungs.first().ok_or("a ladder without rungs")?;
    let rows = picture.rows();
    let mut host = Pinned::new(channel.device(), rows.width_bytes * rows.height).map_err(words)?;
    channel.ledger().to_host(CopyReason::HostEncoded, picture, &mut host, channel.stream()).map_err(words)?;
    let copied = Event::new(channel.device()).map_err(words)?;
    copied.record(channel.stream()).and_then(|()| copied.synchronize()).map_err(words)?;
    let (width, height) = picture.pool().size();
    Ok(HostImage::from_bytes(width, height, picture.pool().format() == Format::P010, rows.width_bytes, host.bytes()))
}

/// Luma's PSNR in dB over pictures of 8 bits.
pub fn psnr_db<'a>(pairs: impl Iterator<Item = (&'a HostImage, &'a HostImage)>) -> f64 {
    let (mut squares, mut samples) = (0.0, 0.0);
    for (one, other) in pairs {
        let [one, other] = [&one.planes[0].samples, &other.planes[0].samples];
        squares += one.iter().zip(other).map(|(one, other)| f64::from(one.abs_diff(*other)).powi(2)).sum::<f64>();
        samples += one.len() as f64;
    }
    10.0 * (255.0 * 255.0 * samples / f64::max(squares, 1e-9)).log10()
}
