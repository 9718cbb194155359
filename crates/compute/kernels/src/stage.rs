//! What follows a convolution: pixel shuffle, skip and activation in one pass over its output row.

use crate::conv::row_stride;
use crate::math::{sigmoid255_vector, sin_vector};
use crate::rows::{MARGIN, RowMut, Rows};
use crate::simd::{Kernel, Level, MAX_LANES, Simd};

/// Largest factor of [`Upsample`].
pub const MAX_UPSCALE: usize = 4;

/// Bilinear interpolation for one of the `factor` positions between two source values, half-pixel centres: it reads the
/// source positions `low` and `low + 1` relative to its own.
#[derive(Clone, Copy)]
struct Phase {
    low: isize,
    weight: [f32; 2],
}

/// The end of an upsampling stage: `sin(pixel_shuffle(convolution) + bilinear(skip))`, torch's order of channels and its
/// `align_corners=False`; edges are clamped.
pub struct Upsample {
    factor: usize,
    phases: [Phase; MAX_UPSCALE],
}

impl Upsample {
    /// By `factor` in both directions.
    ///
    /// # Panics
    /// Unless `factor` is 1 to [`MAX_UPSCALE`].
    pub fn new(factor: usize) -> Self {
        assert!((1..=MAX_UPSCALE).contains(&factor), "a factor of {factor}");
        let phase = |i: usize| {
            let source = (i as f32 + 0.5) / factor as f32 - 0.5;
            let low = source.floor();
            Phase { low: low as isize, weight: [1.0 - (source - low), source - low] }
        };
        Self { factor, phases: std::array::from_fn(phase) }
    }

    /// The factor.
    pub fn factor(&self) -> usize {
        self.factor
    }

    /// Working room that [`row`](Self::row) needs for a skip of `width` columns.
    pub fn blend_len(width: usize) -> usize {
        MARGIN + row_stride(width) + MARGIN
    }

    /// Row `factor * y + phase` of the result. `conv` is row `y` of the convolution, `factor^2` channels for every channel
    /// of `skip`, which must hold rows `y - 1` to `y + 1` as far as the image has them. `blend` is working room.
    ///
    /// # Panics
    /// If a size does not fit.
    #[expect(clippy::too_many_arguments, reason = "what is read, where, and two places to write")]
    pub fn row(
        &self,
        level: Level,
        conv: &[f32],
        skip: &Rows,
        y: usize,
        phase: usize,
        blend: &mut [f32],
        out: RowMut<'_>,
    ) {
        self.compute::<true>(level, conv, skip, y, phase, blend, out);
    }

    /// As [`row`](Self::row), without the sine.
    #[expect(clippy::too_many_arguments, reason = "those of `row`")]
    pub fn sums(
        &self,
        level: Level,
        conv: &[f32],
        skip: &Rows,
        y: usize,
        phase: usize,
        blend: &mut [f32],
        out: RowMut<'_>,
    ) {
        self.compute::<false>(level, conv, skip, y, phase, blend, out);
    }

    /// What position `at` of `len` source positions gives to the interpolated ones: (their source position, phase, weight).
    pub fn readers(&self, at: usize, len: usize) -> impl Iterator<Item = (usize, usize, f32)> {
        let phases = self.phases.iter().take(self.factor).enumerate();
        let taps = phases.flat_map(|(i, phase)| [(i, phase.low, phase.weight[0]), (i, phase.low + 1, phase.weight[1])]);
        (at.saturating_sub(1)..(at + 2).min(len)).flat_map(move |source| {
            let reads = move |offset| source.saturating_add_signed(offset).min(len - 1) == at;
            taps.clone()
                .filter(move |&(_, offset, weight)| weight != 0.0 && reads(offset))
                .map(move |(i, _, w)| (source, i, w))
        })
    }

    #[expect(clippy::too_many_arguments, reason = "those of `row`")]
    fn compute<const SIN: bool>(
        &self,
        level: Level,
        conv: &[f32],
        skip: &Rows,
        y: usize,
        phase: usize,
        blend: &mut [f32],
        out: RowMut<'_>,
    ) {
        assert!(phase < self.factor && out.channels() == skip.channels());
        let Phase { low, weight } = self.phases[phase];
        level.run(UpsampleRow::<SIN> {
            factor: self.factor,
            phase,
            phases: &self.phases,
            conv,
            rows: [skip.edge_row(y as isize + low), skip.edge_row(y as isize + low + 1)],
            weight,
            width: skip.width(),
            stride: skip.stride(),
            blend: &mut blend[..Self::blend_len(skip.width())],
            out,
        });
    }
}

struct UpsampleRow<'a, const SIN: bool> {
    factor: usize,
    phase: usize,
    phases: &'a [Phase; MAX_UPSCALE],
    conv: &'a [f32],
    rows: [&'a [f32]; 2],
    weight: [f32; 2],
    width: usize,
    stride: usize,
    blend: &'a mut [f32],
    out: RowMut<'a>,
}

impl<const SIN: bool> Kernel for UpsampleRow<'_, SIN> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.factor {
            1 => self.same_size(s),
            2 => self.upsampled::<S, 2>(s),
            3 => self.upsampled::<S, 3>(s),
            _ => self.upsampled::<S, 4>(s),
        }
    }
}

