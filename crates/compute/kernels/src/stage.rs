//! What follows a convolution: pixel shuffle, skip and activation in one pass over its output row.

use std::marker::PhantomData;

use crate::conv::row_stride;
use crate::layer::Nonlinearity;
use crate::math::{gelu_vector, sigmoid255_vector, sin_vector};
use crate::rows::{MARGIN, RowMut, Rows};
use crate::simd::{Kernel, Level, MAX_LANES, Simd};

/// Largest factor of [`Upsample`].
pub const MAX_UPSCALE: usize = 5;

/// Bilinear interpolation for one of the `factor` positions between two source values, half-pixel centres: it reads the
/// source positions `low` and `low + 1` relative to its own.
#[derive(Clone, Copy)]
struct Phase {
    low: isize,
    weight: [f32; 2],
}

/// The end of an upsampling stage: `f(pixel_shuffle(convolution) + bilinear(skip))`, with or without the skip and the
/// function; torch's order of channels and its `align_corners=False`; edges are clamped.
pub struct Upsample {
    factor: usize,
    end: Option<Nonlinearity>,
    phases: [Phase; MAX_UPSCALE],
}

impl Upsample {
    /// By `factor` in both directions, with `end` behind the sum.
    ///
    /// # Panics
    /// Unless `factor` is 1 to [`MAX_UPSCALE`].
    pub fn new(factor: usize, end: Option<Nonlinearity>) -> Self {
        assert!((1..=MAX_UPSCALE).contains(&factor), "a factor of {factor}");
        let phase = |i: usize| {
            let source = (i as f32 + 0.5) / factor as f32 - 0.5;
            let low = source.floor();
            Phase { low: low as isize, weight: [1.0 - (source - low), source - low] }
        };
        Self { factor, end, phases: std::array::from_fn(phase) }
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
    /// of `out`. A `skip` has the channels of `out` and must hold rows `y - 1` to `y + 1` as far as the image has them. `blend` is
    /// working room.
    ///
    /// # Panics
    /// If a size does not fit.
    #[expect(clippy::too_many_arguments, reason = "what is read, where, and two places to write")]
    pub fn row(
        &self,
        level: Level,
        conv: &[f32],
        skip: Option<&Rows>,
        y: usize,
        phase: usize,
        blend: &mut [f32],
        mut out: RowMut<'_>,
    ) {
        assert!(phase < self.factor && skip.is_none_or(|skip| skip.channels() == out.channels()));
        let width = skip.map_or(out.width() / self.factor, Rows::width);
        assert_eq!(out.width(), self.factor * width);
        let Phase { low, weight } = self.phases[phase];
        let y = y as isize;
        let row = UpsampleRow {
            factor: self.factor,
            phase,
            phases: &self.phases,
            conv,
            skip: skip.map(|skip| SkipRows {
                rows: [skip.edge_row(y + low), skip.edge_row(y + low + 1)],
                weight,
                stride: skip.stride(),
            }),
            width,
            blend: &mut blend[..Self::blend_len(width)],
            out: out.reborrow(),
        };
        match self.end {
            None => level.run(Ending::<Sum>(row, PhantomData)),
            Some(Nonlinearity::Sin) => level.run(Ending::<Sine>(row, PhantomData)),
            Some(Nonlinearity::Gelu) => level.run(Ending::<Gelu>(row, PhantomData)),
        }
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
}

/// What becomes of a sum.
trait End {
    fn end<S: Simd>(s: S, sum: S::V) -> S::V;
}

struct Sum;
struct Sine;
struct Gelu;

impl End for Sum {
    #[inline(always)]
    fn end<S: Simd>(_: S, sum: S::V) -> S::V {
        sum
    }
}

impl End for Sine {
    #[inline(always)]
    fn end<S: Simd>(s: S, sum: S::V) -> S::V {
        sin_vector(s, sum)
    }
}

impl End for Gelu {
    #[inline(always)]
    fn end<S: Simd>(s: S, sum: S::V) -> S::V {
        gelu_vector(s, sum)
    }
}

struct UpsampleRow<'a> {
    factor: usize,
    phase: usize,
    phases: &'a [Phase; MAX_UPSCALE],
    conv: &'a [f32],
    skip: Option<SkipRows<'a>>,
    width: usize,
    blend: &'a mut [f32],
    out: RowMut<'a>,
}

/// The rows that a row of the enlarged skip lies between.
#[derive(Clone, Copy)]
struct SkipRows<'a> {
    rows: [&'a [f32]; 2],
    weight: [f32; 2],
    stride: usize,
}

struct Ending<'a, E>(UpsampleRow<'a>, PhantomData<E>);

impl<E: End> Kernel for Ending<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let row = self.0;
        match (row.factor, row.skip) {
            (1, None) => row.shuffled::<S, E, 1>(s),
            (2, None) => row.shuffled::<S, E, 2>(s),
            (3, None) => row.shuffled::<S, E, 3>(s),
            (4, None) => row.shuffled::<S, E, 4>(s),
            (_, None) => row.shuffled::<S, E, MAX_UPSCALE>(s),
            (1, Some(skip)) => row.same_size::<S, E>(s, skip),
            (2, Some(skip)) => row.upsampled::<S, E, 2>(s, skip),
            (3, Some(skip)) => row.upsampled::<S, E, 3>(s, skip),
            (4, Some(skip)) => row.upsampled::<S, E, 4>(s, skip),
            (_, Some(skip)) => row.upsampled::<S, E, MAX_UPSCALE>(s, skip),
        }
    }
}

