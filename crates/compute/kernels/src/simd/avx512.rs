//! 16 lanes.

use std::arch::x86_64::*;

use super::vector::{RGB_SLACK, Sealed, Simd};
use super::x86::{DROP_FOURTH, instructions};

/// 16 lanes: AVX-512 F and BW.
#[derive(Clone, Copy)]
pub struct Avx512(());

impl Avx512 {
    /// # Safety
    /// The processor must have AVX-512 F and BW.
    #[inline(always)]
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

impl Sealed for Avx512 {}

impl Simd for Avx512 {
    type V = __m512;
    type Mask = __mmask16;
    const LANES: usize = 16;
    const TILE: usize = 4;

    instructions! {
        fma(a, b, c) = _mm512_fmadd_ps;
        add(a, b) = _mm512_add_ps;
        sub(a, b) = _mm512_sub_ps;
        mul(a, b) = _mm512_mul_ps;
        div(a, b) = _mm512_div_ps;
        min(a, b) = _mm512_min_ps;
        max(a, b) = _mm512_max_ps;
        sqrt(value) = _mm512_sqrt_ps;
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load_from(self, from: *const f32) -> __m512 {
        // SAFETY: the token proves AVX-512, the caller that 16 values are readable.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store_to(self, value: __m512, to: *mut f32) {
        // SAFETY: the token proves AVX-512, the caller that 16 values are writable.
        unsafe { _mm512_storeu_ps(to, value) }
    }

    #[inline(always)]
    unsafe fn stream_to(self, value: __m512, to: *mut f32) {
        // SAFETY: the token proves AVX-512, the caller that 16 values are writable and the place is aligned.
        unsafe { _mm512_stream_ps(to, value) }
    }

    #[inline(always)]
    fn select_within(self, x: __m512, limit: f32, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512.
        unsafe {
            let within = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(_mm512_abs_ps(x), _mm512_set1_ps(limit));
            _mm512_mask_blend_ps(within, b, a)
        }
    }

    #[inline(always)]
    fn at_least(self, a: __m512, b: __m512) -> __mmask16 {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_cmp_ps_mask::<_CMP_GE_OQ>(a, b) }
    }

    #[inline(always)]
    fn both(self, a: __mmask16, b: __mmask16) -> __mmask16 {
        a & b
    }

    #[inline(always)]
    fn select(self, mask: __mmask16, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_mask_blend_ps(mask, b, a) }
    }

    #[inline(always)]
    fn bits(self, mask: __mmask16) -> u16 {
        mask
    }

    #[inline(always)]
    fn mask(self, bits: u16) -> __mmask16 {
        bits
    }

    #[inline(always)]
    fn flip_sign(self, value: __m512, parity: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512.
        unsafe {
            let sign = _mm512_slli_epi32::<31>(_mm512_castps_si512(parity));
            _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(value), sign))
        }
    }

    #[inline(always)]
    fn exponent(self, n: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512.
        unsafe {
            let biased = _mm512_add_epi32(_mm512_castps_si512(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
        }
    }

    #[inline(always)]
    fn interleave(self, a: __m512, b: __m512) -> [__m512; 2] {
        // SAFETY: the token proves AVX-512.
        unsafe {
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
            [_mm512_permutex2var_ps(a, low, b), _mm512_permutex2var_ps(a, high, b)]
        }
    }

    #[inline(always)]
    fn deinterleave(self, a: __m512, b: __m512) -> [__m512; 2] {
        // SAFETY: the token proves AVX-512.
        unsafe {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            [_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b)]
        }
    }

    #[inline(always)]
    fn sum(self, value: __m512) -> f32 {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_reduce_add_ps(value) }
    }

    #[inline(always)]
    fn permute(self, from: __m512, index: &[i32]) -> __m512 {
        let index = &index[..Self::LANES];
        // SAFETY: the token proves AVX-512; `index` has 16 values.
        unsafe { _mm512_permutexvar_ps(_mm512_loadu_si512(index.as_ptr().cast()), from) }
    }

    #[inline(always)]
    fn store_rgb(self, rgb: [__m512; 3], to: &mut [u8]) {
        let to = &mut to[..3 * Self::LANES + RGB_SLACK];
        // SAFETY: the token proves AVX-512; the last of the four 16-byte stores ends at byte 36 + 16 = 48 + RGB_SLACK.
        unsafe {
            let r = _mm512_cvtps_epi32(rgb[0]);
            let g = _mm512_cvtps_epi32(rgb[1]);
            let b = _mm512_cvtps_epi32(rgb[2]);
            let gb = _mm512_or_si512(_mm512_slli_epi32::<8>(g), _mm512_slli_epi32::<16>(b));
            let order = _mm512_broadcast_i32x4(_mm_loadu_si128(DROP_FOURTH.as_ptr().cast()));
            let packed = _mm512_shuffle_epi8(_mm512_or_si512(r, gb), order);
            let to = to.as_mut_ptr();
            _mm_storeu_si128(to.cast(), _mm512_extracti32x4_epi32::<0>(packed));
            _mm_storeu_si128(to.add(12).cast(), _mm512_extracti32x4_epi32::<1>(packed));
            _mm_storeu_si128(to.add(24).cast(), _mm512_extracti32x4_epi32::<2>(packed));
            _mm_storeu_si128(to.add(36).cast(), _mm512_extracti32x4_epi32::<3>(packed));
        }
    }
}
