//! Measures what the encoders of a GPU make in a second of the clock, by sessions that encode at the same time, as channels do.
//!
//! A GPU's engines are shared by its sessions, so that one session alone tells too little. What channels encode meanwhile is missing in the
//! result; the front asks soon after its start.

use std::sync::Barrier;
use std::thread;

use super::{BITRATE_BPS, COMPONENT, SIZE, pictures, pixels};
use crate::base::{Fault, Rate, clock};
use crate::codec::nvidia::{ChannelDevice, DeviceLadder, Format, NvEncoder, NvOptions, PoolSize};
use crate::codec::{CodecError, Color, Encoder, Frame};
use crate::media::calibration::GpuRates;
use crate::media::device::{CopyReason, CudaSeat};
use crate::media::{Grid, Packet, Rung, Slot};

/// As many engines as the largest cards have.
const MOST_SESSIONS: u32 = 3;
/// Pictures of each session: a tenth of a second to half a second of a card's time.
const PICTURES: i64 = 100;
/// Pictures in hand beside those that the encoder holds.
const IN_HANDS: usize = 4;

/// What the encoders of the seat's GPU make, by `sessions` at once, three at most.
///
/// # Errors
/// That of the first session that could not encode: the GPU is gone, or lends no session at present.
pub(super) fn rates(seat: &CudaSeat, sessions: u32) -> Result<GpuRates, CodecError> {
    let sessions = sessions.clamp(1, MOST_SESSIONS);
    let (color, grid) = (Color::assumed(SIZE.1), Grid { rate: Rate::new(25, 1), gop_slots: 25, segment_slots: 25 });
    let source = pictures(&grid, color);
    let begin = Barrier::new(sessions as usize + 1);
    let measured = thread::scope(|scope| {
        let encode = || encode(seat, &grid, color, &source, &begin);
        let threads: Vec<_> = (0..sessions).map(|_| scope.spawn(encode)).collect();
        begin.wait();
        let begun = clock::mono();
        let ended: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(panicked()))).collect();
        (clock::mono().since(begun), ended)
    });
    let (took, ended) = measured;
    let made = ended.into_iter().sum::<Result<usize, CodecError>>()?;
    Ok(GpuRates { uuid: seat.uuid.clone(), encoded: pixels(SIZE) * made as f64 / took.as_secs_f64().max(1e-9) })
}

/// Opens a session, waits until all the others are open too or have failed to be, and encodes. How many packets came out.
fn encode(seat: &CudaSeat, grid: &Grid, color: Color, source: &[Frame], begin: &Barrier) -> Result<usize, CodecError> {
    let rung = Rung::new("calibration", SIZE.0, SIZE.1, BITRATE_BPS, "veryfast");
    let options = NvOptions { grid: *grid, color, live: true };
    let size = PoolSize { name: rung.name.clone(), size: SIZE, format: Format::Nv12, count: IN_HANDS + NvEncoder::depth(&rung, options) };
    let opened = ChannelDevice::open(seat, &[size], color).and_then(|channel| {
        let pool = channel.pools().first().ok_or_else(|| CodecError::new(Fault::Bug, COMPONENT, "no pool for the only rung"))?;
        let encoder = NvEncoder::open(0, &rung, options, channel.stream(), pool)?;
        Ok((DeviceLadder::new(&channel), encoder))
    });
    begin.wait();
    let (mut ladder, mut encoder) = opened?;
    let (mut scaled, mut packets): (Vec<Frame>, Vec<Packet>) = (Vec::new(), Vec::new());
    let mut made = 0;
    for (slot, picture) in (0..PICTURES).zip(source.iter().cycle()) {
        ladder.scale_for(&Frame { pts: grid.start(Slot(slot)), ..picture.clone() }, CopyReason::Slate, &mut scaled)?;
        for frame in scaled.drain(..) {
            encoder.encode(&frame, grid.is_key(Slot(slot)), &mut packets)?;
        }
        made += packets.drain(..).count();
    }
    encoder.drain(&mut packets)?;
    Ok(made + packets.len())
}

fn panicked() -> CodecError {
    CodecError::new(Fault::Bug, COMPONENT, "a session's thread panicked")
}
