//! Functions of vectors with the same bits everywhere.

use crate::simd::Simd;

/// Largest magnitude whose sine [`sin_vector`] computes. The f32 steps there are half a radian wide.
pub const SIN_LIMIT: f32 = 4_194_304.0;

/// Adding 1.5 * 2^23 rounds a value below 2^22 in magnitude to an integer, half to even, and leaves that integer in the
/// low bits of the sum.
pub const ROUND: f32 = 12_582_912.0;

/// Pi as the sum of two f32. With the first, `x - n * pi` is exact up to [`SIN_LIMIT`] when fused.
const PI: [f32; 2] = [std::f32::consts::PI, -8.742_278e-8];

/// Odd polynomial for the sine on [-1.7, 1.7], after the term `x`: minimax, fitted with coefficients rounded to f32 one
/// by one; largest error 1.1e-8.
const SIN: [f32; 4] = [-1.666_665e-1, 8.332_836e-3, -1.979_437e-4, 2.574_749_5e-6];

/// Even polynomial for the cosine on [-1.7, 1.7], after the term 1, fitted like [`SIN`]; largest error 1.1e-9.
const COS: [f32; 5] = [-0.5, 4.166_664_6e-2, -1.388_836_4e-3, 2.475_672_8e-5, -2.595_220_7e-7];

/// ln 2 as the sum of two f32.
const LN_2: [f32; 2] = [std::f32::consts::LN_2, -1.904_654_3e-9];

/// Taylor coefficients of exp from x^7 down to x^0; on [-ln 2 / 2, ln 2 / 2] the rest is below 6e-9.
const EXP: [f32; 8] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];

/// Beyond this magnitude exp is taken at the limit: results stay normal numbers and sigmoid is as good as constant.
const EXP_LIMIT: f32 = 87.0;

/// The sine: reduced to [-pi/2, pi/2] by the two-part pi (Cody and Waite), then a polynomial.
#[inline(always)]
pub fn sin_vector<S: Simd>(s: S, x: S::V) -> S::V {
    let Reduced { r, z, parity } = reduce(s, x);
    s.flip_sign(sin_polynomial(s, r, z), parity)
}

/// The sine, with the bits of [`sin_vector`], and the cosine.
#[inline(always)]
pub fn sin_cos_vector<S: Simd>(s: S, x: S::V) -> [S::V; 2] {
    let Reduced { r, z, parity } = reduce(s, x);
    let mut p = s.splat(COS[4]);
    for &coefficient in COS[..4].iter().rev() {
        p = s.fma(z, p, s.splat(coefficient));
    }
    let cos = s.fma(z, p, s.splat(1.0));
    [s.flip_sign(sin_polynomial(s, r, z), parity), s.flip_sign(cos, parity)]
}

/// An angle `n * pi + r` with `r` in [-pi/2, pi/2].
struct Reduced<V> {
    r: V,
    /// `r` squared.
    z: V,
    /// Its lowest bit is that of `n`.
    parity: V,
}

#[inline(always)]
fn reduce<S: Simd>(s: S, x: S::V) -> Reduced<S::V> {
    // Past the limit a finite number becomes 0, an infinity or NaN becomes NaN.
    let x = s.select_within(x, SIN_LIMIT, x, s.mul(x, s.splat(0.0)));
    let shifted = s.fma(x, s.splat(std::f32::consts::FRAC_1_PI), s.splat(ROUND));
    let n = s.sub(shifted, s.splat(ROUND));
    let r = s.fma(n, s.splat(-PI[0]), x);
    let r = s.fma(n, s.splat(-PI[1]), r);
    Reduced { r, z: s.mul(r, r), parity: shifted }
}

#[inline(always)]
fn sin_polynomial<S: Simd>(s: S, r: S::V, z: S::V) -> S::V {
    let p = s.fma(z, s.splat(SIN[3]), s.splat(SIN[2]));
    let p = s.fma(z, p, s.splat(SIN[1]));
    let p = s.fma(z, p, s.splat(SIN[0]));
    s.fma(s.mul(z, p), r, r)
}