impl<const SIN: bool> UpsampleRow<'_, SIN> {
    #[inline(always)]
    fn end<S: Simd>(s: S, sum: S::V) -> S::V {
        if SIN { sin_vector(s, sum) } else { sum }
    }

    #[inline(always)]
    fn same_size<S: Simd>(mut self, s: S) {
        let conv_stride = row_stride(self.width);
        for c in 0..self.out.channels() {
            let conv = &self.conv[c * conv_stride..][..conv_stride];
            let skip = &self.rows[0][c * self.stride + MARGIN..][..conv_stride];
            let out = self.out.channel(c);
            for x in (0..self.width).step_by(S::LANES) {
                s.store(Self::end(s, s.add(s.load(&conv[x..]), s.load(&skip[x..]))), &mut out[x..]);
            }
        }
    }

    #[inline(always)]
    fn upsampled<S: Simd, const R: usize>(mut self, s: S) {
        let conv_stride = row_stride(self.width);
        for c in 0..self.out.channels() {
            self.blend_rows(s, c);
            let convs = &self.conv[(c * R + self.phase) * R * conv_stride..][..R * conv_stride];
            let out = self.out.channel(c);
            for x in (0..self.width).step_by(S::LANES) {
                let mut values = [s.splat(0.0); R];
                for (j, value) in values.iter_mut().enumerate() {
                    let Phase { low, weight } = self.phases[j];
                    let at = (MARGIN + x).wrapping_add_signed(low);
                    let sum =
                        s.fma(s.splat(weight[0]), s.load(&self.blend[at..]), s.load(&convs[j * conv_stride + x..]));
                    *value = Self::end(s, s.fma(s.splat(weight[1]), s.load(&self.blend[at + 1..]), sum));
                }
                interleave(s, values, &mut out[R * x..]);
            }
        }
    }

    /// Interpolates channel `c` between the two rows and repeats its edge values once.
    #[inline(always)]
    fn blend_rows<S: Simd>(&mut self, s: S, c: usize) {
        let len = row_stride(self.width);
        let [above, below] = self.rows.map(|row| &row[c * self.stride + MARGIN..][..len]);
        let [a, b] = self.weight;
        for x in (0..self.width).step_by(S::LANES) {
            let blend = s.fma(s.splat(b), s.load(&below[x..]), s.mul(s.splat(a), s.load(&above[x..])));
            s.store(blend, &mut self.blend[MARGIN + x..]);
        }
        self.blend[MARGIN - 1] = self.blend[MARGIN];
        self.blend[MARGIN + self.width] = self.blend[MARGIN + self.width - 1];
    }
}

/// Writes `a0 b0 .. a1 b1 ..` as far as `out` reaches.
#[inline(always)]
fn interleave<S: Simd, const R: usize>(s: S, values: [S::V; R], out: &mut [f32]) {
    if R == 3 {
        let mut lanes = [[0f32; MAX_LANES]; R];
        for (lanes, &value) in lanes.iter_mut().zip(&values) {
            s.store(value, lanes);
        }
        for (lane, pixel) in out.chunks_mut(R).take(S::LANES).enumerate() {
            for (value, lanes) in pixel.iter_mut().zip(&lanes) {
                *value = lanes[lane];
            }
        }
    } else if R == 2 {
        let [low, high] = s.interleave(values[0], values[1]);
        store_at(s, low, out, 0);
        store_at(s, high, out, S::LANES);
    } else {
        let even = s.interleave(values[0], values[2]);
        let odd = s.interleave(values[1], values[3]);
        for half in 0..2 {
            let [low, high] = s.interleave(even[half], odd[half]);
            store_at(s, low, out, 2 * half * S::LANES);
            store_at(s, high, out, (2 * half + 1) * S::LANES);
        }
    }
}

#[inline(always)]
fn store_at<S: Simd>(s: S, value: S::V, out: &mut [f32], at: usize) {
    if let Some(out) = out.get_mut(at..) {
        s.store(value, out);
    }
}

/// `out = conv`: a row of a convolution as the input of the next one.
pub fn copy_row(conv: &[f32], mut out: RowMut<'_>) {
    for c in 0..out.channels() {
        let out = out.channel(c);
        out.copy_from_slice(&conv[c * row_stride(out.len())..][..out.len()]);
    }
}

/// `out = x + gain * sin(conv)` for row `y` of `x`.
///
/// # Panics
/// If a size does not fit or `x` does not hold the row.
pub fn residual_sin_row(level: Level, conv: &[f32], x: &Rows, y: usize, gain: f32, out: RowMut<'_>) {
    struct Residual<'a>(&'a [f32], &'a [f32], usize, f32, RowMut<'a>);
    impl Kernel for Residual<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Self(conv, row, stride, gain, mut out) = self;
            let gain = s.splat(gain);
            for c in 0..out.channels() {
                let out = out.channel(c);
                let len = row_stride(out.len());
                let (conv, row) = (&conv[c * len..][..len], &row[c * stride + MARGIN..][..len]);
                for i in (0..out.len()).step_by(S::LANES) {
                    s.store(s.fma(gain, sin_vector(s, s.load(&conv[i..])), s.load(&row[i..])), &mut out[i..]);
                }
            }
        }
    }
    assert_eq!(x.channels(), out.channels());
    level.run(Residual(conv, x.row(y as isize), x.stride(), gain, out));
}

/// `out = 255 * sigmoid(conv)`, see [`sigmoid255`](crate::sigmoid255).
///
/// # Panics
/// If a size does not fit.
pub fn rgb_row(level: Level, conv: &[f32], out: RowMut<'_>) {
    struct Rgb<'a>(&'a [f32], RowMut<'a>);
    impl Kernel for Rgb<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Self(conv, mut out) = self;
            for c in 0..out.channels() {
                let out = out.channel(c);
                let conv = &conv[c * row_stride(out.len())..][..row_stride(out.len())];
                for i in (0..out.len()).step_by(S::LANES) {
                    s.store(sigmoid255_vector(s, s.load(&conv[i..])), &mut out[i..]);
                }
            }
        }
    }
    level.run(Rgb(conv, out));
}
