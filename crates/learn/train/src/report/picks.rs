//! The pairs that the page shows: best, median and worst.

use base64::Engine;
use decoder::Decoder;
use frames::{Planes, RgbFrame};
use image::ImageEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use perception::targets::Targets;
use perception::{Evaluators, INPUT_HEIGHT, INPUT_WIDTH, PIXELS, evaluator_input};
use repr::Representation;

use super::{Pair, ReportError, drawing};
use crate::evaluate::EvaluateError;
use crate::pairs;
use crate::run::TrainError;

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

/// A pair on the page. Images are base64 of a PNG.
pub struct Pick {
    /// Best, median or worst.
    pub label: &'static str,
    /// Number of the pair.
    pub sample: usize,
    /// The second frame of the original.
    pub original: String,
    /// The second frame as decoded.
    pub reconstruction: String,
    /// What SegNet makes of them.
    pub classes: Option<Classes>,
}

/// SegNet's view of the second frame.
pub struct Classes {
    /// Class map of the original.
    pub map: String,
    /// The reconstruction, grey and dark, and on it the class of the pixels whose class differs.
    pub disagreement: String,
    /// How many pixels of the original have each class.
    pub counts: [usize; 256],
}

/// Best, median and worst of `pairs`: by what they add to the score, without evaluators by their PSNR.
pub fn picks(
    pairs: &[Pair],
    representation: &Representation,
    targets: &Targets,
    mut evaluators: Option<&mut Evaluators>,
) -> Result<Vec<Pick>, TrainError> {
    let decoder = Decoder::new(representation).map_err(EvaluateError::from)?;
    let pick = |(label, sample)| -> Result<Pick, TrainError> {
        let [_, original] = pairs::pair(targets, sample);
        let (height, width) = pairs::size(targets);
        let original = original.iter().map(|&value| f32::from(value)).collect();
        let original = Planes::new(3, height, width, original).map_err(drawing)?;
        let [_, decoded] = decoder.decode_native(sample).map_err(EvaluateError::from)?;
        let classes = match (&mut evaluators, targets.outputs.as_ref().and_then(|o| o.samples.get(sample))) {
            (Some(evaluators), Some(outputs)) => {
                let [_, seen] = decoder.decode(sample).map_err(EvaluateError::from)?.map(|f| evaluator_input(&f));
                Some(classes(&outputs.classes, &evaluators.classes(&seen)?, &seen.to_rgb())?)
            }
            _ => None,
        };
        Ok(Pick { label, sample, original: small(&original)?, reconstruction: small(&decoded)?, classes })
    };
    choose(pairs).into_iter().map(pick).collect()
}

/// Best, median and worst; one that is two of them only once.
fn choose(pairs: &[Pair]) -> Vec<(&'static str, usize)> {
    let cost = |&index: &usize| pairs[index].seen.map_or(-pairs[index].psnr, |seen| seen.score());
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    order.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
    let chosen = [("Best", order.first()), ("Median", order.get(order.len() / 2)), ("Worst", order.last())];
    let mut chosen: Vec<_> = chosen.into_iter().filter_map(|(label, sample)| Some((label, *sample?))).collect();
    chosen.dedup_by_key(|(_, sample)| *sample);
    chosen
}

/// The class maps as images, `[384, 512]` each, over what SegNet sees of the reconstruction.
fn classes(original: &[u8], reconstruction: &[u8], seen: &RgbFrame) -> Result<Classes, ReportError> {
    let color = |class: u8| PALETTE[usize::from(class) % PALETTE.len()];
    let map: Vec<u8> = original.iter().flat_map(|&class| color(class)).collect();
    let pixels = original.iter().zip(reconstruction).zip(seen.data().chunks_exact(3));
    let disagreement: Vec<u8> = pixels
        .flat_map(|((&was, &is), pixel)| {
            let brightness = pixel.iter().map(|&value| u16::from(value)).sum::<u16>() / 3;
            if was == is { [(brightness * 2 / 5) as u8; 3] } else { color(is) }
        })
        .collect();
    let mut counts = [0; 256];
    original.iter().for_each(|&class| counts[usize::from(class)] += 1);
    let image = |rgb: &[u8]| png(rgb, INPUT_HEIGHT, INPUT_WIDTH);
    Ok(Classes { map: image(&map)?, disagreement: image(&disagreement)?, counts })
}

/// `[3, height, width]` as an image of at most as many pixels as an evaluator's input, which keeps the page small.
fn small(planes: &Planes) -> Result<String, ReportError> {
    let rgb = planes.to_rgb();
    let scale = (PIXELS as f64 / (rgb.width() * rgb.height()) as f64).sqrt();
    let side = |length: usize| ((length as f64 * scale) as usize).max(1);
    let rgb = if scale < 1.0 { rgb.resize_bilinear(side(rgb.height()), side(rgb.width())).to_rgb() } else { rgb };
    png(rgb.data(), rgb.height(), rgb.width())
}

/// Interleaved RGB as base64 of a PNG.
fn png(rgb: &[u8], height: usize, width: usize) -> Result<String, ReportError> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive)
        .write_image(rgb, width as u32, height as u32, image::ExtendedColorType::Rgb8)
        .map_err(drawing)?;
    Ok(base64::engine::general_purpose::STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Seen;

    fn decoded(png: &str) -> image::RgbImage {
        let bytes = base64::engine::general_purpose::STANDARD.decode(png).unwrap();
        image::load_from_memory(&bytes).unwrap().to_rgb8()
    }

    #[test]
    fn pairs_are_chosen_by_the_score_or_else_by_psnr() {
        let psnr = |psnr| Pair { psnr, seen: None };
        let chosen = choose(&[30.0, 10.0, f64::INFINITY, 20.0].map(psnr));
        assert_eq!(chosen, [("Best", 2), ("Median", 3), ("Worst", 1)]);
        assert_eq!(choose(&[psnr(3.0)]), [("Best", 0)]);
        assert_eq!(choose(&[]), []);
        // By the sum of both terms, whatever the pixels say.
        let distortions = [[0.001, 0.2], [0.02, 0.0], [0.0, 0.0]];
        let seen = Seen::all(&distortions).into_iter();
        let pairs: Vec<Pair> =
            seen.zip([40.0, 30.0, 20.0]).map(|(seen, psnr)| Pair { psnr, seen: Some(seen) }).collect();
        assert_eq!(choose(&pairs), [("Best", 2), ("Median", 1), ("Worst", 0)]);
    }

    #[test]
    fn pixels_that_disagree_show_their_new_class_and_others_the_dark_frame() {
        let mut original = vec![2; PIXELS];
        original[0] = 13;
        let mut reconstruction = original.clone();
        reconstruction[1] = 255;
        let seen = RgbFrame::new(INPUT_WIDTH, INPUT_HEIGHT, [250, 50, 0].repeat(PIXELS)).unwrap();
        let found = classes(&original, &reconstruction, &seen).unwrap();
        let (map, disagreement) = (decoded(&found.map), decoded(&found.disagreement));
        assert_eq!([map[(0, 0)].0, map[(1, 0)].0], [PALETTE[3], PALETTE[2]]);
        assert_eq!([disagreement[(0, 0)].0, disagreement[(1, 0)].0], [[40; 3], PALETTE[5]]);
        assert_eq!((found.counts[2], found.counts[13]), (PIXELS - 1, 1));
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
