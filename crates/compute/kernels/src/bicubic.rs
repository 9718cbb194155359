//! Bicubic resampling of the decoder's frames to the clip's size, and rounding to 8-bit RGB.
//!
//! Columns first, rows second, as torch does, each in a fixed order with fused multiply-adds. A vector of output columns
//! reads few source columns when the image grows, so they are one load and four permutations; where they do not fit one
//! vector, every column reads for itself.

use crate::rows::{MARGIN, RowMut, Rows};
use crate::simd::{Kernel, Level, MAX_LANES, RGB_SLACK, Simd};

/// `a` of the cubic convolution kernel (Keys, "Cubic convolution interpolation for digital image processing", 1981);
/// torch's choice.
const A: f32 = -0.75;

/// Four source positions and their weights.
#[derive(Clone, Copy)]
pub struct Tap {
    /// The first position; may lie outside of the source.
    pub first: isize,
    /// Clamped into the source.
    pub index: [usize; 4],
    /// Of the values there.
    pub weight: [f32; 4],
}

/// Taps of every output position of one axis: half-pixel centres, edges clamped, `f32(from) / f32(to)` source steps.
pub fn taps(from: usize, to: usize) -> Vec<Tap> {
    let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    let scale = from as f32 / to as f32;
    let tap = |i: usize| {
        let source = scale * (i as f32 + 0.5) - 0.5;
        let floor = source.floor();
        let t = source - floor;
        let first = floor as isize - 1;
        let index = std::array::from_fn(|k| (first + k as isize).clamp(0, from as isize - 1) as usize);
        Tap { first, index, weight: [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)] }
    };
    (0..to).map(tap).collect()
}

/// Resampling from one size to another.
pub struct Bicubic {
    level: Level,
    rows: Vec<Tap>,
    columns: Columns,
}

/// Column taps arranged by blocks of `lanes` output columns.
struct Columns {
    from: usize,
    to: usize,
    lanes: usize,
    /// First source column of each block.
    base: Vec<usize>,
    /// `[block][tap][lane]`, relative to the block's base.
    index: Vec<i32>,
    /// `[block][tap][lane]`.
    weight: Vec<f32>,
    /// True where every index is below `lanes`.
    fits: bool,
}

impl Columns {
    fn new(from: usize, to: usize, lanes: usize) -> Self {
        let taps = taps(from, to);
        let (mut base, mut index, mut weight) = (Vec::new(), Vec::new(), Vec::new());
        for block in taps.chunks(lanes) {
            let first = block[0].index[0];
            base.push(first);
            for k in 0..4 {
                for lane in 0..lanes {
                    // Lanes past the last column repeat it.
                    let tap = block[lane.min(block.len() - 1)];
                    index.push((tap.index[k] - first) as i32);
                    weight.push(tap.weight[k]);
                }
            }
        }
        let fits = index.iter().all(|&i| (i as usize) < lanes);
        Self { from, to, lanes, base, index, weight, fits }
    }
}

impl Bicubic {
    /// From `(rows, columns)` to `(rows, columns)`.
    ///
    /// # Panics
    /// If a size is 0.
    pub fn new(level: Level, from: (usize, usize), to: (usize, usize)) -> Self {
        assert!(from.0 > 0 && from.1 > 0 && to.0 > 0 && to.1 > 0, "an empty image");
        Self { level, rows: taps(from.0, to.0), columns: Columns::new(from.1, to.1, level.lanes()) }
    }

    /// Rows of the result.
    pub fn height(&self) -> usize {
        self.rows.len()
    }

    /// Columns of the result.
    pub fn width(&self) -> usize {
        self.columns.to
    }

    /// The last source row that output row `y` reads.
    pub fn last_row(&self, y: usize) -> usize {
        self.rows[y].index[3]
    }

