//! Gradients of a convolution.
//!
//! That of the input is a convolution with exchanged channels and a mirrored kernel ([`transposed`]). That of the weights,
//! `dW[o, i, ky, kx] = sum of g[o, y, x] * input[i, y + ky - reach, x + kx - reach]`, runs over pixels: a tile of some outputs,
//! some inputs and the columns of the kernel, as many as registers allow, stays in them, one vector of partial sums for each,
//! over a block of rows.

use crate::weights::WeightGradients;
use kernels::Conv;
use kernels::simd::{Kernel, Level, Simd};
use kernels::{MARGIN, MAX_KERNEL, Rows};

/// Rows that [`Correlation::add`] takes at once: enough to pay for the sums over lanes, few enough for the cache.
pub(crate) const BLOCK: usize = 4;

/// The convolution that takes the gradient of a convolution's output to that of its input.
pub(crate) fn transposed(weight: &[f32], inputs: usize, kernel: usize, dilation: usize) -> Conv {
    let taps = kernel * kernel;
    let outputs = weight.len() / (inputs * taps);
    let mut mirrored = vec![0.0; weight.len()];
    for (at, &value) in weight.iter().enumerate() {
        let (output, input, tap) = (at / taps / inputs, at / taps % inputs, at % taps);
        mirrored[(input * outputs + output) * taps + taps - 1 - tap] = value;
    }
    Conv::new(&mirrored, &vec![0.0; inputs], outputs, kernel, dilation)
}

/// The gradient of a convolution's parameters.
#[derive(Clone, Copy)]
pub(crate) struct Correlation {
    pub inputs: usize,
    pub outputs: usize,
    pub kernel: usize,
    pub dilation: usize,
}

impl Correlation {
    /// No gradient yet.
    pub(crate) fn zeros(&self) -> WeightGradients {
        let weight = self.outputs * self.inputs * self.kernel * self.kernel;
        WeightGradients { weight: vec![0.0; weight], bias: vec![0.0; self.outputs] }
    }

    /// The sum over bands, in their order.
    pub(crate) fn total<'a>(&self, parts: impl Iterator<Item = &'a WeightGradients>) -> WeightGradients {
        let mut total = self.zeros();
        for part in parts {
            total.weight.iter_mut().zip(&part.weight).for_each(|(sum, &term)| *sum += term);
            total.bias.iter_mut().zip(&part.bias).for_each(|(sum, &term)| *sum += term);
        }
        total
    }

    /// Adds what `count` (at most [`BLOCK`]) rows from `y` on of the output's gradient contribute.
    pub(crate) fn add(
        &self,
        level: Level,
        gradient: &Rows,
        input: &Rows,
        y: usize,
        count: usize,
        sums: &mut WeightGradients,
    ) {
        assert!(count <= BLOCK && gradient.channels() == self.outputs && input.channels() == self.inputs);
        assert_eq!((gradient.width(), gradient.stride()), (input.width(), input.stride()));
        let row = |b: usize| (y + b.min(count - 1)) as isize;
        let reach = (self.kernel / 2 * self.dilation) as isize;
        let input_rows = |ky: usize| {
            let offset = ky as isize * self.dilation as isize - reach;
            std::array::from_fn(|b| input.row(row(b) + offset))
        };
        // Beyond the kernel's rows its first one stands in.
        let kernel_rows: [usize; MAX_KERNEL] = std::array::from_fn(|ky| if ky < self.kernel { ky } else { 0 });
        level.run(Correlate {
            shape: *self,
            gradient: std::array::from_fn(|b| gradient.row(row(b))),
            input: kernel_rows.map(input_rows),
            count,
            width: gradient.width(),
            stride: gradient.stride(),
            sums,
        });
    }
}

