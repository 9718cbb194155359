//! Rows taken apart into their phases and put together again.

use kernels::simd::Simd;

/// A row of an tensor, or its product with `slope`.
#[derive(Clone, Copy)]
pub(super) struct PhaseRow<'a> {
    pub values: &'a [f32],
    pub slope: Option<&'a [f32]>,
}

impl PhaseRow<'_> {
    /// The vector at `x`. Asks for the one that lies `ahead`.
    #[inline(always)]
    fn vector<S: Simd>(self, s: S, x: usize, ahead: usize) -> S::V {
        let values = s.load(&self.values[x..]);
        prefetch(self.values.as_ptr().wrapping_add(x + ahead));
        match self.slope {
            Some(slope) => {
                prefetch(slope.as_ptr().wrapping_add(x + ahead));
                s.mul(values, s.load(&slope[x..]))
            }
            None => values,
        }
    }
}

/// Writes every `columns`-th value of a row, from the first one, the second one, ..., into planes of `pitch` values, from place
/// `left` on. Asks for the row that lies `ahead`: channels are too short and too far apart for the processor to foresee them.
#[inline(always)]
pub(super) fn split<S: Simd>(
    s: S,
    row: PhaseRow,
    columns: usize,
    left: usize,
    pitch: usize,
    ahead: usize,
    to: &mut [f32],
) {
    let len = row.values.len();
    // Values of `columns` vectors.
    let step = columns * S::LANES;
    let whole = match columns {
        1 | 2 => len / step * step,
        _ => 0,
    };
    if columns == 1 {
        let to = to[left..][..whole].chunks_exact_mut(S::LANES);
        for (x, to) in (0..whole).step_by(step).zip(to) {
            s.store(row.vector(s, x, ahead), to);
        }
    } else if columns == 2 {
        let (even, odd) = to.split_at_mut(pitch);
        let even = even[left..][..whole / 2].chunks_exact_mut(S::LANES);
        let odd = odd[left..][..whole / 2].chunks_exact_mut(S::LANES);
        for (x, (even, odd)) in (0..whole).step_by(step).zip(even.zip(odd)) {
            let [a, b] = s.deinterleave(row.vector(s, x, ahead), row.vector(s, x + S::LANES, ahead));
            s.store(a, even);
            s.store(b, odd);
        }
    }
    for x in whole..len {
        to[x % columns * pitch + left + x / columns] = row.values[x] * row.slope.map_or(1.0, |slope| slope[x]);
    }
    // Another group's phases may have had a value more.
    for (phase, plane) in to.chunks_exact_mut(pitch).enumerate() {
        if let Some(next) = plane.get_mut(left + (len + columns - 1 - phase) / columns) {
            *next = 0.0;
        }
    }
}

/// Brings the cache line of any address into the cache.
#[inline(always)]
fn prefetch(from: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has SSE; an address that is not readable is ignored.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(from.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = from;
}

/// The inverse of [`split`], for planes that lie `pitch` apart: `width` values, in whole vectors.
#[inline(always)]
pub(super) fn join<S: Simd>(s: S, planes: &[f32], columns: usize, pitch: usize, width: usize, to: &mut [f32]) {
    match columns {
        1 => {
            let vectors = planes.chunks_exact(S::LANES).zip(to.chunks_exact_mut(S::LANES));
            for (from, to) in vectors.take(width.div_ceil(S::LANES)) {
                s.store(s.load(from), to);
            }
        }
        2 => {
            let vectors = planes.chunks_exact(S::LANES).zip(planes[pitch..].chunks_exact(S::LANES));
            let vectors = vectors.zip(to.chunks_exact_mut(2 * S::LANES));
            for ((even, odd), to) in vectors.take(width.div_ceil(2 * S::LANES)) {
                let [a, b] = s.interleave(s.load(even), s.load(odd));
                s.store(a, &mut to[..S::LANES]);
                s.store(b, &mut to[S::LANES..]);
            }
        }
        _ => {
            for (x, to) in to[..width].iter_mut().enumerate() {
                *to = planes[x % columns * pitch + x / columns];
            }
        }
    }
}
