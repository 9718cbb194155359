//! Functions of vectors that only training needs.

use std::f32::consts::LN_2;

use kernels::math::logistic_vector;
use kernels::simd::Simd;

/// The hyperbolic tangent; absolute error below 3e-7.
#[inline(always)]
pub(crate) fn tanh_vector<S: Simd>(s: S, x: S::V) -> S::V {
    s.sub(logistic_vector(s, 2.0, s.add(x, x)), s.splat(1.0))
}

/// `log(1 + x)` for `x` in [0, 254]; relative error below 4e-7, NaN gives NaN.
///
/// A sum of 2 or more is divided by powers of two; the rest is the series `2 artanh(q)`, `q = x / (2 + x)` in [0, 1/3].
#[inline(always)]
pub(crate) fn log1p_vector<S: Simd>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    let (mut sum, mut rest, mut log) = (s.add(one, x), x, s.splat(0.0));
    for (divisor, divisor_log) in [(16.0, 4.0 * LN_2), (4.0, 2.0 * LN_2), (2.0, LN_2)] {
        let large = s.at_least(sum, s.splat(divisor));
        sum = s.select(large, s.mul(sum, s.splat(1.0 / divisor)), sum);
        rest = s.select(large, s.sub(sum, one), rest);
        log = s.select(large, s.add(log, s.splat(divisor_log)), log);
    }
    let q = s.div(rest, s.add(s.splat(2.0), rest));
    let z = s.mul(q, q);
    let mut p = s.splat(1.0 / 13.0);
    for coefficient in [1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0] {
        p = s.fma(z, p, s.splat(coefficient));
    }
    s.fma(s.add(q, q), p, log)
}

#[cfg(test)]
mod tests {
    use kernels::simd::{Kernel, Level};

    use super::*;

    #[test]
    fn logarithms() {
        struct Log1p<'a>(&'a mut [f32]);
        impl Kernel for Log1p<'_> {
            type Output = ();

            #[inline(always)]
            fn run<S: Simd>(self, s: S) {
                for values in self.0.chunks_exact_mut(S::LANES) {
                    s.store(log1p_vector(s, s.load(values)), values);
                }
            }
        }
        let mut x: Vec<f32> = (0..1 << 16).map(|i| 254.0 * (i as f32 / 65535.0)).collect();
        x.extend((0..1 << 16).map(|i| (-(i as f32) / 800.0).exp()));
        let scalar = {
            let mut values = x.clone();
            Level::SCALAR.run(Log1p(&mut values));
            values
        };
        for level in Level::available() {
            let mut found = x.clone();
            level.run(Log1p(&mut found));
            assert!(found == scalar, "{level}");
        }
        for (x, found) in x.iter().zip(scalar) {
            let expected = f64::from(*x).ln_1p();
            assert!((f64::from(found) - expected).abs() <= 4e-7 * expected, "log(1 + {x}) = {found}");
        }
    }
}
