//! A decoded frame on its way into an evaluator: up to the clip's size, to 8 bit, down to the evaluator's size.
//!
//! The frame at the clip's size is never made. A pixel of the result reads two of its columns, the lower and the upper
//! one; only those are computed, as two images of the result's width, so that the way down needs no gathering. The
//! bicubic interpolation of columns then reads almost consecutive values for consecutive results: see [`Diagonals`].

use rayon::prelude::*;

use crate::bicubic::{Tap, taps};
use crate::level::{Kernel, Level};
use crate::math::ROUND;
use crate::rows::{Aligned, MARGIN, RowMut, Rows};
use crate::simd::{MAX_LANES, Simd};
use crate::training::bands::{Target, image, jobs};

/// Rows that a thread takes at once.
const BAND: usize = 32;

/// `bilinear(round(clamp(bicubic(255 * x))))`: what an evaluator sees of a decoder's frame.
///
/// Bicubic (a = -0.75) and bilinear interpolation have half-pixel centres, clamped edges and no antialiasing; in between,
/// values are clamped to [0, 255] and rounded half to even. Every value has the bits that [`Bicubic`](crate::Bicubic) and
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
        let mut dx = Target::new([planes, 1, native.0, native.1]);
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
        let mut target = Target::new([planes, 1, input.0, input.1]);
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

/// Two source positions and their weights.
struct Pair {
    index: [usize; 2],
    weight: [f32; 2],
}

/// One axis of both interpolations.
struct Axis {
    /// Bicubic, of every position of the clip.
    up: Vec<Tap>,
    /// Bilinear, of every position of the result: the clip's positions.
    down: Vec<Pair>,
}

/// One weight of a linear map from one row to another.
#[derive(Clone, Copy)]
struct Entry {
    /// Position in the result.
    at: usize,
    /// Position in the source.
    from: isize,
    weight: f32,
}

/// A row of the result that reads a source row.
struct Reader {
    y: usize,
    /// Through the lower and the upper of the clip's rows.
    weight: [f32; 2],
}

impl Axis {
    fn new([native, camera, input]: [usize; 3]) -> Self {
        let scale = camera as f32 / input as f32;
        let pair = |i: usize| {
            let source = (scale * (i as f32 + 0.5) - 0.5).max(0.0);
            let lower = (source as usize).min(camera - 1);
            let t = (source - lower as f32).clamp(0.0, 1.0);
            Pair { index: [lower, (lower + 1).min(camera - 1)], weight: [1.0 - t, t] }
        };
        Self { up: taps(native, camera), down: (0..input).map(pair).collect() }
    }

    /// The bicubic taps of one side, lower or upper, of every position of the result.
    fn entries(&self, side: usize) -> impl Iterator<Item = Entry> {
        let taps = self.down.iter().map(move |pair| &self.up[pair.index[side]]);
        taps.enumerate()
            .flat_map(|(at, tap)| (tap.first..).zip(tap.weight).map(move |(from, weight)| Entry { at, from, weight }))
    }

    /// The bicubic taps of the lower and the upper side of position `i` of the result.
    fn sides(&self, i: usize) -> [&Tap; 2] {
        self.down[i].index.map(|index| &self.up[index])
    }

    /// The first source position that position `i` of the result reads, and the one after the last.
    fn span(&self, i: usize) -> (usize, usize) {
        let [lower, upper] = self.sides(i);
        (lower.index[0], upper.index[3] + 1)
    }

    /// Who reads each of the `native` source positions.
    fn readers(&self, native: usize) -> Vec<Vec<Reader>> {
        let mut readers: Vec<Vec<Reader>> = (0..native).map(|_| Vec::new()).collect();
        for (y, pair) in self.down.iter().enumerate() {
            for (side, tap) in self.sides(y).into_iter().enumerate() {
                for (&from, weight) in tap.index.iter().zip(tap.weight) {
                    let readers = &mut readers[from];
                    if readers.last().is_none_or(|reader| reader.y != y) {
                        readers.push(Reader { y, weight: [0.0; 2] });
                    }
                    let last = readers.len() - 1;
                    readers[last].weight[side] += pair.weight[side] * weight;
                }
            }
        }
        readers
    }
}