/// `255 / (1 + exp(-x))`.
#[inline(always)]
pub fn sigmoid255_vector<S: Simd>(s: S, x: S::V) -> S::V {
    logistic_vector(s, 255.0, x)
}

/// `limit / (1 + exp(-x))`.
#[inline(always)]
pub fn logistic_vector<S: Simd>(s: S, limit: f32, x: S::V) -> S::V {
    let exp = exp_vector(s, s.sub(s.splat(0.0), x));
    s.div(s.splat(limit), s.add(s.splat(1.0), exp))
}

/// The exponential; beyond a magnitude of 87 that of 87.
#[inline(always)]
pub fn exp_vector<S: Simd>(s: S, x: S::V) -> S::V {
    // The operands of min and max are placed so that NaN passes.
    let x = s.max(s.splat(-EXP_LIMIT), s.min(s.splat(EXP_LIMIT), x));
    let shifted = s.fma(x, s.splat(std::f32::consts::LOG2_E), s.splat(ROUND));
    let n = s.sub(shifted, s.splat(ROUND));
    let r = s.fma(n, s.splat(-LN_2[0]), x);
    let r = s.fma(n, s.splat(-LN_2[1]), r);
    let mut p = s.splat(EXP[0]);
    for &coefficient in &EXP[1..] {
        p = s.fma(p, r, s.splat(coefficient));
    }
    s.mul(p, s.exponent(shifted))
}

/// Constants of formula 7.1.26 in Abramowitz and Stegun's Handbook of Mathematical Functions (C. Hastings): with
/// `t = 1 / (1 + ERF_SCALE * x)`, erf(x) is `1 - (ERF[4] * t + ... + ERF[0] * t^5) * exp(-x^2)` up to 1.5e-7 for positive x.
const ERF_SCALE: f32 = 0.327_591_1;
const ERF: [f32; 5] = [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6];

/// The error function, absolute error below 5e-7, and `exp(-x^2)`, of which `2 / sqrt(pi)` times is its slope.
#[inline(always)]
pub fn erf_exp_vector<S: Simd>(s: S, x: S::V) -> [S::V; 2] {
    let magnitude = s.max(x, s.sub(s.splat(0.0), x));
    let t = s.div(s.splat(1.0), s.fma(magnitude, s.splat(ERF_SCALE), s.splat(1.0)));
    let mut p = s.splat(ERF[0]);
    for &coefficient in &ERF[1..] {
        p = s.fma(p, t, s.splat(coefficient));
    }
    let exp = exp_vector(s, s.sub(s.splat(0.0), s.mul(x, x)));
    let erf = s.sub(s.splat(1.0), s.mul(s.mul(p, t), exp));
    [s.select(s.at_least(x, s.splat(0.0)), erf, s.sub(s.splat(0.0), erf)), exp]
}

/// The Gaussian error linear unit, `x * (1 + erf(x / sqrt(2))) / 2`.
#[inline(always)]
pub fn gelu_vector<S: Simd>(s: S, x: S::V) -> S::V {
    let [erf, _] = erf_exp_vector(s, s.mul(x, s.splat(std::f32::consts::FRAC_1_SQRT_2)));
    s.mul(s.mul(x, s.splat(0.5)), s.add(s.splat(1.0), erf))
}

/// `1 / sqrt(2 * pi)`, the height of the normal distribution.
const NORMAL: f32 = 0.398_942_3;

/// The Gaussian error linear unit, with the bits of [`gelu_vector`], and its slope, `(1 + erf(x / sqrt(2))) / 2 + x * exp(-x^2 / 2) / sqrt(2 * pi)`.
#[inline(always)]
pub fn gelu_slope_vector<S: Simd>(s: S, x: S::V) -> [S::V; 2] {
    let [erf, exp] = erf_exp_vector(s, s.mul(x, s.splat(std::f32::consts::FRAC_1_SQRT_2)));
    let twice = s.add(s.splat(1.0), erf);
    let slope = s.fma(s.mul(x, s.splat(NORMAL)), exp, s.mul(s.splat(0.5), twice));
    [s.mul(s.mul(x, s.splat(0.5)), twice), slope]
}
