//! A coarse image that is a sum of others, enlarged.

use crate::bicubic::{Tap, taps};
use crate::conv::row_stride;
use crate::linear::Linear;
use crate::rows::{Aligned, RowMut};
use crate::simd::{Kernel, Level, Simd};

/// Red, green and blue.
const PLANES: usize = 3;

/// `127.5 + 255 * enlarged(weight * coefficients + bias)`: a coarse image, RGB or grey, enlarged bicubically, the columns first.
pub struct Carrier {
    linear: Linear,
    /// 3, or 1 of a grey image.
    planes: usize,
    coarse: (usize, usize),
    rows: Vec<Tap>,
    columns: Vec<Tap>,
}

/// A [`Carrier`]'s image of one sample: its rows are coarse still, its columns enlarged.
pub struct CarrierImage {
    coarse: Vec<f32>,
    /// `[plane][coarse row]`, each `row_stride` of the columns.
    wide: Aligned,
}

impl Carrier {
    /// Packs `weight` `[planes * rows * columns, coefficients]` and `bias` `[planes * rows * columns]` of the `coarse` size, for
    /// images of `size`, both (rows, columns); 3 planes, or 1 of a grey image.
    ///
    /// # Panics
    /// If a length does not fit or a size is 0.
    pub fn new(
        weight: &[f32],
        bias: &[f32],
        coefficients: usize,
        coarse: (usize, usize),
        size: (usize, usize),
    ) -> Self {
        let planes = bias.len() / (coarse.0 * coarse.1).max(1);
        assert!(planes == 1 || planes == PLANES, "{planes} planes");
        assert!(bias.len() == planes * coarse.0 * coarse.1 && size.0 > 0 && size.1 > 0);
        Self {
            planes,
            linear: Linear::new(weight, bias, coefficients),
            coarse,
            rows: taps(coarse.0, size.0),
            columns: taps(coarse.1, size.1),
        }
    }

    /// Values of a coarse image, and of one with its columns enlarged.
    fn lengths(&self) -> [usize; 2] {
        let rows = self.planes * self.coarse.0;
        [rows * self.coarse.1, rows * row_stride(self.columns.len())]
    }

    /// Values that the [`room`](Self::room) for an image takes.
    pub fn room_len(&self) -> usize {
        self.lengths().iter().sum()
    }

    /// Room for an image.
    pub fn room(&self) -> CarrierImage {
        let [coarse, wide] = self.lengths();
        CarrierImage { coarse: vec![0.0; coarse], wide: Aligned::zeros(wide) }
    }

    /// Makes the image of coefficients.
    ///
    /// # Panics
    /// If there are other coefficients than the weights are for.
    pub fn begin(&self, level: Level, coefficients: &[f32], image: &mut CarrierImage) {
        self.linear.sums(level, coefficients, &mut image.coarse);
        let rows = image.coarse.chunks_exact(self.coarse.1);
        let wide = image.wide.as_mut_slice().chunks_exact_mut(row_stride(self.columns.len()));
        for (row, wide) in rows.zip(wide) {
            for (value, Tap { index, weight, .. }) in wide.iter_mut().zip(&self.columns) {
                let start = row[index[0]] * weight[0];
                *value = (1..4).fold(start, |sum, k| row[index[k]].mul_add(weight[k], sum));
            }
        }
    }

    /// Row `y` of the enlarged image, into three channels.
    ///
    /// # Panics
    /// If a size does not fit.
    pub fn row(&self, level: Level, image: &CarrierImage, y: usize, out: RowMut<'_>) {
        assert!(out.channels() == PLANES && out.width() == self.columns.len());
        let (tap, rows, planes) = (self.rows[y], self.coarse.0, self.planes);
        level.run(EnlargedRow { tap, rows, planes, wide: image.wide.as_slice(), out });
    }
}

struct EnlargedRow<'a> {
    tap: Tap,
    rows: usize,
    planes: usize,
    wide: &'a [f32],
    out: RowMut<'a>,
}

impl Kernel for EnlargedRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let Tap { index, weight, .. } = self.tap;
        for channel in 0..PLANES {
            let (plane, out) = (channel.min(self.planes - 1), self.out.channel(channel));
            let stride = row_stride(out.len());
            let rows = index.map(|row| &self.wide[(plane * self.rows + row) * stride..][..stride]);
            for x in (0..out.len()).step_by(S::LANES) {
                let mut sum = s.mul(s.splat(weight[0]), s.load(&rows[0][x..]));
                for (row, weight) in rows[1..].iter().zip(&weight[1..]) {
                    sum = s.fma(s.splat(*weight), s.load(&row[x..]), sum);
                }
                s.store(s.fma(s.splat(255.0), sum, s.splat(127.5)), &mut out[x..]);
            }
        }
    }
}