/// A linear map between rows whose matrix is almost a diagonal, cut into blocks of one vector of results.
///
/// A block holds every diagonal that one of its results needs, as a vector of weights, and reads the source as
/// consecutive values at that diagonal's place: no value is gathered. Weights of 0 for the other results leave the sums of
/// finite values as they are, so the bits do not depend on the number of lanes.
struct Diagonals {
    blocks: Vec<Block>,
    /// `[diagonal][lane]`, block after block.
    weights: Vec<f32>,
}

struct Block {
    /// Where in a row of [`Diagonals::row`] the first lane reads the first diagonal.
    start: usize,
    /// Number of diagonals.
    count: usize,
    /// Where the weights begin.
    weights: usize,
}

impl Diagonals {
    /// Values that a source row has on either side: taps reach 2 beyond an edge, a vector beside them once more a vector.
    const PAD: usize = 2 * MAX_LANES;

    /// A source row of `width` values between zeros.
    fn row(width: usize) -> Aligned {
        Aligned::zeros(Self::PAD + width + Self::PAD)
    }

    /// The map to `width` results. The entries of one result add up in ascending order of the source.
    fn new(lanes: usize, width: usize, entries: &[Entry]) -> Self {
        let place = |entry: &Entry| (entry.at / lanes, entry.from - (entry.at % lanes) as isize);
        let mut ranges = vec![(isize::MAX, isize::MIN); width.div_ceil(lanes)];
        for (block, diagonal) in entries.iter().map(place) {
            let (first, last) = ranges[block];
            ranges[block] = (first.min(diagonal), last.max(diagonal));
        }
        let mut count = 0;
        let block = |(first, last): (isize, isize)| {
            if first > last {
                return Block { start: 0, count: 0, weights: 0 };
            }
            let diagonals = (last - first) as usize + 1;
            count += diagonals;
            let start = (Self::PAD as isize + first) as usize;
            Block { start, count: diagonals, weights: (count - diagonals) * lanes }
        };
        let blocks: Vec<Block> = ranges.iter().copied().map(block).collect();
        let mut weights = vec![0.0; count * lanes];
        for entry in entries {
            let (block, diagonal) = place(entry);
            let number = (diagonal - ranges[block].0) as usize;
            weights[blocks[block].weights + number * lanes + entry.at % lanes] += entry.weight;
        }
        Self { blocks, weights }
    }

