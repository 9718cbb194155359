//! Direct convolution, row by row.
//!
//! A tile of 6 output channels by 4 vectors of pixels (2 on AVX2) stays in registers while the sum runs over input
//! channels, kernel rows and kernel columns, in that order: every step loads 4 vectors and 6 weights for 24 fused
//! multiply-adds. Weights are packed once in the order in which the tiles read them. The order of summation of one
//! output does not depend on the tile, so every level gives the same bits.

use crate::rows::{Aligned, MARGIN, Rows};
use crate::simd::{Kernel, Level, Simd};

/// Side of the largest kernel.
pub const MAX_KERNEL: usize = 5;

/// Weights of a 1x1, 3x3 or 5x5 convolution with stride 1 and zero padding that keeps the size, packed for the kernels.
pub struct Conv {
    inputs: usize,
    outputs: usize,
    kernel: usize,
    dilation: usize,
    /// Blocks of 6 outputs, then one of 3 where enough; in a block `[input][row][column][output]`.
    weights: Aligned,
    /// Zero behind the last output up to the end of its block.
    bias: Vec<f32>,
}

impl Conv {
    /// Packs `weight` `[outputs, inputs, kernel, kernel]` and `bias` `[outputs]`.
    ///
    /// # Panics
    /// If a length does not fit, `kernel` is not 1, 3 or 5, or `dilation` is 0 or beyond what [`MARGIN`] allows.
    pub fn new(weight: &[f32], bias: &[f32], inputs: usize, kernel: usize, dilation: usize) -> Self {
        let outputs = bias.len();
        let taps = inputs * kernel * kernel;
        assert_eq!(weight.len(), outputs * taps, "weights of {outputs} outputs with {taps} taps");
        assert!(kernel % 2 == 1 && kernel <= MAX_KERNEL, "a kernel of {kernel}");
        assert!(dilation > 0 && kernel / 2 * dilation <= MARGIN, "a dilation of {dilation}");
        let padded = outputs.next_multiple_of(3);
        let mut weights = Aligned::zeros(padded * taps);
        let mut packed = weights.as_mut_slice();
        for block in blocks(outputs) {
            let (head, rest) = packed.split_at_mut(block.len() * taps);
            for (tap, group) in head.chunks_exact_mut(block.len()).enumerate() {
                for (value, output) in group.iter_mut().zip(block.clone()) {
                    *value = weight.get(output * taps + tap).copied().unwrap_or(0.0);
                }
            }
            packed = rest;
        }
        let mut bias = bias.to_vec();
        bias.resize(padded, 0.0);
        Self { inputs, outputs, kernel, dilation, weights, bias }
    }

    /// Number of output channels.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Number of input channels.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Rows above and below the centre that one output row reads.
    pub fn reach(&self) -> usize {
        self.kernel / 2 * self.dilation
    }

    /// Room that [`row`](Self::row) needs for rows of `width` values.
    pub fn row_len(&self, width: usize) -> usize {
        self.bias.len() * row_stride(width)
    }

    /// Computes output row `y` into `out`: channel `c` from `c * row_stride(width)` on, `width` values.
    ///
    /// # Panics
    /// If `input` has another channel count or does not hold the rows within [`reach`](Self::reach), or `out` is shorter
    /// than [`row_len`](Self::row_len).
    pub fn row(&self, level: Level, input: &Rows, y: usize, out: &mut [f32]) {
        assert_eq!(input.channels(), self.inputs);
        let first = y as isize - self.reach() as isize;
        // Beyond the kernel's rows its first one stands in.
        let row = |k: usize| input.row(first + if k < self.kernel { (k * self.dilation) as isize } else { 0 });
        level.run(ConvRow {
            conv: self,
            rows: std::array::from_fn(row),
            width: input.width(),
            stride: input.stride(),
            out: &mut out[..self.row_len(input.width())],
        });
    }
}

/// Distance between the channels of a convolution's output row.
pub fn row_stride(width: usize) -> usize {
    width.next_multiple_of(16)
}