    /// Resamples the columns of row `y`, every channel.
    ///
    /// # Panics
    /// If a size does not fit or `input` does not hold the row.
    pub fn columns(&self, input: &Rows, y: usize, out: RowMut<'_>) {
        assert!(input.width() == self.columns.from && input.channels() == out.channels());
        self.level.run(ColumnsRow { columns: &self.columns, row: input.row(y as isize), stride: input.stride(), out });
    }

    /// Row `y` of the result as interleaved RGB, from channels `first` to `first + 2` of rows whose columns are
    /// resampled: NaN becomes 0, values are clamped to [0, 255] and rounded half to even.
    ///
    /// # Panics
    /// If a size does not fit or `input` does not hold the rows.
    pub fn rgb(&self, input: &Rows, y: usize, first: usize, out: &mut [u8]) {
        assert!(input.width() == self.columns.to && out.len() == 3 * self.columns.to);
        let Tap { index, weight, .. } = self.rows[y];
        let rows = index.map(|y| input.row(y as isize));
        self.level.run(RgbRow { rows, weight, first, stride: input.stride(), out });
    }
}

struct ColumnsRow<'a> {
    columns: &'a Columns,
    row: &'a [f32],
    stride: usize,
    out: RowMut<'a>,
}

impl Kernel for ColumnsRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let Columns { lanes, base, index, weight, fits, .. } = self.columns;
        let per_block = 4 * lanes;
        for c in 0..self.out.channels() {
            let row = &self.row[c * self.stride + MARGIN..(c + 1) * self.stride];
            let out = self.out.channel(c).chunks_mut(*lanes);
            let tables = index.chunks_exact(per_block).zip(weight.chunks_exact(per_block));
            for ((out, &base), (index, weight)) in out.zip(base).zip(tables) {
                if *fits {
                    let source = s.load(&row[base..]);
                    let tap = |k: usize| (s.permute(source, &index[k * S::LANES..]), s.load(&weight[k * S::LANES..]));
                    let (value, weight) = tap(0);
                    let mut sum = s.mul(value, weight);
                    for k in 1..4 {
                        let (value, weight) = tap(k);
                        sum = s.fma(value, weight, sum);
                    }
                    s.store(sum, out);
                } else {
                    for (lane, out) in out.iter_mut().enumerate() {
                        let tap = |k: usize| (row[base + index[k * lanes + lane] as usize], weight[k * lanes + lane]);
                        let (value, weight) = tap(0);
                        let mut sum = value * weight;
                        for k in 1..4 {
                            let (value, weight) = tap(k);
                            sum = value.mul_add(weight, sum);
                        }
                        *out = sum;
                    }
                }
            }
        }
    }
}

struct RgbRow<'a> {
    rows: [&'a [f32]; 4],
    weight: [f32; 4],
    first: usize,
    stride: usize,
    out: &'a mut [u8],
}

impl Kernel for RgbRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let pixels = self.out.len() / 3;
        for x in (0..pixels).step_by(S::LANES) {
            let mut rgb = [s.splat(0.0); 3];
            for (c, value) in rgb.iter_mut().enumerate() {
                let at = (self.first + c) * self.stride + MARGIN + x;
                let mut sum = s.mul(s.load(&self.rows[0][at..]), s.splat(self.weight[0]));
                for k in 1..4 {
                    sum = s.fma(s.load(&self.rows[k][at..]), s.splat(self.weight[k]), sum);
                }
                // The second operand answers for NaN.
                *value = s.min(s.max(sum, s.splat(0.0)), s.splat(255.0));
            }
            let out = &mut self.out[3 * x..];
            if out.len() >= 3 * S::LANES + RGB_SLACK {
                s.store_rgb(rgb, out);
            } else {
                let mut bytes = [0u8; 3 * MAX_LANES + RGB_SLACK];
                s.store_rgb(rgb, &mut bytes);
                let len = out.len().min(3 * S::LANES);
                out[..len].copy_from_slice(&bytes[..len]);
            }
        }
    }
}
