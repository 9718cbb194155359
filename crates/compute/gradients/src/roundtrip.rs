//! A decoded frame on its way into an evaluator: up to the clip's size, to 8 bit, down to the evaluator's size.
//!
//! The frame at the clip's size is never made. A pixel of the result reads two of its columns, the lower and the upper
//! one; only those are computed, as two images of the result's width, so that the way down needs no gathering. The
//! bicubic interpolation of columns then reads almost consecutive values for consecutive results: see `diagonals`.

use rayon::prelude::*;

mod axis;
mod diagonals;

use axis::{Axis, Reader};
use diagonals::{Diagonals, Entry};

use crate::bands::{BandedTensor, image, jobs};
use kernels::math::ROUND;
use kernels::simd::{Kernel, Level, MAX_LANES, Simd};
use kernels::{Aligned, MARGIN, RowMut, Rows};

/// Rows that a thread takes at once.
const BAND: usize = 32;

/// `bilinear(round(clamp(bicubic(255 * x))))`: what an evaluator sees of a decoder's frame.
///
/// Bicubic (a = -0.75) and bilinear interpolation have half-pixel centres, clamped edges and no antialiasing; in between,
/// values are clamped to [0, 255] and rounded half to even. Every value has the bits that [`Bicubic`](kernels::Bicubic) and
/// `frames::resize_bilinear` give for `255 * x`.
///
/// Every method panics if a slice does not have the length that its shape says, or a size is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrip {
    /// Rows and columns of the decoder's frames.
    pub native: (usize, usize),
    /// Rows and columns of the clip.
    pub camera: (usize, usize),
    /// Rows and columns of the evaluator's input.
    pub input: (usize, usize),
    /// Whether to round.
    pub round: bool,
}

/// What [`RoundTrip::backward`] needs of the forward pass: which of the clip's pixels were not clamped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    level: Level,
    /// One for every vector of every row of the result.
    words: Vec<Word>,
}

/// A bit a column for each of the four pixels that a pixel of the result reads: `[row][column]`, lower before upper.
type Word = [[u16; 2]; 2];

impl RoundTrip {
    /// `[planes, input]` in 0 to 255 for `x` `[planes, native]` in 0 to 1, and what the backward pass needs.
    ///
    /// NaN becomes 0 at the clip's size, as it does in an inflated frame; what is not finite may also harm the values of
    /// the row beside it.
    pub fn forward(&self, planes: usize, x: &[f32]) -> (Vec<f32>, Kept) {
        self.forward_at(Level::detect(), planes, x)
    }

    /// Gradient in `x`, `[planes, native]`, of a loss whose gradient in the result is `gradient`: rounding passes it
    /// unchanged, clamping does where the value lay in [0, 255].
    ///
    /// # Panics
    /// Also if `kept` is of another number of planes or another shape.
    pub fn backward(&self, planes: usize, kept: &Kept, gradient: &[f32]) -> Vec<f32> {
        let Self { native, input, .. } = *self;
        let axes = self.axes();
        let y_len = input.0 * input.1;
        let vectors = input.1.div_ceil(kept.level.lanes());
        assert!(gradient.len() == planes * y_len && kept.words.len() == planes * input.0 * vectors);
        let columns = [0, 1].map(|side| {
            let transposed = |entry: Entry| Entry {
                at: entry.from.clamp(0, native.1 as isize - 1) as usize,
                from: entry.at as isize,
                weight: 255.0 * entry.weight * axes[1].down[entry.at].weight[side],
            };
            let entries: Vec<Entry> = axes[1].entries(side).map(transposed).collect();
            Diagonals::new(kept.level.lanes(), native.1, &entries)
        });
        let readers = axes[0].readers(native.0);
        let mut dx = BandedTensor::new([planes, 1, native.0, native.1]);
        let new = || ([(); 2].map(|()| Diagonals::row(input.1)), vec![0.0; native.1]);
        let bands = dx.bands(BAND).into_par_iter().zip(jobs(planes, native.0, BAND));
        bands.for_each_init(new, |(sums, out), (mut band, job)| {
            let words = &kept.words[job.sample * input.0 * vectors..][..input.0 * vectors];
            let gradient = image(gradient, job.sample, y_len);
            for y in job.rows {
                let readers = &readers[y];
                kept.level.run(Backward { width: input.1, words, gradient, readers, columns: &columns, sums, out });
                band.push(0, out);
            }
        });
        dx.finish()
    }