impl UpsampleRow<'_> {
    #[inline(always)]
    fn same_size<S: Simd, E: End>(mut self, s: S, skip: SkipRows<'_>) {
        let conv_stride = row_stride(self.width);
        for c in 0..self.out.channels() {
            let conv = &self.conv[c * conv_stride..][..conv_stride];
            let skip = &skip.rows[0][c * skip.stride + MARGIN..][..conv_stride];
            let out = self.out.channel(c);
            for x in (0..self.width).step_by(S::LANES) {
                s.store(E::end(s, s.add(s.load(&conv[x..]), s.load(&skip[x..]))), &mut out[x..]);
            }
        }
    }

    /// Without a skip.
    #[inline(always)]
    fn shuffled<S: Simd, E: End, const R: usize>(mut self, s: S) {
        let conv_stride = row_stride(self.width);
        for c in 0..self.out.channels() {
            let convs = &self.conv[(c * R + self.phase) * R * conv_stride..][..R * conv_stride];
            let out = self.out.channel(c);
            for x in (0..self.width).step_by(S::LANES) {
                let mut values = [s.splat(0.0); R];
                for (j, value) in values.iter_mut().enumerate() {
                    *value = E::end(s, s.load(&convs[j * conv_stride + x..]));
                }
                interleave(s, values, &mut out[R * x..]);
            }
        }
    }

    #[inline(always)]
    fn upsampled<S: Simd, E: End, const R: usize>(mut self, s: S, skip: SkipRows<'_>) {
        let conv_stride = row_stride(self.width);
        for c in 0..self.out.channels() {
            self.blend_rows(s, skip, c);
            let convs = &self.conv[(c * R + self.phase) * R * conv_stride..][..R * conv_stride];
            let out = self.out.channel(c);
            for x in (0..self.width).step_by(S::LANES) {
                let mut values = [s.splat(0.0); R];
                for (j, value) in values.iter_mut().enumerate() {
                    let Phase { low, weight } = self.phases[j];
                    let at = (MARGIN + x).wrapping_add_signed(low);
                    let sum =
                        s.fma(s.splat(weight[0]), s.load(&self.blend[at..]), s.load(&convs[j * conv_stride + x..]));
                    *value = E::end(s, s.fma(s.splat(weight[1]), s.load(&self.blend[at + 1..]), sum));
                }
                interleave(s, values, &mut out[R * x..]);
            }
        }
    }

    /// Interpolates channel `c` between the two rows and repeats its edge values once.
    #[inline(always)]
    fn blend_rows<S: Simd>(&mut self, s: S, skip: SkipRows<'_>, c: usize) {
        let len = row_stride(self.width);
        let [above, below] = skip.rows.map(|row| &row[c * skip.stride + MARGIN..][..len]);
        let [a, b] = skip.weight;
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
    if R == 1 {
        s.store(values[0], out);
    } else if R % 2 == 1 {
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

/// `out = f(conv)`.
pub fn end_row(level: Level, nonlinearity: Nonlinearity, conv: &[f32], out: RowMut<'_>) {
    struct EndRow<'a, E>(&'a [f32], RowMut<'a>, PhantomData<E>);
    impl<E: End> Kernel for EndRow<'_, E> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Self(conv, mut out, _) = self;
            for c in 0..out.channels() {
                let out = out.channel(c);
                let conv = &conv[c * row_stride(out.len())..][..row_stride(out.len())];
                for i in (0..out.len()).step_by(S::LANES) {
                    s.store(E::end(s, s.load(&conv[i..])), &mut out[i..]);
                }
            }
        }
    }
    match nonlinearity {
        Nonlinearity::Sin => level.run(EndRow::<Sine>(conv, out, PhantomData)),
        Nonlinearity::Gelu => level.run(EndRow::<Gelu>(conv, out, PhantomData)),
    }
}

/// `out = conv + x` for row `y` of `x`.
///
/// # Panics
/// If a size does not fit or `x` does not hold the row.
pub fn sum_row(level: Level, conv: &[f32], x: &Rows, y: usize, out: RowMut<'_>) {
    struct SumRow<'a>(&'a [f32], &'a [f32], usize, RowMut<'a>);
    impl Kernel for SumRow<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Self(conv, row, stride, mut out) = self;
            for c in 0..out.channels() {
                let out = out.channel(c);
                let len = row_stride(out.len());
                let (conv, row) = (&conv[c * len..][..len], &row[c * stride + MARGIN..][..len]);
                for i in (0..out.len()).step_by(S::LANES) {
                    s.store(s.add(s.load(&conv[i..]), s.load(&row[i..])), &mut out[i..]);
                }
            }
        }
    }
    assert_eq!(x.channels(), out.channels());
    level.run(SumRow(conv, x.row(y as isize), x.stride(), out));
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
