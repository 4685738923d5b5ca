use super::*;
use crate::codec::frame::HostPicture;
use crate::codec::planar::PlanarPool;
use crate::codec::software::LumaGrid;
use proptest::prelude::*;
use std::f64::consts::PI;
use std::sync::Arc;

fn source(width: u32, height: u32) -> SourceGeometry {
    SourceGeometry { width, height, ten_bit: false, crop: Area::whole(width, height) }
}

fn rung(width: u32, height: u32) -> RungGeometry {
    RungGeometry { width, height, ten_bit: false, picture: Area::whole(width, height), full_range: false }
}

/// A plane of chirped rings, of frequencies up to the highest at the edges.
fn zone_plate(size: usize) -> Plane {
    let centre = size as f64 / 2.0;
    Plane::painted(size, size, |x, y| {
        let (x, y) = (x as f64 - centre, y as f64 - centre);
        (128.0 + 100.0 * (PI * (x * x + y * y) / size as f64).cos()).round() as u16
    })
}

fn image(luma: Plane) -> HostImage {
    let mut image = HostImage::filled(luma.width as u32, luma.height as u32, false, [0, 128, 128]);
    image.planes[0] = luma;
    image
}

/// Root mean square of what is left where the rings are finer than a quarter-size picture can show.
fn alias(small: &Plane) -> f64 {
    let centre = small.width as f64 / 2.0;
    let outside = |at: usize| {
        let (x, y) = ((at % small.width) as f64 - centre, (at / small.width) as f64 - centre);
        (x * x + y * y).sqrt() > centre * 0.5
    };
    let errors: Vec<f64> =
        (0..).zip(&small.samples).filter(|(at, _)| outside(*at)).map(|(_, sample)| (f64::from(*sample) - 128.0).powi(2)).collect();
    (errors.iter().sum::<f64>() / errors.len() as f64).sqrt()
}

#[test]
fn fine_rings_do_not_come_back_as_coarse_ones() {
    let plate = zone_plate(512);
    let nearest = Plane::painted(128, 128, |x, y| plate.at(4 * x + 2, 4 * y + 2));
    let scaled_by = |filter| scaled(&image(plate.clone()), &source(512, 512), &rung(128, 128), filter).planes[0].clone();
    let (none, bicubic, lanczos) = (alias(&nearest), alias(&scaled_by(Filter::Bicubic)), alias(&scaled_by(Filter::Lanczos3)));
    assert!(none > 50.0 && bicubic < none / 4.0 && lanczos < none / 4.0, "{none} {bicubic} {lanczos}");
}

#[test]
fn a_letterboxed_picture_lies_in_the_black_of_its_range() {
    let white = HostImage::filled(64, 48, false, [235, 90, 240]);
    for (full_range, ten_bit, black) in [(false, false, 16), (true, false, 0), (false, true, 64)] {
        let rung = RungGeometry { picture: Area { x: 8, y: 0, width: 48, height: 36 }, full_range, ten_bit, ..rung(64, 36) };
        let made = scaled(&white, &source(64, 48), &rung, Filter::Bicubic);
        let unit = if ten_bit { 4 } else { 1 };
        let at = |x: usize| [made.planes[0].at(x, 20), made.planes[1].at(x / 2, 10), made.planes[2].at(x / 2, 10)];
        assert_eq!((at(7), at(56)), ([black, 128 * unit, 128 * unit], [black, 128 * unit, 128 * unit]));
        assert_eq!((at(8), at(55)), ([235 * unit, 90 * unit, 240 * unit], [235 * unit, 90 * unit, 240 * unit]));
    }
}

#[test]
fn what_is_cropped_away_never_shows() {
    let mut frame = HostImage::filled(70, 50, false, [255, 255, 255]);
    let crop = Area { x: 10, y: 4, width: 40, height: 30 };
    let inside = HostImage::filled(40, 30, false, [50, 60, 70]);
    for (plane, (part, half)) in frame.planes.iter_mut().zip(inside.planes.iter().zip([0, 1, 1])) {
        plane.place(part, 10 >> half, 4 >> half);
    }
    let made = scaled(&frame, &SourceGeometry { crop, ..source(70, 50) }, &rung(90, 64), Filter::Lanczos3);
    for (plane, value) in made.planes.iter().zip([50, 60, 70]) {
        assert!(plane.samples.iter().all(|sample| *sample == value));
    }
}

proptest! {
    #[test]
    fn bytes_are_read_back_as_they_were_written(width in 1u32..40, height in 1u32..40, ten_bit: bool, seed: u16) {
        let limit = if ten_bit { 1024 } else { 256 };
        let mut image = HostImage::filled(width, height, ten_bit, [0; 3]);
        for (plane, salt) in image.planes.iter_mut().zip(1u16..) {
            *plane = Plane::painted(plane.width, plane.height, |x, y| (seed ^ (x * 31 + y * 57) as u16).wrapping_mul(salt) % limit);
        }
        let bytes = image.to_bytes(96);
        prop_assert_eq!(HostImage::from_bytes(width, height, ten_bit, 96, &bytes), image);
    }

    #[test]
    fn the_cells_are_those_that_the_host_reads(width in 1u32..1400, height in 1u32..800, seed: u8) {
        let mut planar = PlanarPool::new(width, height, 0).take();
        let paint = |x: usize, y: usize| seed ^ (x * 7 + y * 13) as u8;
        let stride = planar.stride(0);
        for (y, row) in planar.plane_mut(0).chunks_exact_mut(stride).enumerate() {
            row.iter_mut().enumerate().for_each(|(x, sample)| *sample = paint(x, y));
        }
        let mut grid = LumaGrid::default();
        prop_assert!(grid.read(&HostPicture::Planar(Arc::new(planar))));
        let host = image(Plane::painted(width as usize, height as usize, |x, y| u16::from(paint(x, y))));
        prop_assert_eq!(luma_cells(&host, Area::whole(width, height)), grid.cells());
    }
}