    /// Rows and columns.
    fn axes(&self) -> [Axis; 2] {
        let Self { native, camera, input, .. } = *self;
        let sizes = [native, camera, input];
        assert!(sizes.iter().all(|&(height, width)| height > 0 && width > 0), "an empty image");
        [Axis::new(sizes.map(|size| size.0)), Axis::new(sizes.map(|size| size.1))]
    }

    fn forward_at(&self, level: Level, planes: usize, x: &[f32]) -> (Vec<f32>, Kept) {
        let Self { native, input, round, .. } = *self;
        let [rows, columns] = self.axes();
        let x_len = native.0 * native.1;
        assert_eq!(x.len(), planes * x_len);
        let vectors = input.1.div_ceil(level.lanes());
        let sides = [0, 1].map(|side| {
            let entries: Vec<Entry> = columns.entries(side).collect();
            let mut weights = vec![0.0; vectors * level.lanes()];
            for (weight, pair) in weights.iter_mut().zip(&columns.down) {
                *weight = pair.weight[side];
            }
            (Diagonals::new(level.lanes(), input.1, &entries), weights)
        });
        let mut words = vec![Word::default(); planes * input.0 * vectors];
        let word_bands: Vec<_> =
            words.chunks_mut(input.0 * vectors).flat_map(|plane| plane.chunks_mut(BAND * vectors)).collect();
        let mut target = BandedTensor::new([planes, 1, input.0, input.1]);
        let window = (0..input.0).map(|y| rows.span(y)).map(|(first, end)| end - first).max().unwrap_or(0);
        let new = || {
            let window = Rows::new(2, native.0, input.1, window);
            (window, Diagonals::row(native.1), vec![0.0; vectors * level.lanes()])
        };
        let bands = target.bands(BAND).into_par_iter().zip(word_bands).zip(jobs(planes, input.0, BAND));
        bands.for_each_init(new, |(window, padded, out), ((mut band, words), job)| {
            let x = image(x, job.sample, x_len);
            window.restart_at(rows.span(job.rows.start).0);
            for (y, words) in job.rows.zip(words.chunks_exact_mut(vectors)) {
                while window.filled() < rows.span(y).1 {
                    let row = &x[window.filled() * native.1..][..native.1];
                    level.run(Widen { row, padded: &mut *padded, sides: &sides, out: window.push() });
                }
                level.run(Forward { window, axis: &rows, y, sides: &sides, round, words, out });
                band.push(0, out);
            }
        });
        (target.finish(), Kept { level, words })
    }
}

/// Interpolates the columns of one source row: the lower and the upper columns that the results read.
struct Widen<'a> {
    row: &'a [f32],
    /// The row between copies of its ends.
    padded: &'a mut Aligned,
    sides: &'a [(Diagonals, Vec<f32>); 2],
    out: RowMut<'a>,
}

impl Kernel for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let padded = self.padded.as_mut_slice();
        let (left, rest) = padded.split_at_mut(Diagonals::PAD);
        let (middle, right) = rest.split_at_mut(self.row.len());
        for (value, x) in middle.iter_mut().zip(self.row) {
            *value = 255.0 * x;
        }
        left.fill(middle[0]);
        right.fill(middle[middle.len() - 1]);
        for (side, (diagonals, _)) in self.sides.iter().enumerate() {
            for (block, out) in self.out.channel(side).chunks_mut(S::LANES).enumerate() {
                s.store(diagonals.add(s, block, padded, s.splat(0.0)), out);
            }
        }
    }
}

