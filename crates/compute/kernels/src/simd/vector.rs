//! One interface over f32 vectors of 1, 8 and 16 lanes.
//!
//! An implementation of [`Simd`] is a token: it can only be made where the processor has the instructions, so its
//! methods are safe to call. Every operation rounds once and is exact otherwise, so that all implementations give the
//! same bits (except for the payload of a NaN).

/// Most lanes of any implementation.
pub const MAX_LANES: usize = 16;

/// Bytes that [`Simd::store_rgb`] may write past the last pixel.
pub const RGB_SLACK: usize = 4;

/// Keeps [`Simd`] to the implementations of this crate: only they are sure to have the instructions that they use.
pub trait Sealed {}

/// f32 vector operations. `min` and `max` return their second operand when either is NaN.
pub trait Simd: Copy + Sealed {
    /// A vector.
    type V: Copy;
    /// True or false for every lane.
    type Mask: Copy;
    /// Values in a vector.
    const LANES: usize;
    /// Vectors that a convolution's tile is wide, so that 6 rows of them fit the registers.
    const TILE: usize;

    /// The same value in every lane.
    fn splat(self, value: f32) -> Self::V;
    /// Reads `LANES` values.
    ///
    /// # Safety
    /// They must be readable at `from`.
    unsafe fn load_from(self, from: *const f32) -> Self::V;
    /// Writes `LANES` values.
    ///
    /// # Safety
    /// They must be writable at `to`.
    unsafe fn store_to(self, value: Self::V, to: *mut f32);
    /// Writes `LANES` values around the caches.
    ///
    /// # Safety
    /// They must be writable at `to`, which must be aligned to the vector.
    unsafe fn stream_to(self, value: Self::V, to: *mut f32);
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a < b ? a : b`.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a > b ? a : b`.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// `|x| <= limit ? a : b`.
    fn select_within(self, x: Self::V, limit: f32, a: Self::V, b: Self::V) -> Self::V;
    /// The square root.
    fn sqrt(self, value: Self::V) -> Self::V;
    /// Where `a >= b`; false where either is NaN.
    fn at_least(self, a: Self::V, b: Self::V) -> Self::Mask;
    /// Where both are true.
    fn both(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// `mask ? a : b`.
    fn select(self, mask: Self::Mask, a: Self::V, b: Self::V) -> Self::V;
    /// A bit for every lane, the first one lowest.
    fn bits(self, mask: Self::Mask) -> u16;
    /// The inverse of [`bits`](Self::bits).
    fn mask(self, bits: u16) -> Self::Mask;
    /// Flips the sign of `value` where the lowest bit of `parity`'s representation is set.
    fn flip_sign(self, value: Self::V, parity: Self::V) -> Self::V;
    /// The f32 whose exponent field is 127 plus the low 8 bits (as a signed number) of `n`'s representation.
    fn exponent(self, n: Self::V) -> Self::V;
    /// `a0 b0 a1 b1 ...`, in two vectors.
    fn interleave(self, a: Self::V, b: Self::V) -> [Self::V; 2];
    /// The inverse of [`interleave`](Self::interleave): of `a` and `b` in a row, the values at even places, then at odd ones.
    fn deinterleave(self, a: Self::V, b: Self::V) -> [Self::V; 2];
    /// The sum of all lanes, in an order of its own at every level.
    fn sum(self, value: Self::V) -> f32;
    /// `from[index[lane]]` in every lane; each index is below `LANES`.
    fn permute(self, from: Self::V, index: &[i32]) -> Self::V;
    /// Rounds half to even and writes `LANES` pixels of three bytes; the values lie in [0, 255]. Up to [`RGB_SLACK`]
    /// more bytes may be overwritten.
    fn store_rgb(self, rgb: [Self::V; 3], to: &mut [u8]);

    /// The first `LANES` values of `from`.
    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::V {
        let from = &from[..Self::LANES];
        // SAFETY: `from` has `LANES` values.
        unsafe { self.load_from(from.as_ptr()) }
    }

    /// Writes the first values of `to`: `LANES`, or all where `to` is shorter.
    #[inline(always)]
    fn store(self, value: Self::V, to: &mut [f32]) {
        if to.len() >= Self::LANES {
            // SAFETY: `to` has at least `LANES` values.
            unsafe { self.store_to(value, to.as_mut_ptr()) };
        } else {
            let mut all = [0f32; MAX_LANES];
            // SAFETY: `LANES` is at most `MAX_LANES`.
            unsafe { self.store_to(value, all.as_mut_ptr()) };
            to.copy_from_slice(&all[..to.len()]);
        }
    }
}
