//! Where contexts find what they have seen, and what it says.

use mixing::{Estimate, stretch_wide};

/// Bits of a context's table, at most `most`, for so many pixels in all.
pub(crate) fn table_bits(pixels: usize, most: u32) -> u32 {
    const LEAST: u32 = 8;
    pixels.max(1).ilog2().saturating_sub(4).clamp(LEAST, most)
}

/// Multiplicative hashing: the upper bits of the product.
#[inline(always)]
pub(crate) fn hash(key: u64, bits: u32) -> usize {
    let product = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((product ^ product >> 29) >> (64 - bits)) as usize
}

/// An estimate's log-odds, 0 where it has seen nothing, and the same as far as it is trusted: the more it has seen, the more.
#[inline(always)]
pub(crate) fn opinion(estimate: Estimate) -> (i16, i16) {
    /// What has seen so much is trusted wholly.
    const ENOUGH: u32 = 32;
    let seen = estimate.seen();
    if seen == 0 {
        return (0, 0);
    }
    let odds = stretch_wide(estimate.get());
    let trust = seen.min(ENOUGH - 1) as i32;
    (odds, (i32::from(odds) * trust / ENOUGH as i32) as i16)
}
