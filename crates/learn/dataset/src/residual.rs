//! Lossless compression of frames: prediction, then range coding of the residuals.
//!
//! Colours are decorrelated to G, R-G, B-G. Every 16x16 block of such a plane picks the predictor with the smallest
//! residuals: the value to the left or above, LOCO-I's median (Weinberger, Seroussi and Sapiro, 2000), the plane through
//! the neighbours, the frame before, or a mean. How large a residual will be shows in the gradients and residuals around
//! it, so each plane has a histogram for every class of those. On camera footage this needs a fifth fewer bytes than
//! zstd on the same residuals, whose matches and whole-bit codes do not suit noise, and a fraction of the time.

use std::ops::Range;

use constriction::stream::model::DefaultContiguousCategoricalEntropyModel as Model;
use constriction::stream::queue::{DefaultRangeDecoder, DefaultRangeEncoder};
use constriction::stream::{Decode, Encode};

/// Frames that are compressed together; the first of them refers to no other.
pub const GROUP: usize = 32;
const PLANES: usize = 3;
const BLOCK: usize = 16;
/// Expected magnitudes (in sixths or so) at which the next class of neighbourhoods begins.
const THRESHOLDS: [u32; 15] = [1, 2, 4, 6, 8, 11, 14, 18, 23, 29, 37, 47, 62, 85, 130];
const CLASSES: usize = THRESHOLDS.len() + 1;
const HISTOGRAMS: usize = PLANES * CLASSES;
const SYMBOLS: usize = 256;
/// For histograms and predictors.
const ZSTD_LEVEL: i32 = 9;

#[derive(Clone, Copy)]
enum Predictor {
    Median,
    Left,
    Above,
    Linear,
    Previous,
    MedianAndPrevious,
}

/// In the order of their codes; the last two need a frame before.
const PREDICTORS: [Predictor; 6] = [
    Predictor::Median,
    Predictor::Left,
    Predictor::Above,
    Predictor::Linear,
    Predictor::Previous,
    Predictor::MedianAndPrevious,
];
const SPATIAL_PREDICTORS: usize = 4;

/// A plane with a border of one value on the left, right and above.
struct Bordered {
    stride: usize,
    data: Vec<u8>,
}

impl Bordered {
    fn new(height: usize, width: usize, fill: u8) -> Self {
        let stride = width + 2;
        Self { stride, data: vec![fill; stride * (height + 1)] }
    }

    /// Position of pixel (y, x).
    fn at(&self, y: usize, x: usize) -> usize {
        (y + 1) * self.stride + x + 1
    }

    /// The border left of row `y` takes the value above it.
    fn begin_row(&mut self, y: usize) {
        let first = self.at(y, 0);
        self.data[first - 1] = self.data[first - self.stride];
    }

    /// The border right of row `y` takes the row's last value.
    fn end_row(&mut self, y: usize) {
        let border = self.at(y, self.stride - 2);
        self.data[border] = self.data[border - 1];
    }

    /// Left, above, above left, above right.
    fn around(&self, at: usize) -> [u8; 4] {
        let above = at - self.stride;
        [self.data[at - 1], self.data[above], self.data[above - 1], self.data[above + 1]]
    }
}

fn median([left, above, corner, _]: [u8; 4]) -> u8 {
    let (low, high) = (left.min(above), left.max(above));
    if corner >= high {
        low
    } else if corner <= low {
        high
    } else {
        // Lies between low and high.
        (i16::from(left) + i16::from(above) - i16::from(corner)) as u8
    }
}

fn mean(a: u8, b: u8) -> u8 {
    (u16::from(a) + u16::from(b)).div_ceil(2) as u8
}

impl Predictor {
    #[inline]
    fn predict(self, around: [u8; 4], previous: u8) -> u8 {
        let [left, above, corner, _] = around;
        match self {
            Self::Median => median(around),
            Self::Left => left,
            Self::Above => above,
            Self::Linear => {
                let sum = 3 * (i16::from(left) + i16::from(above)) - 2 * i16::from(corner) + 2;
                (sum / 4).clamp(0, 255) as u8
            }
            Self::Previous => previous,
            Self::MedianAndPrevious => mean(median(around), previous),
        }
    }
}