/// Ranges of outputs that a tile computes at once: six, at the end three where that is enough.
fn blocks(outputs: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let end = outputs.next_multiple_of(3);
    (0..end).step_by(6).map(move |start| start..(start + 6).min(end))
}

struct ConvRow<'a> {
    conv: &'a Conv,
    rows: [&'a [f32]; MAX_KERNEL],
    width: usize,
    stride: usize,
    out: &'a mut [f32],
}

impl Kernel for ConvRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        match self.conv.kernel {
            1 => self.tiles::<S, 1>(s),
            3 => self.tiles::<S, 3>(s),
            _ => self.tiles::<S, MAX_KERNEL>(s),
        }
    }
}

impl ConvRow<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const K: usize>(&mut self, s: S) {
        let end = self.width.next_multiple_of(S::LANES);
        let mut x = 0;
        while x < end {
            let vectors = (end - x) / S::LANES;
            if S::TILE >= 4 && vectors >= 4 {
                self.blocks::<S, K, 4>(s, x);
                x += 4 * S::LANES;
            } else if vectors >= 2 {
                self.blocks::<S, K, 2>(s, x);
                x += 2 * S::LANES;
            } else {
                self.blocks::<S, K, 1>(s, x);
                x += S::LANES;
            }
        }
    }

    #[inline(always)]
    fn blocks<S: Simd, const K: usize, const N: usize>(&mut self, s: S, x: usize) {
        for block in blocks(self.conv.outputs) {
            if block.len() == 6 {
                self.tile::<S, K, 6, N>(s, x, block.start);
            } else {
                self.tile::<S, K, 3, N>(s, x, block.start);
            }
        }
    }

    /// Outputs `first .. first + M`, pixels `x .. x + N * LANES`.
    #[inline(always)]
    fn tile<S: Simd, const K: usize, const M: usize, const N: usize>(&mut self, s: S, x: usize, first: usize) {
        let conv = self.conv;
        let weights = &conv.weights.as_slice()[first * conv.inputs * K * K..][..M * conv.inputs * K * K];
        let left = MARGIN + x - K / 2 * conv.dilation;
        let right = left + (K - 1) * conv.dilation + N * S::LANES;
        assert!(right <= self.stride && self.rows[..K].iter().all(|row| row.len() == conv.inputs * self.stride));
        let mut sum = [[s.splat(0.0); N]; M];
        for (sum, &bias) in sum.iter_mut().zip(&conv.bias[first..first + M]) {
            *sum = [s.splat(bias); N];
        }
        let mut weight = weights.as_ptr();
        for input in 0..conv.inputs {
            for row in &self.rows[..K] {
                for column in 0..K {
                    let mut pixels = [s.splat(0.0); N];
                    // SAFETY: the vectors end at `input * stride + right` at most, and a row has `inputs * stride`
                    // values with `right <= stride`, both asserted above.
                    unsafe {
                        let from = row.as_ptr().add(input * self.stride + left + column * conv.dilation);
                        for (n, pixels) in pixels.iter_mut().enumerate() {
                            *pixels = s.load_from(from.add(n * S::LANES));
                        }
                    }
                    for sum in &mut sum {
                        // SAFETY: this runs `M` times a tap, for `inputs * K * K` taps: the length of `weights`.
                        let w = s.splat(unsafe { *weight });
                        // SAFETY: as above; one past the end at last.
                        weight = unsafe { weight.add(1) };
                        for (sum, &pixels) in sum.iter_mut().zip(&pixels) {
                            *sum = s.fma(w, pixels, *sum);
                        }
                    }
                }
            }
        }
        let stride = row_stride(self.width);
        for (m, sum) in sum.iter().enumerate() {
            let out = &mut self.out[(first + m) * stride + x..][..N * S::LANES];
            for (out, &sum) in out.chunks_exact_mut(S::LANES).zip(sum) {
                s.store(sum, out);
            }
        }
    }
}
