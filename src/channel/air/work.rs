//! What a channel had worked on, and where: headend's own account of the load on a device, picture by picture as the worker counts them.

use super::OnAir;
use crate::base::metrics::metrics;
use crate::channel::seats::{SOFTWARE, seat_name};
use crate::media::Track;
use crate::media::device::Seat;
use crate::wire::link::Stage;

impl OnAir {
    /// Notes how large the pictures of the source are.
    pub(super) fn note_source(&mut self, tracks: &[Track]) {
        let video = tracks.iter().find_map(Track::video);
        self.source_pixels = video.map_or(0, |video| u64::from(video.width) * u64::from(video.height));
    }

    /// Counts pictures that are through a stage of the present worker.
    pub(super) fn count_work(&self, stage: Stage, pictures: u64) {
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
