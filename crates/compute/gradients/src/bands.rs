//! Tensors cut into bands of rows: the unit of work of a thread.

use std::mem::{MaybeUninit, take};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use kernels::Rows;
use kernels::simd::{Kernel, Level, Simd};

/// Rows of one sample.
pub(crate) struct Job {
    pub sample: usize,
    pub rows: Range<usize>,
}

/// The bands of `n` images of `height` rows, at most `band` rows each: sample by sample, from top to bottom.
pub(crate) fn jobs(n: usize, height: usize, band: usize) -> Vec<Job> {
    let bands = (0..height).step_by(band).map(move |y| y..(y + band).min(height));
    (0..n).flat_map(|sample| bands.clone().map(move |rows| Job { sample, rows })).collect()
}

/// One of the images of `len` values that a batch consists of.
pub(crate) fn image<T>(batch: &[T], sample: usize, len: usize) -> &[T] {
    &batch[sample * len..][..len]
}

/// Copies rows of an image `[channels, height, width]` into the window until rows up to `end` are there.
pub(crate) fn fill(rows: &mut Rows, image: &[f32], end: usize) {
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
pub(crate) struct BandedTensor {
    shape: [usize; 4],
    data: Vec<f32>,
    /// Values written since the last call of `bands`.
    written: AtomicUsize,
}

impl BandedTensor {
    /// Nothing is written yet.
    pub(crate) fn new(shape: [usize; 4]) -> Self {
        Self { shape, data: Vec::with_capacity(shape.iter().product()), written: AtomicUsize::new(0) }
    }

    /// Cuts the tensor as [`jobs`] does.
    pub(crate) fn bands(&mut self, band: usize) -> Vec<Band<'_>> {
        let [n, channels, height, width] = self.shape;
        let per_sample = height.div_ceil(band);
        *self.written.get_mut() = 0;
        let streamed = (n * channels * height * width >= STREAMED).then(Level::detect);
        let empty = || Band { width, planes: Vec::with_capacity(channels), count: 0, written: &self.written, streamed };
        let mut bands: Vec<Band> = (0..n * per_sample).map(|_| empty()).collect();
        let all = &mut self.data.spare_capacity_mut()[..n * channels * height * width];
        for (plane, values) in all.chunks_exact_mut((height * width).max(1)).enumerate() {
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
    pub(crate) fn finish(mut self) -> Vec<f32> {
        let len = self.shape.iter().product();
        assert_eq!(*self.written.get_mut(), len, "a band is incomplete");
        // SAFETY: bands write each place at most once and count what they write, so all `len` places are initialized;
        // `new` reserved them.
        unsafe { self.data.set_len(len) };
        self.data
    }
}

/// Values of a tensor that is larger than what caches keep until it is read: writing it around them saves reading what is
/// overwritten.
const STREAMED: usize = 2 << 20;

/// Copies `from`, which is as long as `to`, around the caches.
struct Stream<'a> {
    from: &'a [f32],
    to: &'a mut [MaybeUninit<f32>],
}

impl Kernel for Stream<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { from, to } = self;
        let head = to.as_ptr().align_offset(size_of::<S::V>()).min(to.len());
        let end = head + (to.len() - head) / S::LANES * S::LANES;
        to[..head].write_copy_of_slice(&from[..head]);
        for (from, to) in from[head..end].chunks_exact(S::LANES).zip(to[head..end].chunks_exact_mut(S::LANES)) {
            // SAFETY: `to` has `LANES` places, of which the first of all was aligned to a vector.
            unsafe { s.stream_to(s.load(from), to.as_mut_ptr().cast()) };
        }
        to[end..].write_copy_of_slice(&from[end..]);
    }
}

/// Rows of all channels of one sample, written from top to bottom.
pub(crate) struct Band<'a> {
    width: usize,
    /// What is left of each channel.
    planes: Vec<&'a mut [MaybeUninit<f32>]>,
    count: usize,
    written: &'a AtomicUsize,
    /// Set where values go around the caches.
    streamed: Option<Level>,
}

impl Band<'_> {
    /// Writes the next row of channel `c`: the first values of `row`, which may be longer.
    pub(crate) fn push(&mut self, c: usize, row: &[f32]) {
        self.extend(c, &row[..self.width]);
    }

    /// Writes the next values of channel `c`.
    pub(crate) fn extend(&mut self, c: usize, values: &[f32]) {
        let (next, rest) = take(&mut self.planes[c]).split_at_mut(values.len());
        if let Some(level) = self.streamed {
            level.run(Stream { from: values, to: next });
        } else {
            next.write_copy_of_slice(values);
        }
        self.planes[c] = rest;
        self.count += values.len();
    }
}

impl Drop for Band<'_> {
    fn drop(&mut self) {
        #[cfg(target_arch = "x86_64")]
        if self.streamed.is_some() {
            // SAFETY: every x86-64 processor has SSE. The fence orders what went around the caches before what follows.
            unsafe { std::arch::x86_64::_mm_sfence() };
        }
        // Rayon's end of the parallel run orders this before `finish`.
        self.written.fetch_add(self.count, Ordering::Relaxed);
    }
}

/// `sum += term`.
pub(crate) fn add_to(level: Level, sum: &mut [f32], term: &[f32]) {
    struct Add<'a>(&'a mut [f32], &'a [f32]);
    impl Kernel for Add<'_> {
        type Output = ();

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_go_around_the_caches_arrive() {
        let from: Vec<f32> = (0..150).map(|i| i as f32).collect();
        for level in Level::available() {
            for start in 0..17 {
                for len in [0, 1, 15, 16, 33, 120] {
                    let mut to = [MaybeUninit::new(-1.0); 150];
                    level.run(Stream { from: &from[3..][..len], to: &mut to[start..][..len] });
                    for (at, value) in to.iter().enumerate() {
                        let expected = if (start..start + len).contains(&at) { from[3 + at - start] } else { -1.0 };
                        // SAFETY: all were initialized.
                        assert_eq!(unsafe { value.assume_init() }, expected, "{level}: {at} of {len} from {start}");
                    }
                }
            }
        }
        let mut target = BandedTensor::new([1, 2, STREAMED / 2 + 5, 1]);
        for band in &mut target.bands(100_003) {
            for c in 0..2 {
                let row = vec![c as f32; band.planes[c].len()];
                row.chunks(999).for_each(|row| band.extend(c, row));
            }
        }
        let values = target.finish();
        assert!(values.iter().enumerate().all(|(at, &value)| value == (at / (STREAMED / 2 + 5)) as f32));
    }
}
