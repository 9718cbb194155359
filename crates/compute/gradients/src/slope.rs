//! The way back through an activation: the gradient times its slope.

use std::marker::PhantomData;

use kernels::RowMut;
use kernels::simd::{Kernel, Scalar, Simd};

/// What the forward pass left, made into the activation's slope.
pub trait Slope {
    /// The slope.
    fn of<S: Simd>(s: S, kept: S::V) -> S::V;
}

/// The slope itself was left.
pub struct Given;

impl Slope for Given {
    #[inline(always)]
    fn of<S: Simd>(_: S, kept: S::V) -> S::V {
        kept
    }
}

/// A sigmoid's value was left, `y`: its slope is `y * (1 - y)`.
pub struct OfSigmoid;

impl Slope for OfSigmoid {
    #[inline(always)]
    fn of<S: Simd>(s: S, kept: S::V) -> S::V {
        s.mul(kept, s.sub(s.splat(1.0), kept))
    }
}

/// One row of `gradient * slope`, of images `[channels, height, width]`.
pub struct SlopeProduct<'a, K> {
    gradient: &'a [f32],
    kept: &'a [f32],
    row: usize,
    height: usize,
    out: RowMut<'a>,
    slope: PhantomData<K>,
}

impl<'a, K: Slope> SlopeProduct<'a, K> {
    /// Of row `row` of `height`, into `out`.
    pub fn new(gradient: &'a [f32], kept: &'a [f32], row: usize, height: usize, out: RowMut<'a>) -> Self {
        Self { gradient, kept, row, height, out, slope: PhantomData }
    }
}

impl<K: Slope> Kernel for SlopeProduct<'_, K> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for c in 0..self.out.channels() {
            let out = self.out.channel(c);
            let width = out.len();
            let at = (c * self.height + self.row) * width;
            let (gradient, kept) = (&self.gradient[at..][..width], &self.kept[at..][..width]);
            let whole = width / S::LANES * S::LANES;
            for x in (0..whole).step_by(S::LANES) {
                s.store(s.mul(s.load(&gradient[x..]), K::of(s, s.load(&kept[x..]))), &mut out[x..]);
            }
            for x in whole..width {
                out[x] = gradient[x] * K::of(Scalar, kept[x]);
            }
        }
    }
}
