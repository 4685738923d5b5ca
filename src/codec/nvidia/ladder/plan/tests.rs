use super::*;
use crate::base::{MediaTime, Ticks};
use crate::codec::engine::Scaler;
use crate::codec::frame::{Attached, Color, Frame, HostPicture, Matrix, Surface};
use crate::codec::planar::PlanarPool;
use crate::codec::software::LadderScaler;
use proptest::prelude::*;
use std::sync::Arc;

const SOURCE: SourceGeometry =
    SourceGeometry { width: 1920, height: 1088, ten_bit: false, crop: Area { x: 0, y: 8, width: 1920, height: 1080 } };

fn rung(width: u32, height: u32) -> RungGeometry {
    RungGeometry { width, height, ten_bit: false, picture: Area::whole(width, height), full_range: false }
}

#[test]
fn a_launch_only_fills_in_addresses_and_begins_at_the_crop() {
    let plan = LadderPlan::new(&SOURCE, &[rung(1920, 1080), rung(640, 360)], Filter::Bicubic).unwrap();
    let source = DevicePlanes { y: 1 << 20, uv: 1 << 24, pitch: 2048 };
    let targets = [DevicePlanes { y: 3, uv: 4, pitch: 2048 }, DevicePlanes { y: 5, uv: 6, pitch: 1024 }];
    let launch = plan.launch(7, &source, &targets).unwrap();
    assert_eq!((plan.entry(), launch.grid, launch.block), (c"ladder_nv12", [30, 34, 2], [32, 8, 1]));
    let [luma, chroma] = &launch.job.planes;
    assert_eq!((launch.job.tables, luma.samples, chroma.samples), (7, (1 << 20) + 8 * 2048, (1 << 24) + 4 * 2048));
    assert_eq!((luma.targets[1].samples, chroma.targets[0].samples, chroma.targets[1].pitch), (5, 4, 1024));
}

#[test]
fn what_a_kernel_would_write_outside_of_its_buffer_is_refused() {
    let plan = LadderPlan::new(&SOURCE, &[rung(640, 360)], Filter::Bicubic).unwrap();
    let (wide, narrow) = (DevicePlanes { y: 0, uv: 0, pitch: 2048 }, DevicePlanes { y: 0, uv: 0, pitch: 638 });
    assert!(plan.launch(0, &wide, &[wide]).is_ok());
    assert_eq!(plan.launch(0, &wide, &[narrow]).unwrap_err(), LadderError::Pitch { pitch: 638, row_bytes: 640 });
    assert_eq!(plan.launch(0, &narrow, &[wide]).unwrap_err(), LadderError::Pitch { pitch: 638, row_bytes: 1920 });
    assert_eq!(plan.launch(0, &wide, &[wide, wide]).unwrap_err(), LadderError::Targets(2, 1));
}

#[test]
fn a_geometry_that_makes_no_sense_is_refused() {
    let refused = |source: SourceGeometry, rungs: &[RungGeometry]| LadderPlan::new(&source, rungs, Filter::Bicubic).err();
    let beside = Area { x: 2, y: 0, width: 640, height: 360 };
    let odd = Area { x: 1, y: 0, width: 600, height: 360 };
    assert_eq!(refused(SOURCE, &[]), Some(LadderError::Rungs(0)));
    assert_eq!(refused(SOURCE, &[rung(64, 64); 9]), Some(LadderError::Rungs(9)));
    assert!(matches!(refused(SOURCE, &[rung(20000, 2)]), Some(LadderError::Size { .. })));
    assert!(matches!(refused(SOURCE, &[RungGeometry { picture: beside, ..rung(640, 360) }]), Some(LadderError::Outside { .. })));
    assert_eq!(refused(SOURCE, &[RungGeometry { picture: odd, ..rung(640, 360) }]), Some(LadderError::OddPlace(odd)));
    assert_eq!(refused(SOURCE, &[rung(64, 64), RungGeometry { ten_bit: true, ..rung(64, 64) }]), Some(LadderError::MixedDepths));
    let empty = Area { x: 0, y: u32::MAX, width: 1, height: u32::MAX };
    assert!(matches!(refused(SourceGeometry { crop: empty, ..SOURCE }, &[rung(64, 64)]), Some(LadderError::Outside { .. })));
}

#[test]
fn bars_lie_where_the_software_ladder_puts_them() {
    let sizes = [(640, 360), (426, 240), (320, 180)];
    for (width, height) in [(400, 300), (300, 400), (640, 270), (720, 576)] {
        let mut picture = PlanarPool::new(width, height, 0).take();
        picture.fill([235, 128, 128]);
        let color = Color { matrix: Matrix::Bt709, full_range: false };
        let surface = Surface::Host(HostPicture::Planar(Arc::new(picture)));
        let frame = Frame { pts: MediaTime(0), duration: Ticks::ZERO, color, surface, attached: Attached::default() };
        let mut out = Vec::new();
        LadderScaler::new(&sizes, color).scale(&frame, &mut out).unwrap();
        let rungs = RungGeometry::ladder(Area::whole(width, height), 1.0, &sizes, false, false);
        for (rung, frame) in rungs.iter().zip(&out) {
            let Surface::Host(HostPicture::Planar(made)) = &frame.surface else { panic!("not in main memory") };
            let white = |x: u32, y: u32| made.plane(0)[y as usize * made.stride(0) + x as usize] > 125;
            let left = (0..rung.width).position(|x| white(x, rung.height / 2));
            let top = (0..rung.height).position(|y| white(rung.width / 2, y));
            let offs = [(left, rung.picture.x), (top, rung.picture.y)];
            assert!(
                offs.iter().all(|(soft, ours)| soft.is_some_and(|soft| (soft as u32).abs_diff(*ours) <= 1)),
                "{width}x{height} in {rung:?}: {offs:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// A publisher chooses the source's side of it.
    #[test]
    fn any_geometry_is_planned_within_bounds_or_refused(
        sizes in prop::collection::vec((0u32..17000, 0u32..9000), 2..4),
        shallow in 1u32..40,
        crop in (0u32..9000, 0u32..9000, 0u32..9000, 0u32..9000),
        cropped: bool,
        ten_bit: bool,
    ) {
        let (width, height) = sizes[0];
        let (x, y, crop_width, crop_height) = crop;
        let crop = if cropped { Area { x, y, width: crop_width, height: crop_height } } else { Area::whole(width, height) };
        let rungs: Vec<_> = sizes[1..].iter().map(|(width, height)| rung(width / shallow + 1, height / shallow + 1)).collect();
        if let Ok(plan) = LadderPlan::new(&SourceGeometry { width, height, ten_bit, crop }, &rungs, Filter::Lanczos3) {
            prop_assert!(plan.shared_bytes as usize <= SHARED_BYTES);
            prop_assert!(plan.job.planes.iter().all(|plane| plane.targets[..rungs.len()].iter().all(|target| target.chunk_columns > 0)));
        }
    }
}