fn magnitude(residual: u8) -> u32 {
    u32::from((residual as i8).unsigned_abs())
}

/// The class of a neighbourhood of values and of residuals.
#[inline]
fn class_of(values: [u8; 4], residuals: [u8; 4]) -> usize {
    let [left, above, corner, right] = values;
    let [r_left, r_above, r_corner, r_right] = residuals.map(magnitude);
    let gradients = right.abs_diff(above) as u32 + above.abs_diff(corner) as u32 + corner.abs_diff(left) as u32;
    let expected = gradients + 2 * r_left + 2 * r_above + r_corner + r_right;
    THRESHOLDS.partition_point(|&threshold| threshold <= expected)
}

/// R, G, B planes to G, R-G, B-G around 128, or back.
fn decorrelate(rgb: &[u8]) -> [Vec<u8>; PLANES] {
    let (red, rest) = rgb.split_at(rgb.len() / 3);
    let (green, blue) = rest.split_at(red.len());
    let minus_green =
        |plane: &[u8]| plane.iter().zip(green).map(|(v, g)| v.wrapping_sub(*g).wrapping_add(128)).collect();
    [green.to_vec(), minus_green(red), minus_green(blue)]
}

fn recorrelate(planes: [&Bordered; PLANES], height: usize, width: usize, rgb: &mut [u8]) {
    let [green, red, blue] = planes;
    let (red_out, rest) = rgb.split_at_mut(height * width);
    let (green_out, blue_out) = rest.split_at_mut(height * width);
    for y in 0..height {
        let (row, source) = (y * width..(y + 1) * width, green.at(y, 0)..green.at(y, width));
        let green = &green.data[source.clone()];
        green_out[row.clone()].copy_from_slice(green);
        for (out, plane) in [(&mut *red_out, red), (&mut *blue_out, blue)] {
            for ((out, v), g) in out[row.clone()].iter_mut().zip(&plane.data[source.clone()]).zip(green) {
                *out = v.wrapping_add(*g).wrapping_sub(128);
            }
        }
    }
}

/// The blocks that row `y` crosses: number and columns.
fn blocks(y: usize, width: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    let across = width.div_ceil(BLOCK);
    let columns = move |b: usize| b * BLOCK..((b + 1) * BLOCK).min(width);
    (0..across).map(move |b| (y / BLOCK * across + b, columns(b)))
}

fn block_count(height: usize, width: usize) -> usize {
    height.div_ceil(BLOCK) * width.div_ceil(BLOCK)
}

/// Compresses frames `[3, height, width]` (R, G, B planes), at least one and at most [`GROUP`].
///
/// Layout: length (u32) of what zstd holds, that: the histograms (u16 each) and the predictors; then the range coder's
/// words (u32); integers little-endian.
pub fn compress(frames: &[Vec<u8>], height: usize, width: usize) -> Vec<u8> {
    let mut counts = vec![[0u32; SYMBOLS]; HISTOGRAMS];
    let mut codes = Vec::new();
    let mut symbols = Vec::with_capacity(frames.len() * PLANES * height * width);
    let mut previous: Option<[Bordered; PLANES]> = None;
    for frame in frames {
        let planes = decorrelate(frame).map(|plane| border(&plane, height, width));
        for (index, plane) in planes.iter().enumerate() {
            let before = previous.as_ref().map(|planes| &planes[index]);
            let chosen = choose(plane, before, height, width);
            let mut residuals = Bordered::new(height, width, 0);
            for y in 0..height {
                for (block, columns) in blocks(y, width) {
                    let predictor = PREDICTORS[usize::from(chosen[block])];
                    for at in plane.at(y, columns.start)..plane.at(y, columns.end) {
                        let around = plane.around(at);
                        let prediction = predictor.predict(around, before.map_or(0, |b| b.data[at]));
                        let residual = plane.data[at].wrapping_sub(prediction);
                        let histogram = index * CLASSES + class_of(around, residuals.around(at));
                        counts[histogram][usize::from(residual)] += 1;
                        symbols.push((histogram as u8, residual));
                        residuals.data[at] = residual;
                    }
                }
            }
            codes.extend(chosen);
        }
        previous = Some(planes);
    }
    let histograms: Vec<[u16; SYMBOLS]> = counts.iter().map(scale).collect();
    let models: Vec<Model> = histograms.iter().map(model).collect();
    let mut side: Vec<u8> = histograms.iter().flatten().flat_map(|count| count.to_le_bytes()).collect();
    side.extend(codes);
    // Compressing to memory fails only for want of it.
    let side = zstd::bulk::compress(&side, ZSTD_LEVEL).unwrap_or_default();
    let mut encoder = DefaultRangeEncoder::new();
    for (histogram, residual) in symbols {
        // Every symbol has a place in every model, so this cannot fail.
        let _ = encoder.encode_symbol(usize::from(residual), &models[usize::from(histogram)]);
    }
    let Ok(words) = encoder.into_compressed();
    let mut bytes = (side.len() as u32).to_le_bytes().to_vec();
    bytes.extend(side);
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    bytes
}

