//! How much the decoder's output moves when parameters do: the Gauss-Newton matrix of the squared error.
//!
//! For an error `d` of the parameters the mean squared error of the frames, in levels of 8-bit RGB, grows by about
//! `d^T J^T J d / n`, with the Jacobian J of the `n` output values. Gradients of random signs on the outputs have that
//! matrix as their covariance (Hutchinson's estimator; Martens, Sutskever and Swersky, "Estimating the Hessian by
//! back-propagating curvature", 2012), so a few dozen backward passes say it all: no original and no loss is needed.

use rayon::prelude::*;

use crate::differentiable::DifferentiableDecoder;
use crate::source::Source;

/// Most latents that are probed, spread over the clip. Few latents, however often probed, leave directions unseen that the
/// quantizer then takes for free.
const LATENTS: usize = 96;
/// Probes of each.
const PROBES: usize = 4;
/// Share of the mean diagonal that is added to it: a direction that no probe saw costs a little all the same.
const DAMPING: f64 = 1e-2;

/// Curvature of one layer: of each output channel's weights and bias, `[fan_in + 1]` values.
pub(crate) struct LayerCurvature {
    /// Upper triangular U, row-major, with `U^T U` the inverse of the matrix that all output channels have in common.
    pub inverse_root: Vec<f64>,
    /// Rows and columns of it: `fan_in + 1`.
    pub columns: usize,
    /// By what the common matrix is multiplied for each output channel.
    pub scale: Vec<f64>,
}

impl LayerCurvature {
    /// The mean over the output channels of what multiplies the common matrix.
    pub fn mean_scale(&self) -> f64 {
        self.scale.iter().sum::<f64>() / self.scale.len() as f64
    }
}

/// Curvature of a whole representation.
pub(crate) struct Curvature {
    /// One for each weight with its bias, in the order of [`repr::Architecture::parameters`].
    pub layers: Vec<LayerCurvature>,
    /// Growth of the mean squared error of a latent's frames with the square of each of its values.
    pub latent: Vec<f64>,
}

impl Curvature {
    /// Probes the decoder of a source at its latents; `fan_ins` are those of the layers.
    pub fn new(decoder: &DifferentiableDecoder, source: &Source, fan_ins: &[usize]) -> Self {
        let (latents, architecture) = (source.latents(), &source.plain().architecture);
        let (dim, per_sample) = (architecture.latent_dim(), architecture.latents_per_sample());
        let total = latents.len() / dim;
        let count = LATENTS.min(total);
        let probed: Vec<usize> = (0..count).map(|i| (2 * i + 1) * total / (2 * count)).collect();
        let mut sums: Vec<Sum> = fan_ins.iter().map(|&fan_in| Sum::new(fan_in + 1)).collect();
        let mut latent = vec![0.0; dim];
        let mut signs = Signs(1);
        let probes = (probed.len() * PROBES) as f64;
        for index in probed {
            let trace = decoder.forward(&latents[index * dim..][..dim], source.plain().map(index / per_sample));
            // Outputs are in 0..1; the error is wanted in levels, averaged over all values.
            let size = 255.0 / (trace.frames().len() as f32).sqrt();
            for _ in 0..PROBES {
                let probe: Vec<f32> = (0..trace.frames().len()).map(|_| signs.next(size)).collect();
                let gradients = decoder.backward(&trace, &probe);
                for (sum, g) in latent.iter_mut().zip(&gradients.latent) {
                    *sum += f64::from(*g).powi(2) / probes;
                }
                let layers = sums.par_iter_mut().zip(gradients.parameters.par_chunks(2));
                layers.for_each(|(sum, layer)| sum.add(&layer[0], &layer[1], probes));
            }
        }
        Self { layers: sums.into_par_iter().map(Sum::finish).collect(), latent }
    }
}

/// A stream of signs (SplitMix64, Steele, Lea and Flood 2014).
struct Signs(u64);

impl Signs {
    fn next(&mut self, size: f32) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        if (z ^ (z >> 31)) & 1 == 1 { size } else { -size }
    }
}

/// Sum of the outer products of a layer's gradients.
struct Sum {
    columns: usize,
    /// Over all output channels; the lower triangle.
    matrix: Vec<f64>,
    /// Squared length of each output channel's gradients.
    squares: Vec<f64>,
}

