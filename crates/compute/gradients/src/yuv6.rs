//! The pose evaluator's view of a pair of frames.

use rayon::prelude::*;

use crate::bands::{BandedTensor, image, jobs};
use kernels::simd::{Kernel, Level, Scalar, Simd};

/// Rows of the result that a thread takes at once.
const BAND: usize = 16;

/// Weights of red, green and blue in Y.
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// What blue minus Y is divided by in U, and red minus Y in V.
const CHROMA: [f32; 2] = [1.772, 1.402];

/// Two RGB frames as twelve planes of half the size: for each frame luma at the four phases y00, y10, y01, y11 (first
/// digit the row), then U and V averaged over 2x2; a last odd row or column is dropped.
///
/// `Y = .299R + .587G + .114B`, `U = (B-Y)/1.772 + 128`, `V = (R-Y)/1.402 + 128`, each clamped to [0, 255]; with the bits
/// of `frames::yuv6`.
///
/// Every method panics if a slice does not have the length that its shape says, or a side is below 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Yuv6 {
    /// Rows of the frames.
    pub height: usize,
    /// Columns of the frames.
    pub width: usize,
}

impl Yuv6 {
    /// `[n, 12, height/2, width/2]` for `x` `[n, 6, height, width]`: red, green and blue of either frame, in 0 to 255.
    pub fn forward(&self, n: usize, x: &[f32]) -> Vec<f32> {
        self.forward_at(Level::detect(), n, x)
    }

    /// Gradient in `x`, `[n, 6, height, width]`, of a loss whose gradient in the result is `gradient`. Clamping passes it
    /// where the value lay in [0, 255].
    pub fn backward(&self, n: usize, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        self.backward_at(Level::detect(), n, x, gradient)
    }

    /// Values of a frame and of its planes.
    fn check(&self) -> (usize, usize) {
        let Self { height, width } = *self;
        assert!(height > 1 && width > 1, "frames without 2x2 pixels");
        (3 * height * width, 6 * (height / 2) * (width / 2))
    }

    fn forward_at(&self, level: Level, n: usize, x: &[f32]) -> Vec<f32> {
        let Self { height, width } = *self;
        let (x_len, _) = self.check();
        assert_eq!(x.len(), 2 * n * x_len);
        let columns = width / 2;
        let mut target = BandedTensor::new([2 * n, 6, height / 2, columns]);
        let bands = target.bands(BAND).into_par_iter().zip(jobs(2 * n, height / 2, BAND));
        let new = || vec![0.0; 6 * columns];
        bands.for_each_init(new, |out, (mut band, job)| {
            for y in job.rows {
                let rgb = row_pairs(image(x, job.sample, x_len), height, width, 2 * y);
                level.run(Forward { rgb, width, out });
                out.chunks_exact(columns).enumerate().for_each(|(c, row)| band.push(c, row));
            }
        });
        target.finish()
    }

    fn backward_at(&self, level: Level, n: usize, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        let Self { height, width } = *self;
        let (x_len, y_len) = self.check();
        assert!(x.len() == 2 * n * x_len && gradient.len() == 2 * n * y_len);
        let columns = width / 2;
        let mut dx = BandedTensor::new([2 * n, 3, height, width]);
        let bands = dx.bands(2 * BAND).into_par_iter().zip(jobs(2 * n, height, 2 * BAND));
        let new = || (vec![0.0; 6 * width], vec![0.0; width]);
        bands.for_each_init(new, |(out, dropped), (mut band, job)| {
            let (x, gradient) = (image(x, job.sample, x_len), image(gradient, job.sample, y_len));
            for y in job.rows.step_by(2) {
                if y + 1 == height {
                    (0..3).for_each(|c| band.push(c, dropped));
                    continue;
                }
                let rgb = row_pairs(x, height, width, y);
                let gradient = std::array::from_fn(|k| &gradient[(k * (height / 2) + y / 2) * columns..][..columns]);
                level.run(Backward { rgb, width, gradient, out });
                out.chunks_exact(width).enumerate().for_each(|(row, values)| band.push(row / 2, values));
            }
        });
        dx.finish()
    }
}

/// Rows `y` and `y + 1` of each plane of a frame.
fn row_pairs(frame: &[f32], height: usize, width: usize, y: usize) -> [&[f32]; 3] {
    std::array::from_fn(|c| &frame[(c * height + y) * width..][..2 * width])
}

/// A vector of 2x2 squares: red, green and blue at the phases of the luma planes.
// Loops where `map` would do: what is not inlined misses the level's instructions.
#[inline(always)]
fn squares<S: Simd>(s: S, rgb: [&[f32]; 3], width: usize, column: usize) -> [[S::V; 3]; 4] {
    let mut pixels = [[s.splat(0.0); 3]; 4];
    for (c, rows) in rgb.into_iter().enumerate() {
        for y in 0..2 {
            let row = &rows[y * width + 2 * column..];
            [pixels[y][c], pixels[2 + y][c]] = s.deinterleave(s.load(row), s.load(&row[S::LANES..]));
        }
    }
    pixels
}

