//! Tensors cut into bands of rows: the unit of work of a thread.

use std::mem::{MaybeUninit, take};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Level;
use crate::level::Kernel;
use crate::rows::Rows;
use crate::simd::Simd;

/// Rows of one sample.
pub(super) struct Job {
    pub sample: usize,
    pub rows: Range<usize>,
}

/// The bands of `n` images of `height` rows, at most `band` rows each: sample by sample, from top to bottom.
pub(super) fn jobs(n: usize, height: usize, band: usize) -> Vec<Job> {
    let bands = (0..height).step_by(band).map(move |y| y..(y + band).min(height));
    (0..n).flat_map(|sample| bands.clone().map(move |rows| Job { sample, rows })).collect()
}

/// One of the images of `len` values that a batch consists of.
pub(super) fn image(batch: &[f32], sample: usize, len: usize) -> &[f32] {
    &batch[sample * len..][..len]
}

/// Copies rows of an image `[channels, height, width]` into the window until rows up to `end` are there.
pub(super) fn fill(rows: &mut Rows, image: &[f32], end: usize) {
    let (height, width) = (rows.height(), rows.width());
    while rows.filled() < end.min(height) {
        let y = rows.filled();
        let mut row = rows.push();
        for c in 0..row.channels() {
            row.channel(c).copy_from_slice(&image[(c * height + y) * width..][..width]);
        }
    }
}

/// A tensor that bands write.
pub(super) struct Target {
    shape: [usize; 4],
    data: Vec<f32>,
    /// Values written since the last call of `bands`.
    written: AtomicUsize,
}

impl Target {
    /// Nothing is written yet.
    pub(super) fn new(shape: [usize; 4]) -> Self {
        Self { shape, data: Vec::with_capacity(shape.iter().product()), written: AtomicUsize::new(0) }
    }

    /// Cuts the tensor as [`jobs`] does.
    pub(super) fn bands(&mut self, band: usize) -> Vec<Band<'_>> {
        let [n, channels, height, width] = self.shape;
        let per_sample = height.div_ceil(band);
        *self.written.get_mut() = 0;
        let empty = || Band { width, planes: Vec::with_capacity(channels), count: 0, written: &self.written };
        let mut bands: Vec<Band> = (0..n * per_sample).map(|_| empty()).collect();
        let all = &mut self.data.spare_capacity_mut()[..n * channels * height * width];
        for (plane, values) in all.chunks_exact_mut(height * width).enumerate() {
            let first = plane / channels * per_sample;
            for (band, values) in bands[first..].iter_mut().zip(values.chunks_mut(band * width)) {
                band.planes.push(values);
            }
        }
        bands
    }

    /// The tensor.
    ///
    /// # Panics
    /// If the bands were not written to their ends.
    pub(super) fn finish(mut self) -> Vec<f32> {
        let len = self.shape.iter().product();
        assert_eq!(*self.written.get_mut(), len, "a band is incomplete");
        // SAFETY: bands write each place at most once and count what they write, so all `len` places are initialized;
        // `new` reserved them.
        unsafe { self.data.set_len(len) };
        self.data
    }
}

/// Rows of all channels of one sample, written from top to bottom.
pub(super) struct Band<'a> {
    width: usize,
    /// What is left of each channel.
    planes: Vec<&'a mut [MaybeUninit<f32>]>,
    count: usize,
    written: &'a AtomicUsize,
}

impl Band<'_> {
    /// Writes the next row of channel `c`: the first values of `row`, which may be longer.
    pub(super) fn push(&mut self, c: usize, row: &[f32]) {
        let (next, rest) = take(&mut self.planes[c]).split_at_mut(self.width);
        next.write_copy_of_slice(&row[..self.width]);
        self.planes[c] = rest;
        self.count += self.width;
    }
}

impl Drop for Band<'_> {
    fn drop(&mut self) {
        // Rayon's end of the parallel run orders this before `finish`.
        self.written.fetch_add(self.count, Ordering::Relaxed);
    }
}

/// `sum += term`.
pub(super) fn add_to(level: Level, sum: &mut [f32], term: &[f32]) {
    struct Add<'a>(&'a mut [f32], &'a [f32]);
    impl Kernel for Add<'_> {
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let (mut sums, mut terms) = (self.0.chunks_exact_mut(S::LANES), self.1.chunks_exact(S::LANES));
            for (sum, term) in (&mut sums).zip(&mut terms) {
                s.store(s.add(s.load(sum), s.load(term)), sum);
            }
            for (sum, term) in sums.into_remainder().iter_mut().zip(terms.remainder()) {
                *sum += term;
            }
        }
    }
    assert_eq!(sum.len(), term.len());
    level.run(Add(sum, term));
}