impl Sum {
    fn new(columns: usize) -> Self {
        Self { columns, matrix: vec![0.0; columns * columns], squares: Vec::new() }
    }

    fn add(&mut self, weight: &[f32], bias: &[f32], probes: f64) {
        let fan_in = self.columns - 1;
        self.squares.resize(bias.len(), 0.0);
        for ((row, &bias), square) in weight.chunks(fan_in).zip(bias).zip(&mut self.squares) {
            let gradient: Vec<f64> = row.iter().chain([&bias]).map(|&g| f64::from(g)).collect();
            *square += gradient.iter().map(|g| g * g).sum::<f64>() / probes;
            for (i, a) in gradient.iter().enumerate() {
                let sums = &mut self.matrix[i * self.columns..][..=i];
                sums.iter_mut().zip(&gradient).for_each(|(sum, b)| *sum += a * b / probes);
            }
        }
    }

    fn finish(mut self) -> LayerCurvature {
        let n = self.columns;
        let trace: f64 = (0..n).map(|i| self.matrix[i * n + i]).sum();
        // A layer that nothing depends on still needs a matrix that can be inverted.
        let floor = (trace / n as f64 * DAMPING).max(1e-12);
        (0..n).for_each(|i| self.matrix[i * n + i] += floor);
        let total: f64 = self.squares.iter().sum();
        let channels = self.squares.len().max(1) as f64;
        let scale =
            self.squares.iter().map(|s| if total > 0.0 { (s / total).max(1e-3 / channels) } else { 1.0 / channels });
        LayerCurvature { scale: scale.collect(), inverse_root: inverse_root(&self.matrix, n), columns: n }
    }
}

/// For a positive definite `matrix` (its lower triangle, `[n, n]`): upper triangular U with `U^T U` its inverse.
///
/// With J the matrix that reverses the order and `J matrix J = L L^T` (Cholesky), U is `J L^-1 J`.
fn inverse_root(matrix: &[f64], n: usize) -> Vec<f64> {
    // Reversed, so that the triangle comes out on the side that is wanted.
    let at = |i: usize, j: usize| {
        let (i, j) = (n - 1 - i, n - 1 - j);
        matrix[i.max(j) * n + i.min(j)]
    };
    let mut lower = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let (a, b) = (&lower[i * n..][..j], &lower[j * n..][..j]);
            let rest = at(i, j) - a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            lower[i * n + j] = if i == j { rest.max(1e-300).sqrt() } else { rest / lower[j * n + j] };
        }
    }
    // Columns of the inverse, one forward substitution each.
    let mut root = vec![0.0; n * n];
    for column in 0..n {
        let mut solution = vec![0.0; n];
        for i in column..n {
            let known: f64 = (column..i).map(|k| lower[i * n + k] * solution[k]).sum();
            solution[i] = (if i == column { 1.0 } else { 0.0 } - known) / lower[i * n + i];
            root[(n - 1 - i) * n + (n - 1 - column)] = solution[i];
        }
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_gives_the_inverse() {
        let n = 5;
        let value = |i: usize, j: usize| if i == j { 4.0 } else { ((i * j + i + j) % 5) as f64 / 5.0 };
        let matrix: Vec<f64> = (0..n * n).map(|at| value(at / n, at % n)).collect();
        let root = inverse_root(&matrix, n);
        let inverse = |i: usize, j: usize| (0..n).map(|k| root[k * n + i] * root[k * n + j]).sum::<f64>();
        for i in 0..n {
            assert!((0..i).all(|j| root[i * n + j] == 0.0), "not upper triangular");
            for j in 0..n {
                let product: f64 = (0..n).map(|k| matrix[i * n + k] * inverse(k, j)).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12, "{i}, {j}: {product}");
            }
        }
    }

    #[test]
    fn signs_are_even_and_of_one_size() {
        let mut signs = Signs(1);
        let drawn: Vec<f32> = (0..10_000).map(|_| signs.next(0.5)).collect();
        assert!(drawn.iter().all(|v| v.abs() == 0.5));
        assert!(drawn.iter().sum::<f32>().abs() < 150.0);
    }
}