/// Counts in 16 bits; none that is not 0 becomes 0.
fn scale(counts: &[u32; SYMBOLS]) -> [u16; SYMBOLS] {
    let top = u64::from(counts.iter().copied().max().unwrap_or(0)).max(u64::from(u16::MAX));
    counts.map(|count| (u64::from(count) * u64::from(u16::MAX)).div_ceil(top) as u16)
}

/// The model of a histogram, or of equal counts where all are 0. Cumulative counts are integers below 2^24 in f64, so the
/// model is the same everywhere.
fn model(histogram: &[u16; SYMBOLS]) -> Model {
    let empty = histogram.iter().all(|&count| count == 0);
    let counts = histogram.map(|count| if empty { 1.0 } else { f64::from(count) });
    Model::from_floating_point_probabilities_fast(&counts, None).expect("256 counts of a positive sum")
}

fn border(plane: &[u8], height: usize, width: usize) -> Bordered {
    let mut bordered = Bordered::new(height, width, 128);
    for (y, row) in plane.chunks_exact(width).enumerate() {
        bordered.begin_row(y);
        let start = bordered.at(y, 0);
        bordered.data[start..start + width].copy_from_slice(row);
        bordered.end_row(y);
    }
    bordered
}

/// Code of the best predictor of each block.
fn choose(plane: &Bordered, before: Option<&Bordered>, height: usize, width: usize) -> Vec<u8> {
    let mut costs = vec![[0u32; PREDICTORS.len()]; block_count(height, width)];
    for y in 0..height {
        for (block, columns) in blocks(y, width) {
            for at in plane.at(y, columns.start)..plane.at(y, columns.end) {
                let (around, previous) = (plane.around(at), before.map_or(0, |b| b.data[at]));
                for (cost, predictor) in costs[block].iter_mut().zip(PREDICTORS) {
                    *cost += magnitude(plane.data[at].wrapping_sub(predictor.predict(around, previous)));
                }
            }
        }
    }
    let usable = if before.is_some() { PREDICTORS.len() } else { SPATIAL_PREDICTORS };
    let best = |costs: &[u32; PREDICTORS.len()]| (0..usable).min_by_key(|&code| costs[code]).unwrap_or(0) as u8;
    costs.iter().map(best).collect()
}