/// One row of the result.
struct Forward<'a> {
    /// Lower and upper columns of the source rows.
    window: &'a Rows,
    axis: &'a Axis,
    y: usize,
    sides: &'a [(Diagonals, Vec<f32>); 2],
    round: bool,
    words: &'a mut [Word],
    /// As many values as whole vectors have.
    out: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let taps = self.axis.sides(self.y);
        let rows = taps.map(|tap| tap.index.map(|y| self.window.row(y as isize)));
        let down = self.axis.down[self.y].weight;
        let (zero, limit, round) = (s.splat(0.0), s.splat(255.0), s.splat(ROUND));
        for (block, (word, out)) in self.words.iter_mut().zip(self.out.chunks_exact_mut(S::LANES)).enumerate() {
            let x = block * S::LANES;
            let mut result = [zero; 2];
            for (side, (_, weights)) in self.sides.iter().enumerate() {
                let at = side * self.window.stride() + MARGIN + x;
                let weight = s.load(&weights[x..]);
                for (row, (sources, tap)) in rows.iter().zip(taps).enumerate() {
                    let mut sum = zero;
                    for (source, weight) in sources.iter().zip(tap.weight) {
                        sum = s.fma(s.load(&source[at..]), s.splat(weight), sum);
                    }
                    word[row][side] = s.bits(s.both(s.at_least(sum, zero), s.at_least(limit, sum)));
                    // The second operand answers for NaN.
                    let mut value = s.min(s.max(sum, zero), limit);
                    if self.round {
                        value = s.sub(s.add(value, round), round);
                    }
                    // Not fused, as the metric's interpolation is not; adding to 0 changes nothing.
                    result[row] = s.add(result[row], s.mul(weight, value));
                }
            }
            let lower = s.mul(s.splat(down[0]), result[0]);
            s.store(s.add(lower, s.mul(s.splat(down[1]), result[1])), out);
        }
    }
}

/// The gradient of one source row.
struct Backward<'a> {
    /// Columns of the result.
    width: usize,
    /// Of one plane.
    words: &'a [Word],
    /// Of one plane.
    gradient: &'a [f32],
    readers: &'a [Reader],
    /// From lower and upper columns to source columns.
    columns: &'a [Diagonals; 2],
    /// Gradients of the source row's lower and upper columns.
    sums: &'a mut [Aligned; 2],
    out: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { width, words, gradient, readers, columns, sums: [lower, upper], out } = self;
        let (lower, upper) = (lower.as_mut_slice(), upper.as_mut_slice());
        let (zero, vectors) = (s.splat(0.0), width.div_ceil(S::LANES));
        for (block, x) in (0..width).step_by(S::LANES).enumerate() {
            let end = width.min(x + S::LANES);
            let mut sums = [zero; 2];
            for &Reader { y, weight } in readers {
                let gradient = load_padded(s, &gradient[y * width..][x..end]);
                let word = words[y * vectors + block];
                for (bits, weight) in word.into_iter().zip(weight) {
                    let product = s.mul(gradient, s.splat(weight));
                    for (sum, bits) in sums.iter_mut().zip(bits) {
                        *sum = s.add(*sum, s.select(s.mask(bits), product, zero));
                    }
                }
            }
            s.store(sums[0], &mut lower[Diagonals::PAD + x..][..end - x]);
            s.store(sums[1], &mut upper[Diagonals::PAD + x..][..end - x]);
        }
        for (block, out) in out.chunks_mut(S::LANES).enumerate() {
            let sum = columns[0].add(s, block, lower, zero);
            s.store(columns[1].add(s, block, upper, sum), out);
        }
    }
}

/// A vector of at most `LANES` values, and zeros.
#[inline(always)]
fn load_padded<S: Simd>(s: S, values: &[f32]) -> S::V {
    if values.len() == S::LANES {
        return s.load(values);
    }
    let mut padded = [0.0; MAX_LANES];
    padded[..values.len()].copy_from_slice(values);
    s.load(&padded)
}

#[cfg(test)]
mod tests;