/// Y, U and V before they are clamped; U and V are made with the clamped Y.
#[inline(always)]
fn yuv<S: Simd>(s: S, [red, green, blue]: [S::V; 3]) -> [S::V; 3] {
    // Nothing is fused, as in the metric.
    let luma = s.add(s.mul(s.splat(LUMA[0]), red), s.mul(s.splat(LUMA[1]), green));
    let luma = s.add(luma, s.mul(s.splat(LUMA[2]), blue));
    let y = clamp(s, luma);
    let u = s.add(s.div(s.sub(blue, y), s.splat(CHROMA[0])), s.splat(128.0));
    let v = s.add(s.div(s.sub(red, y), s.splat(CHROMA[1])), s.splat(128.0));
    [luma, u, v]
}

/// NaN stays NaN.
#[inline(always)]
fn clamp<S: Simd>(s: S, value: S::V) -> S::V {
    s.min(s.splat(255.0), s.max(s.splat(0.0), value))
}

/// `gradient` where clamping leaves `value` as it is, 0 elsewhere.
#[inline(always)]
fn clamp_gradient<S: Simd>(s: S, value: S::V, gradient: S::V) -> S::V {
    let zero = s.splat(0.0);
    s.select(s.both(s.at_least(value, zero), s.at_least(s.splat(255.0), value)), gradient, zero)
}

/// One row of the six planes.
struct Forward<'a> {
    rgb: [&'a [f32]; 3],
    width: usize,
    /// `[6, width / 2]`.
    out: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let columns = self.width / 2;
        let whole = columns / S::LANES * S::LANES;
        for column in (0..whole).step_by(S::LANES) {
            self.vector(s, columns, column);
        }
        for column in whole..columns {
            self.vector(Scalar, columns, column);
        }
    }
}

impl Forward<'_> {
    #[inline(always)]
    fn vector<S: Simd>(&mut self, s: S, columns: usize, column: usize) {
        let mut chroma = [s.splat(0.0); 2];
        for (phase, rgb) in squares(s, self.rgb, self.width, column).into_iter().enumerate() {
            let [y, u, v] = yuv(s, rgb);
            s.store(clamp(s, y), &mut self.out[phase * columns + column..][..S::LANES]);
            chroma = [s.add(chroma[0], clamp(s, u)), s.add(chroma[1], clamp(s, v))];
        }
        for (k, sum) in chroma.into_iter().enumerate() {
            s.store(s.mul(sum, s.splat(0.25)), &mut self.out[(4 + k) * columns + column..][..S::LANES]);
        }
    }
}

/// Two rows of the gradient.
struct Backward<'a> {
    rgb: [&'a [f32]; 3],
    width: usize,
    gradient: [&'a [f32]; 6],
    /// `[3, 2, width]`; a last odd column stays as it is.
    out: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let columns = self.width / 2;
        let whole = columns / S::LANES * S::LANES;
        for column in (0..whole).step_by(S::LANES) {
            self.vector(s, column);
        }
        for column in whole..columns {
            self.vector(Scalar, column);
        }
    }
}