/// Undoes [`compress`] into `frames`, `[n, 3, height, width]`; nothing where the bytes cannot hold that. A range coder does
/// not notice all damage: the file's hash does.
pub fn decompress(bytes: &[u8], height: usize, width: usize, frames: &mut [u8]) -> Option<()> {
    let frame_len = PLANES * height * width;
    let blocks_each = block_count(height, width);
    let (models, codes, words) = unpack(bytes, frames.len() / frame_len * PLANES * blocks_each)?;
    let mut codes = codes.chunks_exact(blocks_each);
    let mut decoder = DefaultRangeDecoder::from_compressed(words).ok()?;
    let mut previous: Option<[Bordered; PLANES]> = None;
    let mut residuals = Bordered::new(height, width, 0);
    for frame in frames.chunks_exact_mut(frame_len) {
        let mut planes: [Bordered; PLANES] = std::array::from_fn(|_| Bordered::new(height, width, 128));
        for (index, plane) in planes.iter_mut().enumerate() {
            let before = previous.as_ref().map(|planes| &planes[index]);
            let usable = if before.is_some() { PREDICTORS.len() } else { SPATIAL_PREDICTORS };
            let predictor = |&code: &u8| PREDICTORS[..usable].get(usize::from(code)).copied();
            let predictors: Vec<Predictor> = codes.next()?.iter().map(predictor).collect::<Option<_>>()?;
            for y in 0..height {
                plane.begin_row(y);
                for (block, columns) in blocks(y, width) {
                    for at in plane.at(y, columns.start)..plane.at(y, columns.end) {
                        let around = plane.around(at);
                        let histogram = index * CLASSES + class_of(around, residuals.around(at));
                        let residual = decoder.decode_symbol(&models[histogram]).ok()? as u8;
                        let prediction = predictors[block].predict(around, before.map_or(0, |b| b.data[at]));
                        plane.data[at] = prediction.wrapping_add(residual);
                        residuals.data[at] = residual;
                    }
                }
                plane.end_row(y);
            }
        }
        recorrelate(planes.each_ref(), height, width, frame);
        previous = Some(planes);
    }
    decoder.maybe_exhausted().then_some(())
}

/// The models, the codes of `blocks` predictors, the range coder's words.
fn unpack(bytes: &[u8], blocks: usize) -> Option<(Vec<Model>, Vec<u8>, Vec<u32>)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (side, words) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let (words, []) = words.as_chunks::<4>() else { return None };
    let tables = HISTOGRAMS * SYMBOLS * size_of::<u16>();
    let side = zstd::bulk::decompress(side, tables + blocks).ok().filter(|side| side.len() == tables + blocks)?;
    let (tables, codes) = side.split_at(tables);
    let counts: Vec<u16> = tables.as_chunks::<2>().0.iter().copied().map(u16::from_le_bytes).collect();
    let models = counts.as_chunks::<SYMBOLS>().0.iter().map(model).collect();
    Some((models, codes.to_vec(), words.iter().copied().map(u32::from_le_bytes).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of `kind`: flat, noise, extremes, or a drifting gradient with noise.
    fn frames(kind: usize, count: usize, height: usize, width: usize) -> Vec<Vec<u8>> {
        let mut state = 12345u32;
        let mut noise = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let value = |t: usize, i: usize, noise: u8| match kind {
            0 => 7,
            1 => noise,
            2 => (noise >> 7) * 255,
            _ => ((t * 3 + i / 5 % 90) as u8).wrapping_add(noise >> 6),
        };
        (0..count).map(|t| (0..3 * height * width).map(|i| value(t, i, noise())).collect()).collect()
    }

    #[test]
    fn any_frames_come_back() {
        for kind in 0..4 {
            for (count, height, width) in [(1, 1, 1), (3, 1, 40), (3, 40, 1), (2, 16, 16), (4, 33, 47)] {
                let frames = frames(kind, count, height, width);
                let bytes = compress(&frames, height, width);
                let mut decoded = vec![0; 3 * count * height * width];
                decompress(&bytes, height, width, &mut decoded).unwrap();
                assert_eq!(decoded, frames.concat(), "kind {kind}, {count} of {height}x{width}");
                let _ = decompress(&bytes, height, width + 1, &mut vec![0; 3 * count * height * (width + 1)]);
                assert!(decompress(&bytes[..bytes.len() - 1], height, width, &mut decoded).is_none());
            }
        }
    }

    #[test]
    fn damaged_bytes_never_panic() {
        let frames = frames(3, 2, 20, 24);
        let bytes = compress(&frames, 20, 24);
        let mut decoded = vec![0; 2 * 3 * 20 * 24];
        for bit in (0..bytes.len() * 8).step_by(3) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let _ = decompress(&flipped, 20, 24, &mut decoded);
        }
    }

    #[test]
    fn what_moves_little_compresses_well() {
        let still = vec![frames(3, 1, 96, 128).remove(0); 8];
        assert!(compress(&still, 96, 128).len() < compress(&still[..1], 96, 128).len() * 2);
    }
}
