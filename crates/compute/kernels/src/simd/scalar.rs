//! One lane, on any processor.

use super::vector::{Sealed, Simd};

/// One lane.
#[derive(Clone, Copy)]
pub struct Scalar;

impl Sealed for Scalar {}

impl Simd for Scalar {
    type V = f32;
    type Mask = bool;
    const LANES: usize = 1;
    const TILE: usize = 4;

    #[inline(always)]
    fn splat(self, value: f32) -> f32 {
        value
    }

    #[inline(always)]
    unsafe fn load_from(self, from: *const f32) -> f32 {
        // SAFETY: the caller's promise.
        unsafe { *from }
    }

    #[inline(always)]
    unsafe fn store_to(self, value: f32, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { *to = value }
    }

    #[inline(always)]
    unsafe fn stream_to(self, value: f32, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { *to = value }
    }

    #[inline(always)]
    fn fma(self, a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }

    #[inline(always)]
    fn add(self, a: f32, b: f32) -> f32 {
        a + b
    }

    #[inline(always)]
    fn sub(self, a: f32, b: f32) -> f32 {
        a - b
    }

    #[inline(always)]
    fn mul(self, a: f32, b: f32) -> f32 {
        a * b
    }

    #[inline(always)]
    fn div(self, a: f32, b: f32) -> f32 {
        a / b
    }

    #[inline(always)]
    fn min(self, a: f32, b: f32) -> f32 {
        if a < b { a } else { b }
    }

    #[inline(always)]
    fn max(self, a: f32, b: f32) -> f32 {
        if a > b { a } else { b }
    }

    #[inline(always)]
    fn select_within(self, x: f32, limit: f32, a: f32, b: f32) -> f32 {
        if x.abs() <= limit { a } else { b }
    }

    #[inline(always)]
    fn at_least(self, a: f32, b: f32) -> bool {
        a >= b
    }

    #[inline(always)]
    fn both(self, a: bool, b: bool) -> bool {
        a && b
    }

    #[inline(always)]
    fn select(self, mask: bool, a: f32, b: f32) -> f32 {
        if mask { a } else { b }
    }

    #[inline(always)]
    fn bits(self, mask: bool) -> u16 {
        u16::from(mask)
    }

    #[inline(always)]
    fn mask(self, bits: u16) -> bool {
        bits & 1 == 1
    }

    #[inline(always)]
    fn sqrt(self, value: f32) -> f32 {
        value.sqrt()
    }

    #[inline(always)]
    fn flip_sign(self, value: f32, parity: f32) -> f32 {
        f32::from_bits(value.to_bits() ^ (parity.to_bits() << 31))
    }

    #[inline(always)]
    fn exponent(self, n: f32) -> f32 {
        f32::from_bits(n.to_bits().wrapping_add(127) << 23)
    }

    #[inline(always)]
    fn interleave(self, a: f32, b: f32) -> [f32; 2] {
        [a, b]
    }

    /// With one lane, `a` is at the even place and `b` at the odd one.
    #[inline(always)]
    fn deinterleave(self, a: f32, b: f32) -> [f32; 2] {
        [a, b]
    }

    #[inline(always)]
    fn sum(self, value: f32) -> f32 {
        value
    }

    #[inline(always)]
    fn permute(self, from: f32, _index: &[i32]) -> f32 {
        from
    }

    #[inline(always)]
    fn store_rgb(self, rgb: [f32; 3], to: &mut [u8]) {
        for (byte, value) in to.iter_mut().zip(rgb) {
            *byte = value.round_ties_even() as u8;
        }
    }
}