    /// `sum` and one vector of results, of a source row as [`row`](Self::row) makes it.
    #[inline(always)]
    fn add<S: Simd>(&self, s: S, block: usize, row: &[f32], mut sum: S::V) -> S::V {
        let Block { start, count, weights } = self.blocks[block];
        let weights = self.weights[weights..][..count * S::LANES].chunks_exact(S::LANES);
        for (diagonal, weight) in weights.enumerate() {
            sum = s.fma(s.load(&row[start + diagonal..]), s.load(weight), sum);
        }
        sum
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
mod tests {
    use frames::{Planes, RgbFrame, resize_bicubic, resize_bilinear};

    use super::*;
    use crate::Bicubic;
    use crate::training::bands::fill;
    use crate::training::tests::{Noise, assert_close, dot, on_any_thread_count, wide};

    const CHALLENGE: RoundTrip = RoundTrip { native: (384, 512), camera: (874, 1164), input: (384, 512), round: true };

    fn random(noise: &mut Noise, largest: usize, round: bool) -> RoundTrip {
        let mut size = |largest| (1 + noise.below(largest), 1 + noise.below(largest));
        RoundTrip { native: size(largest), camera: size(2 * largest), input: size(largest), round }
    }

    /// Values around 0 to 1, some well outside.
    fn image(noise: &mut Noise, len: usize) -> Vec<f32> {
        noise.values(len, 0.7).into_iter().map(|v| v + 0.5).collect()
    }

    /// Three planes by way of an inflated frame.
    fn inflated(round_trip: &RoundTrip, x: &[f32]) -> Vec<f32> {
        let RoundTrip { native, camera, input, .. } = *round_trip;
        let scaled: Vec<f32> = x.iter().map(|v| 255.0 * v).collect();
        let bicubic = Bicubic::new(Level::detect(), native, camera);
        let (mut source, mut wide) =
            (Rows::new(3, native.0, native.1, native.0), Rows::new(3, native.0, camera.1, native.0));
        fill(&mut source, &scaled, native.0);
        (0..native.0).for_each(|y| bicubic.columns(&source, y, wide.push()));
        let mut bytes = vec![0; 3 * camera.0 * camera.1];
        for (y, row) in bytes.chunks_exact_mut(3 * camera.1).enumerate() {
            bicubic.rgb(&wide, y, 0, row);
        }
        let frame = RgbFrame::new(camera.1, camera.0, bytes).unwrap();
        frame.resize_bilinear(input.0, input.1).into_data()
    }

    #[test]
    fn the_result_has_the_bits_of_the_metric() {
        let mut noise = Noise(41);
        for case in 0..40 {
            let round_trip = if case == 0 { CHALLENGE } else { random(&mut noise, [6, 40, 90][case % 3], true) };
            let x = image(&mut noise, 3 * round_trip.native.0 * round_trip.native.1);
            let expected = inflated(&round_trip, &x);
            for level in Level::available() {
                assert!(round_trip.forward_at(level, 3, &x).0 == expected, "{round_trip:?} {level}");
            }
        }
    }

    #[test]
    fn without_rounding_only_the_rounding_is_missing() {
        let mut noise = Noise(42);
        for case in 0..20 {
            let round_trip = random(&mut noise, [6, 40][case % 2], false);
            let RoundTrip { native, camera, input, .. } = round_trip;
            let x = image(&mut noise, native.0 * native.1);
            let scaled = Planes::new(1, native.0, native.1, x.iter().map(|v| 255.0 * v).collect()).unwrap();
            let up = resize_bicubic(&scaled, camera.0, camera.1);
            let clamped = up.data().iter().map(|v| v.clamp(0.0, 255.0)).collect();
            let up = Planes::new(1, camera.0, camera.1, clamped).unwrap();
            let expected = wide(resize_bilinear(&up, input.0, input.1).data());
            assert_close(&format!("{round_trip:?}"), &round_trip.forward(1, &x).0, &expected, 2e-6);
        }
    }

    /// The unrounded round trip of one plane in f64.
    fn reference(round_trip: &RoundTrip, x: &[f64]) -> Vec<f64> {
        let RoundTrip { native, camera, input, .. } = *round_trip;
        let source = |i: usize, from: usize, to: usize| f64::from((from as f32 / to as f32) * (i as f32 + 0.5) - 0.5);
        let cubic = |i: usize, from: usize, to: usize| {
            let source = source(i, from, to);
            let weight = move |d: f64| match d.abs() {
                d if d <= 1.0 => 1.25 * d * d * d - 2.25 * d * d + 1.0,
                d => -0.75 * (d * d * d - 5.0 * d * d + 8.0 * d - 4.0),
            };
            let first = source.floor() as isize - 1;
            (first..first + 4).map(move |j| (j.clamp(0, from as isize - 1) as usize, weight(source - j as f64)))
        };
        let linear = |i: usize, from: usize, to: usize| {
            let source = source(i, from, to).max(0.0);
            let lower = (source as usize).min(from - 1);
            let t = (source - lower as f64).min(1.0);
            [(lower, 1.0 - t), ((lower + 1).min(from - 1), t)]
        };
        let up = |y: usize, x_at: usize| {
            let row = |y: usize| cubic(x_at, native.1, camera.1).map(|(i, w)| w * x[y * native.1 + i]).sum::<f64>();
            255.0 * cubic(y, native.0, camera.0).map(|(j, w)| w * row(j)).sum::<f64>()
        };
        let up: Vec<f64> = (0..camera.0 * camera.1).map(|k| up(k / camera.1, k % camera.1).clamp(0.0, 255.0)).collect();
        let down = |y: usize, x: usize| {
            let row =
                |y: usize| linear(x, camera.1, input.1).map(|(i, w)| w * up[y * camera.1 + i]).iter().sum::<f64>();
            linear(y, camera.0, input.0).map(|(j, w)| w * row(j)).iter().sum()
        };
        (0..input.0 * input.1).map(|k| down(k / input.1, k % input.1)).collect()
    }

    #[test]
    fn gradients_are_the_slopes_of_the_unrounded_round_trip() {
        let mut noise = Noise(43);
        for case in 0..30 {
            let mut round_trip = random(&mut noise, [4, 9, 20][case % 3], case % 2 == 0);
            if case % 3 == 2 {
                // Vectors, and the ratios of the challenge.
                round_trip = RoundTrip { native: (5, 37), camera: (11, 84), input: (5, 37), ..round_trip };
            }
            let RoundTrip { native, input, .. } = round_trip;
            let (x, gradient) = (image(&mut noise, 2 * native.0 * native.1), noise.values(2 * input.0 * input.1, 1.0));
            let mut expected = Vec::new();
            let planes = x.chunks_exact(native.0 * native.1).zip(gradient.chunks_exact(input.0 * input.1));
            for (x, gradient) in planes {
                let (x, gradient) = (wide(x), wide(gradient));
                expected.extend((0..x.len()).map(|i| {
                    let moved = |delta: f64| {
                        let mut x = x.clone();
                        x[i] += delta;
                        dot(&reference(&round_trip, &x), &gradient)
                    };
                    (moved(1e-7) - moved(-1e-7)) / 2e-7
                }));
            }
            for level in Level::available() {
                let (_, kept) = round_trip.forward_at(level, 2, &x);
                let found = round_trip.backward(2, &kept, &gradient);
                assert_close(&format!("{round_trip:?} {level}"), &found, &expected, 3e-6);
            }
        }
    }

    #[test]
    fn black_and_what_is_beyond_white() {
        let round_trip = RoundTrip { native: (4, 20), camera: (9, 45), input: (4, 20), round: true };
        let gradient = [1.0; 80];
        let slopes = |value: f32| {
            let (y, kept) = round_trip.forward(1, &[value; 80]);
            assert!(y.iter().all(|&y| y == (255.0 * value).clamp(0.0, 255.0)), "{value}");
            round_trip.backward(1, &kept, &gradient)
        };
        assert!((slopes(0.0).iter().sum::<f32>() - 255.0 * 80.0).abs() < 0.1, "black is not clamped");
        for value in [-0.1, 1.1] {
            assert!(slopes(value).iter().all(|&slope| slope == 0.0), "{value} is");
        }
    }

    #[test]
    fn any_value_is_taken() {
        let round_trip = RoundTrip { native: (7, 33), camera: (15, 70), input: (7, 33), round: true };
        let mut x = image(&mut Noise(44), 7 * 33);
        for (at, value) in [(3, f32::NAN), (50, f32::INFINITY), (90, -3e38), (200, 3e38)] {
            x[at] = value;
        }
        for level in Level::available() {
            let (y, kept) = round_trip.forward_at(level, 1, &x);
            assert!(y.iter().all(|y| (0.0..=255.0).contains(y)), "{level}");
            assert!(round_trip.backward(1, &kept, &[1.0; 7 * 33]).iter().all(|v| v.is_finite()), "{level}");
        }
    }

    #[test]
    fn results_do_not_depend_on_the_thread_count() {
        let mut noise = Noise(45);
        let round_trip = RoundTrip { native: (100, 37), camera: (229, 85), input: (90, 40), round: true };
        let (x, gradient) = (image(&mut noise, 3 * 100 * 37), noise.values(3 * 90 * 40, 1.0));
        on_any_thread_count(|| {
            let (y, kept) = round_trip.forward(3, &x);
            (round_trip.backward(3, &kept, &gradient), y)
        });
    }
}
