//! The coarse image that makes a first frame.

use rayon::prelude::*;

use crate::bands::{BandedTensor, image, jobs};
use crate::weights::{WeightGradients, Weights};
use kernels::simd::Level;
use kernels::{Carrier, Rows, taps};

/// Rows that a thread takes at once.
const BAND: usize = 64;
/// Red, green and blue.
const PLANES: usize = 3;

/// `1 / 2 + enlarged(weight * coefficients + bias)`, see [`kernels::Carrier`], of which this is the 255th part.
///
/// Every method panics if a slice does not have the length that its shape says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarrierShape {
    /// Coefficients of a sample.
    pub coefficients: usize,
    /// 3, or 1 of a grey image.
    pub planes: usize,
    /// Rows and columns of the coarse image.
    pub coarse: (usize, usize),
    /// Rows of the result.
    pub height: usize,
    /// Columns of the result.
    pub width: usize,
}

/// What [`CarrierShape::backward`] returns.
#[derive(Clone, Debug, PartialEq)]
pub struct CarrierGradients {
    /// `[n, coefficients]`.
    pub coefficients: Vec<f32>,
    /// Of the linear layer.
    pub linear: WeightGradients,
}

impl CarrierShape {
    /// `[n, 3, height, width]`, RGB around a half, for `coefficients` `[n, coefficients]`.
    pub fn forward(&self, n: usize, coefficients: &[f32], linear: Weights) -> Vec<f32> {
        let Self { coarse, height, width, .. } = *self;
        let level = Level::detect();
        assert_eq!(coefficients.len(), n * self.coefficients);
        let carrier = Carrier::new(linear.weight, linear.bias, self.coefficients, coarse, (height, width));
        let mut y = BandedTensor::new([n, PLANES, height, width]);
        let new = || (carrier.room(), Rows::new(PLANES, height, width, 1), vec![0.0; width]);
        let bands = y.bands(BAND).into_par_iter().zip(jobs(n, height, BAND));
        bands.for_each_init(new, |(room, rows, out), (mut band, job)| {
            carrier.begin(level, image(coefficients, job.sample, self.coefficients), room);
            rows.restart_at(job.rows.start);
            for at in job.rows {
                carrier.row(level, room, at, rows.push());
                for c in 0..PLANES {
                    out.iter_mut().zip(rows.channel(at, c)).for_each(|(out, value)| *out = value / 255.0);
                    band.push(c, out);
                }
            }
        });
        y.finish()
    }

    /// Gradients of a loss whose gradient in the result is `gradient`.
    pub fn backward(&self, n: usize, coefficients: &[f32], gradient: &[f32], weight: &[f32]) -> CarrierGradients {
        let Self { coarse: (rows, columns), height, width, .. } = *self;
        let (count, outputs) = (self.coefficients, self.planes * rows * columns);
        assert!(self.planes == 1 || self.planes == PLANES);
        assert!(coefficients.len() == n * count && weight.len() == outputs * count);
        assert_eq!(gradient.len(), n * PLANES * height * width);
        let (down, across) = (taps(rows, height), taps(columns, width));
        let coarse = |plane: &[f32]| {
            let mut wide = vec![0.0; rows * width];
            for (row, tap) in plane.chunks_exact(width).zip(&down) {
                for (&at, weight) in tap.index.iter().zip(tap.weight) {
                    let sums = wide[at * width..][..width].iter_mut();
                    sums.zip(row).for_each(|(sum, g)| *sum += weight * g);
                }
            }
            let mut coarse = vec![0.0; rows * columns];
            for (wide, coarse) in wide.chunks_exact(width).zip(coarse.chunks_exact_mut(columns)) {
                for (g, tap) in wide.iter().zip(&across) {
                    tap.index.iter().zip(tap.weight).for_each(|(&at, weight)| coarse[at] += weight * g);
                }
            }
            coarse
        };
        // Plane after plane, so sample after sample.
        let coarse: Vec<Vec<f32>> = gradient.par_chunks_exact(height * width).map(coarse).collect();
        let sum =
            |planes: &[Vec<f32>]| (0..rows * columns).map(|i| planes.iter().map(|plane| plane[i]).sum()).collect();
        let coarse = coarse.chunks(PLANES / self.planes).map(sum).collect::<Vec<Vec<f32>>>().concat();
        let mut found = CarrierGradients {
            coefficients: vec![0.0; n * count],
            linear: WeightGradients { weight: vec![0.0; outputs * count], bias: vec![0.0; outputs] },
        };
        for (sample, coarse) in coarse.chunks_exact(outputs).enumerate() {
            let z = image(coefficients, sample, count);
            let own = &mut found.coefficients[sample * count..][..count];
            let weights = weight.chunks_exact(count).zip(found.linear.weight.chunks_exact_mut(count));
            for ((g, bias), (weights, sums)) in coarse.iter().zip(&mut found.linear.bias).zip(weights) {
                *bias += g;
                sums.iter_mut().zip(z).for_each(|(sum, z)| *sum += g * z);
                own.iter_mut().zip(weights).for_each(|(sum, w)| *sum += g * w);
            }
        }
        found
    }
}