impl Backward<'_> {
    #[inline(always)]
    fn vector<S: Simd>(&mut self, s: S, column: usize) {
        let in_u = s.mul(s.load(&self.gradient[4][column..]), s.splat(0.25 / CHROMA[0]));
        let in_v = s.mul(s.load(&self.gradient[5][column..]), s.splat(0.25 / CHROMA[1]));
        let mut result = [[s.splat(0.0); 4]; 3];
        for (phase, rgb) in squares(s, self.rgb, self.width, column).into_iter().enumerate() {
            let [luma, u, v] = yuv(s, rgb);
            let blue = clamp_gradient(s, u, in_u);
            let red = clamp_gradient(s, v, in_v);
            let in_y = s.load(&self.gradient[phase][column..]);
            let y = clamp_gradient(s, luma, s.sub(s.sub(in_y, blue), red));
            let direct = [red, s.splat(0.0), blue];
            for c in 0..3 {
                result[c][phase] = s.fma(y, s.splat(LUMA[c]), direct[c]);
            }
        }
        for (c, [y00, y10, y01, y11]) in result.into_iter().enumerate() {
            for (row, [even, odd]) in [[y00, y01], [y10, y11]].into_iter().enumerate() {
                let out = &mut self.out[(2 * c + row) * self.width + 2 * column..][..2 * S::LANES];
                let [first, second] = s.interleave(even, odd);
                s.store(first, out);
                s.store(second, &mut out[S::LANES..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use frames::Planes;

    use super::*;
    use crate::noise::{Noise, assert_close, on_any_thread_count};

    /// Values of which some are outside of 0 to 255, and pixels whose chroma is clamped.
    fn frames(noise: &mut Noise, n: usize, yuv6: Yuv6) -> Vec<f32> {
        let values = noise.values(6 * n * yuv6.height * yuv6.width, 170.0);
        values.into_iter().map(|v| v + 127.5).collect()
    }

    fn random(noise: &mut Noise, case: usize) -> (Yuv6, usize) {
        let largest = if case.is_multiple_of(3) { 70 } else { 7 };
        (Yuv6 { height: 2 + noise.below(largest), width: 2 + noise.below(largest) }, 1 + noise.below(3))
    }

    #[test]
    fn the_result_has_the_bits_of_the_metric() {
        let mut noise = Noise(51);
        for case in 0..30 {
            let (yuv6, n) = random(&mut noise, case);
            let Yuv6 { height, width } = yuv6;
            let x = frames(&mut noise, n, yuv6);
            let frame = |x: &[f32]| frames::yuv6(&Planes::new(3, height, width, x.to_vec()).unwrap()).into_data();
            let expected: Vec<f32> = x.chunks_exact(3 * height * width).flat_map(frame).collect();
            for level in Level::available() {
                assert!(yuv6.forward_at(level, n, &x) == expected, "{yuv6:?} {level}");
            }
        }
    }

    /// The planes of the 2x2 square `[red, green, blue][row][column]`, in f64.
    fn reference(square: &[[[f64; 2]; 2]; 3]) -> [f64; 6] {
        let mut planes = [0.0; 6];
        for (row, column) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let [red, green, blue] = [0, 1, 2].map(|c: usize| square[c][row][column]);
            let y = (0.299 * red + 0.587 * green + 0.114 * blue).clamp(0.0, 255.0);
            planes[2 * column + row] = y;
            planes[4] += 0.25 * ((blue - y) / 1.772 + 128.0).clamp(0.0, 255.0);
            planes[5] += 0.25 * ((red - y) / 1.402 + 128.0).clamp(0.0, 255.0);
        }
        planes
    }

    #[test]
    fn gradients_are_slopes() {
        let mut noise = Noise(52);
        for case in 0..30 {
            let (yuv6, n) = random(&mut noise, case);
            let Yuv6 { height, width } = yuv6;
            let (rows, columns) = (height / 2, width / 2);
            let x = frames(&mut noise, n, yuv6);
            let gradient = noise.values(12 * n * rows * columns, 1.0);
            let mut expected = vec![0.0; x.len()];
            for (frame, row, column) in
                (0..2 * n * rows * columns).map(|k| (k / rows / columns, k / columns % rows, k % columns))
            {
                let place = |c: usize, dy: usize, dx: usize| {
                    ((3 * frame + c) * height + 2 * row + dy) * width + 2 * column + dx
                };
                let square = [0, 1, 2].map(|c| [0, 1].map(|dy| [0, 1].map(|dx| f64::from(x[place(c, dy, dx)]))));
                let weights: [f64; 6] =
                    std::array::from_fn(|k| f64::from(gradient[((6 * frame + k) * rows + row) * columns + column]));
                for (c, dy, dx) in (0..12).map(|k| (k / 4, k / 2 % 2, k % 2)) {
                    let moved = |delta: f64| {
                        let mut square = square;
                        square[c][dy][dx] += delta;
                        reference(&square).iter().zip(weights).map(|(plane, weight)| plane * weight).sum::<f64>()
                    };
                    expected[place(c, dy, dx)] = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                }
            }
            for level in Level::available() {
                let found = yuv6.backward_at(level, n, &x, &gradient);
                assert_close(&format!("{yuv6:?}, n {n}, {level}"), &found, &expected, 1e-6);
            }
        }
    }

    #[test]
    fn any_value_is_taken() {
        let yuv6 = Yuv6 { height: 4, width: 38 };
        let mut x = frames(&mut Noise(53), 1, yuv6);
        (x[5], x[40], x[300]) = (f32::NAN, f32::INFINITY, -3e38);
        for level in Level::available() {
            let nan = yuv6.forward_at(level, 1, &x).iter().filter(|v| v.is_nan()).count();
            assert!(nan > 0 && nan <= 6, "{nan} at {level}: a NaN stays in its square");
            assert!(yuv6.backward_at(level, 1, &x, &[1.0; 12 * 2 * 19]).iter().all(|v| v.is_finite()), "{level}");
        }
    }

    #[test]
    fn results_do_not_depend_on_the_thread_count() {
        let mut noise = Noise(54);
        let yuv6 = Yuv6 { height: 101, width: 53 };
        let (x, gradient) = (frames(&mut noise, 2, yuv6), noise.values(24 * 50 * 26, 1.0));
        on_any_thread_count(|| (yuv6.forward(2, &x), yuv6.backward(2, &x, &gradient)));
    }
}
