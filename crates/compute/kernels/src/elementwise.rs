//! Functions of every value of a slice.

use crate::math::{gelu_vector, sigmoid255_vector, sin_vector};
use crate::simd::{Kernel, Level, MAX_LANES, Simd};

/// Replaces every value by its sine.
///
/// Absolute error below 1.2e-7 up to [`SIN_LIMIT`](crate::math::SIN_LIMIT); a finite value beyond it gives 0, an infinity or NaN gives NaN.
pub fn sin(level: Level, values: &mut [f32]) {
    struct Sin<'a>(&'a mut [f32]);
    impl Kernel for Sin<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for_each_vector(s, self.0, |x| sin_vector(s, x));
        }
    }
    level.run(Sin(values));
}

/// Replaces every value `x` by `x * (1 + erf(x / sqrt(2))) / 2`; absolute error below 4e-7 times the larger of 1 and `|x|`.
///
/// Minus infinity and NaN give NaN.
pub fn gelu(level: Level, values: &mut [f32]) {
    struct Gelu<'a>(&'a mut [f32]);
    impl Kernel for Gelu<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for_each_vector(s, self.0, |x| gelu_vector(s, x));
        }
    }
    level.run(Gelu(values));
}

/// Replaces every value `x` by `255 * sigmoid(x)`; relative error below 4e-7, NaN gives NaN.
///
/// Where `x` is below -87 the result is that of -87, about 4e-36.
pub fn sigmoid255(level: Level, values: &mut [f32]) {
    struct Sigmoid<'a>(&'a mut [f32]);
    impl Kernel for Sigmoid<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for_each_vector(s, self.0, |x| sigmoid255_vector(s, x));
        }
    }
    level.run(Sigmoid(values));
}

/// `f` is called in one place, so that the compiler inlines it: only what is inlined is compiled with the level's instructions.
#[inline(always)]
fn for_each_vector<S: Simd>(s: S, values: &mut [f32], f: impl Fn(S::V) -> S::V) {
    for chunk in values.chunks_mut(S::LANES) {
        let mut padded = [0f32; MAX_LANES];
        let whole = if chunk.len() == S::LANES {
            &*chunk
        } else {
            padded[..chunk.len()].copy_from_slice(chunk);
            &padded
        };
        let value = f(s.load(whole));
        s.store(value, chunk);
    }
}
