//! What ends a layer, with its slope.

use kernels::Nonlinearity;
use kernels::math::{gelu_slope_vector, sin_cos_vector};
use kernels::simd::{Kernel, Level, Simd};

/// The function of each of `sums`, whole vectors of them, and its slope.
#[inline(always)]
pub(crate) fn ends<S: Simd>(s: S, nonlinearity: Nonlinearity, sums: &[f32], y: &mut [f32], slope: &mut [f32]) {
    match nonlinearity {
        Nonlinearity::Sin => {
            for x in (0..sums.len()).step_by(S::LANES) {
                let [sin, cos] = sin_cos_vector(s, s.load(&sums[x..]));
                s.store(sin, &mut y[x..]);
                s.store(cos, &mut slope[x..]);
            }
        }
        Nonlinearity::Gelu => {
            for x in (0..sums.len()).step_by(S::LANES) {
                let [value, rise] = gelu_slope_vector(s, s.load(&sums[x..]));
                s.store(value, &mut y[x..]);
                s.store(rise, &mut slope[x..]);
            }
        }
    }
}

/// As [`ends`], with the instructions of a level.
pub(crate) fn ends_of(level: Level, nonlinearity: Nonlinearity, sums: &[f32], room: &mut [Vec<f32>; 2]) {
    struct Ends<'a>(Nonlinearity, &'a [f32], &'a mut [Vec<f32>; 2]);
    impl Kernel for Ends<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let [y, slope] = self.2;
            ends(s, self.0, self.1, y, slope);
        }
    }
    level.run(Ends(nonlinearity, sums, room));
}
