//! 8 lanes.

use std::arch::x86_64::*;

use super::vector::{RGB_SLACK, Sealed, Simd};
use super::x86::{DROP_FOURTH, instructions};

/// 8 lanes: AVX2 and FMA.
#[derive(Clone, Copy)]
pub struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The processor must have AVX2 and FMA.
    #[inline(always)]
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

impl Sealed for Avx2 {}

impl Simd for Avx2 {
    type V = __m256;
    type Mask = __m256;
    const LANES: usize = 8;
    const TILE: usize = 2;

    instructions! {
        fma(a, b, c) = _mm256_fmadd_ps;
        add(a, b) = _mm256_add_ps;
        sub(a, b) = _mm256_sub_ps;
        mul(a, b) = _mm256_mul_ps;
        div(a, b) = _mm256_div_ps;
        min(a, b) = _mm256_min_ps;
        max(a, b) = _mm256_max_ps;
        sqrt(value) = _mm256_sqrt_ps;
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load_from(self, from: *const f32) -> __m256 {
        // SAFETY: the token proves AVX2, the caller that 8 values are readable.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store_to(self, value: __m256, to: *mut f32) {
        // SAFETY: the token proves AVX2, the caller that 8 values are writable.
        unsafe { _mm256_storeu_ps(to, value) }
    }

    #[inline(always)]
    unsafe fn stream_to(self, value: __m256, to: *mut f32) {
        // SAFETY: the token proves AVX2, the caller that 8 values are writable and the place is aligned.
        unsafe { _mm256_stream_ps(to, value) }
    }

    #[inline(always)]
    fn select_within(self, x: __m256, limit: f32, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves AVX2.
        unsafe {
            let magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0), x);
            let within = _mm256_cmp_ps::<_CMP_LE_OQ>(magnitude, _mm256_set1_ps(limit));
            _mm256_blendv_ps(b, a, within)
        }
    }

    #[inline(always)]
    fn at_least(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_cmp_ps::<_CMP_GE_OQ>(a, b) }
    }

    #[inline(always)]
    fn both(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_and_ps(a, b) }
    }

    #[inline(always)]
    fn select(self, mask: __m256, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_blendv_ps(b, a, mask) }
    }

    #[inline(always)]
    fn bits(self, mask: __m256) -> u16 {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_movemask_ps(mask) as u16 }
    }

    #[inline(always)]
    fn mask(self, bits: u16) -> __m256 {
        // SAFETY: the token proves AVX2.
        unsafe {
            let lanes = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            let set = _mm256_and_si256(_mm256_set1_epi32(i32::from(bits)), lanes);
            _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, lanes))
        }
    }

    #[inline(always)]
    fn flip_sign(self, value: __m256, parity: __m256) -> __m256 {
        // SAFETY: the token proves AVX2.
        unsafe {
            let sign = _mm256_slli_epi32::<31>(_mm256_castps_si256(parity));
            _mm256_xor_ps(value, _mm256_castsi256_ps(sign))
        }
    }

    #[inline(always)]
    fn exponent(self, n: __m256) -> __m256 {
        // SAFETY: the token proves AVX2.
        unsafe {
            let biased = _mm256_add_epi32(_mm256_castps_si256(n), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
        }
    }

    #[inline(always)]
    fn interleave(self, a: __m256, b: __m256) -> [__m256; 2] {
        // SAFETY: the token proves AVX2.
        unsafe {
            let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            [_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high)]
        }
    }

    #[inline(always)]
    fn deinterleave(self, a: __m256, b: __m256) -> [__m256; 2] {
        // SAFETY: the token proves AVX2.
        unsafe {
            let (low, high) = (_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b));
            [_mm256_shuffle_ps::<0b10_00_10_00>(low, high), _mm256_shuffle_ps::<0b11_01_11_01>(low, high)]
        }
    }

    #[inline(always)]
    fn sum(self, value: __m256) -> f32 {
        // SAFETY: the token proves AVX2.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(value), _mm256_extractf128_ps::<1>(value));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn permute(self, from: __m256, index: &[i32]) -> __m256 {
        let index = &index[..Self::LANES];
        // SAFETY: the token proves AVX2; `index` has 8 values.
        unsafe { _mm256_permutevar8x32_ps(from, _mm256_loadu_si256(index.as_ptr().cast())) }
    }

    #[inline(always)]
    fn store_rgb(self, rgb: [__m256; 3], to: &mut [u8]) {
        let to = &mut to[..3 * Self::LANES + RGB_SLACK];
        // SAFETY: the token proves AVX2; the second of the two 16-byte stores ends at byte 12 + 16 = 24 + RGB_SLACK.
        unsafe {
            let r = _mm256_cvtps_epi32(rgb[0]);
            let g = _mm256_cvtps_epi32(rgb[1]);
            let b = _mm256_cvtps_epi32(rgb[2]);
            let gb = _mm256_or_si256(_mm256_slli_epi32::<8>(g), _mm256_slli_epi32::<16>(b));
            let order = _mm256_broadcastsi128_si256(_mm_loadu_si128(DROP_FOURTH.as_ptr().cast()));
            let packed = _mm256_shuffle_epi8(_mm256_or_si256(r, gb), order);
            _mm_storeu_si128(to.as_mut_ptr().cast(), _mm256_castsi256_si128(packed));
            _mm_storeu_si128(to.as_mut_ptr().add(12).cast(), _mm256_extracti128_si256::<1>(packed));
        }
    }
}
