//! One interface over f32 vectors of 1, 8 and 16 lanes.
//!
//! An implementation of [`Simd`] is a token: it can only be made where the processor has the instructions, so its
//! methods are safe to call. Every operation rounds once and is exact otherwise, so that all implementations give the
//! same bits (except for the payload of a NaN).

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Most lanes of any implementation.
pub(crate) const MAX_LANES: usize = 16;

/// Bytes that [`Simd::store_rgb`] may write past the last pixel.
pub(crate) const RGB_SLACK: usize = 4;

/// f32 vector operations. `min` and `max` return their second operand when either is NaN.
pub(crate) trait Simd: Copy {
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

/// One lane.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

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

/// Methods that are one instruction.
#[cfg(target_arch = "x86_64")]
macro_rules! instructions {
    ($($name:ident($($operand:ident),*) = $intrinsic:ident;)*) => {$(
        #[inline(always)]
        fn $name(self, $($operand: Self::V),*) -> Self::V {
            // SAFETY: the token exists because the processor has the instructions.
            unsafe { $intrinsic($($operand),*) }
        }
    )*};
}

/// 8 lanes: AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    /// # Safety
    /// The processor must have AVX2 and FMA.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Self {
        Self(())
    }
}

#[cfg(target_arch = "x86_64")]
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

/// Byte order that drops every fourth byte of 16.
#[cfg(target_arch = "x86_64")]
static DROP_FOURTH: [i8; 16] = [0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1];

/// 16 lanes: AVX-512 F and BW.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

#[cfg(target_arch = "x86_64")]
impl Avx512 {
    /// # Safety
    /// The processor must have AVX-512 F and BW.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Self {
        Self(())
    }
}

#[cfg(target_arch = "x86_64")]
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
