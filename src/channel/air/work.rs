//! What a channel had worked on, and where: headend's own account of the load on a device, picture by picture as the worker counts them.

use super::OnAir;
use crate::base::metrics::metrics;
use crate::channel::seats::{SOFTWARE, seat_name};
use crate::media::device::Seat;
use crate::media::{Packet, Track};
use crate::wire::link::Stage;

impl OnAir {
    /// Notes how large the pictures of the source are.
    pub(super) fn note_source(&mut self, tracks: &[Track]) {
        let video = tracks.iter().find_map(Track::video);
        self.source_pixels = video.map_or(0, |video| u64::from(video.width) * u64::from(video.height));
    }

    /// Notes how far a rung is.
    pub(super) fn note_packet(&mut self, packet: &Packet) {
        let rung = usize::from(packet.rung);
        if rung > self.rungs.len() {
            return;
        }
        if self.rung_ends.len() <= rung {
            // A rung that has put nothing out is as far as the programme was when the first one did.
            self.rung_ends.resize(self.rungs.len() + 1, packet.dts);
        }
        if let Some(end) = self.rung_ends.get_mut(rung) {
            *end = packet.dts + packet.duration;
        }
    }

    /// Shows how far every rung is behind the programme: of one that stands still, more and more; of one that is given up, nothing.
    pub(super) fn show_lag(&self) {
        for (rung, end) in self.rung_ends.iter().enumerate() {
            let is_off = self.easings.get(rung).is_some_and(|easing| easing.off);
            let name = self.rungs.get(rung).map_or(&self.audio.name, |rung| &rung.name);
            metrics().encode_lag.with_label_values(&[&*self.channel, &**name]).set(if is_off {
                0.0
            } else {
                (self.now - *end).as_secs_f64()
            });
        }
    }

    /// A worker counts from its start; the counters of the front go on over replacements.
    pub(super) fn progress(&mut self, stage: Stage, done: u64, dropped: u64, queued: u32) {
        let before = self.told.iter().position(|(told, ..)| *told == stage).map(|index| self.told.swap_remove(index));
        let (done_before, dropped_before) = before.map_or((0, 0), |(_, done, dropped)| (done, dropped));
        self.told.push((stage, done, dropped));
        let channel = &*self.channel;
        let more = done.saturating_sub(done_before);
        metrics().frames.with_label_values(&[channel, stage.label()]).inc_by(more);
        self.count_work(stage, more);
        metrics().frames_dropped.with_label_values(&[channel, "overload"]).inc_by(dropped.saturating_sub(dropped_before));
        metrics().queue_depth.with_label_values(&[channel, stage.label()]).set(i64::from(queued));
    }

    /// Counts pictures that are through a stage of the present worker.
    fn count_work(&self, stage: Stage, pictures: u64) {
        let pixels = match stage {
            Stage::Audio => return,
            Stage::Decode => self.source_pixels,
            Stage::Scale | Stage::Encode => self.rungs.iter().map(|rung| u64::from(rung.width) * u64::from(rung.height)).sum(),
        };
        let labels = [place(&self.seat, stage), &*self.channel, stage.label()];
        metrics().devices.pictures.with_label_values(&labels).inc_by(pictures);
        metrics().devices.pixels.with_label_values(&labels).inc_by(pictures.saturating_mul(pixels));
    }
}

/// Where a stage works: the cores encode for a device that cannot.
fn place(seat: &Seat, stage: Stage) -> &str {
    match seat {
        Seat::Cuda(cuda) if stage == Stage::Encode && !cuda.encodes => SOFTWARE,
        seat => seat_name(seat),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::device::CudaSeat;

    #[test]
    fn a_card_without_an_encoder_is_not_charged_for_encoding() {
        let seat = |encodes| Seat::Cuda(CudaSeat { ordinal: 0, uuid: "GPU-1".into(), encodes });
        let places = |seat: &Seat| [Stage::Decode, Stage::Scale, Stage::Encode].map(|stage| place(seat, stage).to_owned());
        assert_eq!(places(&seat(true)), ["GPU-1"; 3]);
        assert_eq!(places(&seat(false)), ["GPU-1", "GPU-1", "software"]);
        assert_eq!(places(&Seat::Software), ["software"; 3]);
    }
}