struct Correlate<'a> {
    shape: Correlation,
    gradient: [&'a [f32]; BLOCK],
    /// For every row of the kernel.
    input: [[&'a [f32]; BLOCK]; MAX_KERNEL],
    count: usize,
    width: usize,
    stride: usize,
    sums: &'a mut WeightGradients,
}

impl Kernel for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let Correlation { inputs, outputs, kernel, dilation } = self.shape;
        let fits = |row: &[f32], channels: usize| row.len() == channels * self.stride;
        assert!(self.gradient.iter().all(|row| fits(row, outputs)));
        assert!(self.input.iter().flatten().all(|row| fits(row, inputs)));
        assert!(
            kernel / 2 * dilation <= MARGIN && MARGIN + self.width.next_multiple_of(S::LANES) + MARGIN <= self.stride
        );
        self.bias(s);
        match (self.shape.kernel, S::TILE) {
            (1, _) => self.tiles::<S, 1, 3, 3>(s),
            (3, 4) => self.tiles::<S, 3, 3, 3>(s),
            (3, _) => self.tiles::<S, 3, 1, 3>(s),
            (_, 4) => self.tiles::<S, MAX_KERNEL, 1, 4>(s),
            _ => self.tiles::<S, MAX_KERNEL, 1, 2>(s),
        }
    }
}

impl Correlate<'_> {
    #[inline(always)]
    fn bias<S: Simd>(&mut self, s: S) {
        for (o, bias) in self.sums.bias.iter_mut().enumerate() {
            let mut sum = s.splat(0.0);
            for row in &self.gradient[..self.count] {
                let row = &row[o * self.stride + MARGIN..];
                for x in (0..self.width).step_by(S::LANES) {
                    sum = s.add(sum, s.load(&row[x..]));
                }
            }
            *bias += s.sum(sum);
        }
    }

    /// Tiles of `N` inputs and `M` outputs.
    #[inline(always)]
    fn tiles<S: Simd, const K: usize, const N: usize, const M: usize>(&mut self, s: S) {
        for output in (0..self.shape.outputs).step_by(M) {
            for input in (0..self.shape.inputs).step_by(N) {
                for ky in 0..K {
                    self.tile::<S, K, N, M>(s, output, input, ky);
                }
            }
        }
    }

    /// Outputs `output ..`, inputs `input ..`, row `ky` of the kernel. Channels beyond the last repeat it; what they give is
    /// dropped.
    #[inline(always)]
    fn tile<S: Simd, const K: usize, const N: usize, const M: usize>(
        &mut self,
        s: S,
        output: usize,
        input: usize,
        ky: usize,
    ) {
        let Correlation { inputs, outputs, dilation, .. } = self.shape;
        let mut sums = [[[s.splat(0.0); M]; K]; N];
        for (gradient, from) in self.gradient[..self.count].iter().zip(&self.input[ky]) {
            let gradient: [&[f32]; M] =
                std::array::from_fn(|m| &gradient[(output + m).min(outputs - 1) * self.stride..][..self.stride]);
            let from: [&[f32]; N] =
                std::array::from_fn(|n| &from[(input + n).min(inputs - 1) * self.stride..][..self.stride]);
            for x in (0..self.width).step_by(S::LANES) {
                let mut g = [s.splat(0.0); M];
                for (g, row) in g.iter_mut().zip(&gradient) {
                    // SAFETY: `run` asserts that a channel of `stride` values holds the width in whole vectors and a margin
                    // of at least the kernel's reach on either side.
                    *g = unsafe { s.load_from(row.as_ptr().add(MARGIN + x)) };
                }
                for (from, sums) in from.iter().zip(&mut sums) {
                    for (kx, sums) in sums.iter_mut().enumerate() {
                        let at = MARGIN + x + kx * dilation - K / 2 * dilation;
                        // SAFETY: as above.
                        let value = unsafe { s.load_from(from.as_ptr().add(at)) };
                        for (sum, &g) in sums.iter_mut().zip(&g) {
                            *sum = s.fma(g, value, *sum);
                        }
                    }
                }
            }
        }
        for (n, sums) in sums.iter().enumerate().take(inputs - input) {
            for (kx, sums) in sums.iter().enumerate() {
                for (m, &sum) in sums.iter().enumerate().take(outputs - output) {
                    let at = (((output + m) * inputs + input + n) * K + ky) * K + kx;
                    self.sums.weight[at] += s.sum(sum);
                }
            }
        }
    }
}
