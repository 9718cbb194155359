//! The images of a pair that the page shows.

use frames::{Planes, RgbFrame};
use image::ImageEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use metric::{INPUT_HEIGHT, INPUT_WIDTH, PIXELS};

use crate::data::Picture;
use crate::error::ReportError;

/// Colours of the classes, those of a class above them again from the first.
pub const PALETTE: [[u8; 3]; 10] = [
    [78, 121, 167],
    [242, 142, 43],
    [89, 161, 79],
    [118, 183, 178],
    [237, 201, 72],
    [225, 87, 89],
    [176, 122, 161],
    [255, 157, 167],
    [156, 117, 95],
    [186, 176, 172],
];

/// A pair to be shown, its second frame before and after.
pub struct Subject {
    /// Best, median or worst.
    pub label: &'static str,
    /// Number of the pair.
    pub sample: usize,
    /// The original's second frame, `[3, height, width]` in 0..255.
    pub original: Planes,
    /// The same as decoded.
    pub reconstruction: Planes,
    /// What SegNet makes of them.
    pub classes: Option<ClassMaps>,
}

/// SegNet's view of a pair's second frame, maps `[384, 512]`.
pub struct ClassMaps {
    /// Class of each pixel of the original.
    pub original: Vec<u8>,
    /// The same of the reconstruction.
    pub reconstruction: Vec<u8>,
    /// The reconstruction as SegNet sees it, 512 x 384.
    pub seen: RgbFrame,
}

/// A stored image: what its file is called after, and the PNG.
pub(crate) type Image = (&'static str, Vec<u8>);

/// Names of a pair's images, in the order of the page: the second frames, then the class map of the original and the pixels
/// whose class differs.
pub(crate) const FRAMES: [&str; 2] = ["original", "reconstruction"];
/// See [`FRAMES`].
pub(crate) const MAPS: [&str; 2] = ["classes", "disagreement"];

impl Subject {
    /// What the report says of the pair, and its images.
    pub(crate) fn draw(&self) -> Result<(Picture, Vec<Image>), ReportError> {
        let mut images = vec![(FRAMES[0], small(&self.original)?), (FRAMES[1], small(&self.reconstruction)?)];
        let mut class_pixels = None;
        if let Some(maps) = &self.classes {
            let [original, disagreement] = maps.draw()?;
            images.extend([(MAPS[0], original), (MAPS[1], disagreement)]);
            class_pixels = Some(maps.counts());
        }
        Ok((Picture { label: self.label.into(), sample: self.sample, class_pixels }, images))
    }
}

impl ClassMaps {
    /// The class map of the original, and the reconstruction, grey and dark, with the new class of the pixels whose class
    /// differs.
    fn draw(&self) -> Result<[Vec<u8>; 2], ReportError> {
        let color = |class: u8| PALETTE[usize::from(class) % PALETTE.len()];
        let map: Vec<u8> = self.original.iter().flat_map(|&class| color(class)).collect();
        let pixels = self.original.iter().zip(&self.reconstruction).zip(self.seen.data().chunks_exact(3));
        let disagreement: Vec<u8> = pixels
            .flat_map(|((&was, &is), pixel)| {
                let brightness = pixel.iter().map(|&value| u16::from(value)).sum::<u16>() / 3;
                if was == is { [(brightness * 2 / 5) as u8; 3] } else { color(is) }
            })
            .collect();
        Ok([png(&map, INPUT_HEIGHT, INPUT_WIDTH)?, png(&disagreement, INPUT_HEIGHT, INPUT_WIDTH)?])
    }

    /// How many pixels of the original have each class, up to the last one that is met.
    fn counts(&self) -> Vec<usize> {
        let mut counts = Vec::new();
        for &class in &self.original {
            let class = usize::from(class);
            counts.resize(counts.len().max(class + 1), 0);
            counts[class] += 1;
        }
        counts
    }
}

/// `[3, height, width]` as an image of at most as many pixels as an evaluator's input, which keeps the page small.
fn small(planes: &Planes) -> Result<Vec<u8>, ReportError> {
    let rgb = planes.to_rgb();
    let scale = (PIXELS as f64 / (rgb.width() * rgb.height()) as f64).sqrt();
    let side = |length: usize| ((length as f64 * scale) as usize).max(1);
    let rgb = if scale < 1.0 { rgb.resize_bilinear(side(rgb.height()), side(rgb.width())).to_rgb() } else { rgb };
    png(rgb.data(), rgb.height(), rgb.width())
}

/// Interleaved RGB as a PNG.
fn png(rgb: &[u8], height: usize, width: usize) -> Result<Vec<u8>, ReportError> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive)
        .write_image(rgb, width as u32, height as u32, image::ExtendedColorType::Rgb8)
        .map_err(ReportError::drawing)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(png: &[u8]) -> image::RgbImage {
        image::load_from_memory(png).unwrap().to_rgb8()
    }

    #[test]
    fn pixels_that_disagree_show_their_new_class_and_others_the_dark_frame() {
        let mut original = vec![2; PIXELS];
        original[0] = 13;
        let mut reconstruction = original.clone();
        reconstruction[1] = 255;
        let seen = RgbFrame::new(INPUT_WIDTH, INPUT_HEIGHT, [250, 50, 0].repeat(PIXELS)).unwrap();
        let maps = ClassMaps { original, reconstruction, seen };
        let [map, disagreement] = maps.draw().unwrap().map(|png| decoded(&png));
        assert_eq!([map[(0, 0)].0, map[(1, 0)].0], [PALETTE[3], PALETTE[2]]);
        assert_eq!([disagreement[(0, 0)].0, disagreement[(1, 0)].0], [[40; 3], PALETTE[5]]);
        let counts = maps.counts();
        assert_eq!((counts[2], counts[13], counts.len()), (PIXELS - 1, 1, 14));
    }

    #[test]
    fn large_frames_are_reduced() {
        let frame = Planes::new(3, 874, 1164, vec![7.0; 3 * 874 * 1164]).unwrap();
        let image = decoded(&small(&frame).unwrap());
        assert!(image.width() * image.height() <= PIXELS as u32 && image.width() > 500);
        assert_eq!(image[(3, 3)].0, [7; 3]);
        let frame = Planes::new(3, 4, 6, vec![7.0; 72]).unwrap();
        assert_eq!(decoded(&small(&frame).unwrap()).dimensions(), (6, 4));
    }
}
