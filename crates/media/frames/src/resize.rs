//! Separable resampling with half-pixel centres, no antialiasing: the arithmetic of torch's
//! `interpolate(align_corners=False)` on the CPU, in f32, rows interpolated first.

use crate::planes::Planes;

/// `a` of the cubic convolution kernel (Keys, "Cubic convolution interpolation", 1981), torch's choice.
const CUBIC_A: f32 = -0.75;

/// Where every output position of one axis reads, and with what weight.
pub(crate) struct Taps<const N: usize> {
    index: Vec<[usize; N]>,
    weight: Vec<[f32; N]>,
}

/// Source coordinate of every output position: `f32(from)/f32(to) * (i + 0.5) - 0.5`.
fn source_coordinates(from: usize, to: usize) -> impl Iterator<Item = f32> {
    assert!(to > 0, "a side of 0 pixels");
    let scale = from as f32 / to as f32;
    (0..to).map(move |i| scale * (i as f32 + 0.5) - 0.5)
}

impl Taps<2> {
    /// Bilinear: the source coordinate is clamped at 0.
    pub(crate) fn bilinear(from: usize, to: usize) -> Self {
        let tap = |source: f32| {
            let source = source.max(0.0);
            let low = (source as usize).min(from - 1);
            let high = (low + 1).min(from - 1);
            let weight = (source - low as f32).clamp(0.0, 1.0);
            ([low, high], [1.0 - weight, weight])
        };
        let (index, weight) = source_coordinates(from, to).map(tap).unzip();
        Self { index, weight }
    }

    /// Interpolates one row: `at` reads the source.
    #[inline]
    pub(crate) fn linear_row(&self, at: impl Fn(usize) -> f32, out: &mut [f32]) {
        for ((value, &[low, high]), &[a, b]) in out.iter_mut().zip(&self.index).zip(&self.weight) {
            *value = a * at(low) + b * at(high);
        }
    }
}

impl Taps<4> {
    /// Bicubic, edges clamped.
    fn bicubic(from: usize, to: usize) -> Self {
        // |x| <= 1 and 1 < |x| < 2.
        let near = |x: f32| ((CUBIC_A + 2.0) * x - (CUBIC_A + 3.0)) * x * x + 1.0;
        let far = |x: f32| ((CUBIC_A * x - 5.0 * CUBIC_A) * x + 8.0 * CUBIC_A) * x - 4.0 * CUBIC_A;
        let tap = |source: f32| {
            let floor = source.floor();
            let t = source - floor;
            let clamped = |offset: i64| (floor as i64 + offset).clamp(0, from as i64 - 1) as usize;
            let index = [clamped(-1), clamped(0), clamped(1), clamped(2)];
            (index, [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)])
        };
        let (index, weight) = source_coordinates(from, to).map(tap).unzip();
        Self { index, weight }
    }
}

/// Resamples `channels` planes: `row(c, y, out)` interpolates source row `y` of plane `c` to `width` columns, `rows` then
/// joins `N` of those to an output row.
pub(crate) fn resize_rows<const N: usize>(
    channels: usize,
    rows: &Taps<N>,
    width: usize,
    row: impl Fn(usize, usize, &mut [f32]),
) -> Planes {
    let height = rows.index.len();
    let mut data = vec![0.0; channels * height * width];
    // The interpolated source rows still in use, each with its number; in an upscale most serve several output rows.
    let mut cache: [(usize, Vec<f32>); N] = std::array::from_fn(|_| (usize::MAX, vec![0.0; width]));
    for (c, plane) in data.chunks_exact_mut(height * width).enumerate() {
        cache.iter_mut().for_each(|entry| entry.0 = usize::MAX);
        for ((out, index), weight) in plane.chunks_exact_mut(width).zip(&rows.index).zip(&rows.weight) {
            // Row y lives in slot y % N: the rows of one output row are consecutive, so they never share a slot.
            for &y in index {
                let (held, values) = &mut cache[y % N];
                if *held != y {
                    *held = y;
                    row(c, y, values);
                }
            }
            let source: [&[f32]; N] = std::array::from_fn(|tap| cache[index[tap] % N].1.as_slice());
            join(out, source, weight);
        }
    }
    Planes::from_parts(channels, height, width, data)
}

/// `out = weight[0] * source[0] + weight[1] * source[1] + ...`, left to right.
fn join<const N: usize>(out: &mut [f32], source: [&[f32]; N], weight: &[f32; N]) {
    let width = out.len();
    let source = source.map(|row| &row[..width]);
    for (x, value) in out.iter_mut().enumerate() {
        let mut sum = weight[0] * source[0][x];
        for tap in 1..N {
            sum += weight[tap] * source[tap][x];
        }
        *value = sum;
    }
}

/// Bilinear resampling to `height` x `width`, half-pixel centres, source coordinate clamped at 0, no antialiasing.
///
/// # Panics
/// If a side of the result is 0.
pub fn resize_bilinear(planes: &Planes, height: usize, width: usize) -> Planes {
    let columns = Taps::bilinear(planes.width(), width);
    let row = |c: usize, y: usize, out: &mut [f32]| {
        let source = &planes.plane(c)[y * planes.width()..][..planes.width()];
        columns.linear_row(|x| source[x], out);
    };
    resize_rows(planes.channels(), &Taps::bilinear(planes.height(), height), width, row)
}

/// Bicubic resampling to `height` x `width`: a = -0.75, half-pixel centres, edges clamped, no antialiasing. Values may
/// leave the range of the input.
///
/// # Panics
/// If a side of the result is 0.
pub fn resize_bicubic(planes: &Planes, height: usize, width: usize) -> Planes {
    let columns = Taps::bicubic(planes.width(), width);
    let row = |c: usize, y: usize, out: &mut [f32]| {
        let source = &planes.plane(c)[y * planes.width()..][..planes.width()];
        for ((value, index), weight) in out.iter_mut().zip(&columns.index).zip(&columns.weight) {
            let [a, b, c, d] = index.map(|x| source[x]);
            *value = weight[0] * a + weight[1] * b + weight[2] * c + weight[3] * d;
        }
    };
    resize_rows(planes.channels(), &Taps::bicubic(planes.height(), height), width, row)
}
