//! Planar f32 images.

use crate::error::{FrameError, check_len};

/// f32 planes, `[channels, height, width]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Planes {
    channels: usize,
    height: usize,
    width: usize,
    data: Vec<f32>,
}

impl Planes {
    /// Planes of `channels * height * width` values; an error for any other length or where one of the three is 0.
    pub fn new(channels: usize, height: usize, width: usize, data: Vec<f32>) -> Result<Self, FrameError> {
        check_len(channels, width, height, data.len())?;
        Ok(Self::from_parts(channels, height, width, data))
    }

    pub(crate) fn from_parts(channels: usize, height: usize, width: usize, data: Vec<f32>) -> Self {
        debug_assert_eq!(data.len(), channels * height * width);
        Self { channels, height, width, data }
    }

    /// Number of planes.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The values, `[channels, height, width]`.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The values, `[channels, height, width]`, without a copy.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }

    /// One plane, `[height, width]`.
    ///
    /// # Panics
    /// If there is no plane `c`.
    pub fn plane(&self, c: usize) -> &[f32] {
        let len = self.height * self.width;
        &self.data[c * len..][..len]
    }
}

/// NaN to 0, clamp to [0, 255], round half to even.
#[inline]
pub(crate) fn round_u8(value: f32) -> u8 {
    // A comparison with NaN is false. Adding 2^23 leaves no bits below the integer, so the addition itself rounds, half
    // to even; the integer is then the low byte of the sum. Unlike a call of `round_ties_even`, this vectorizes on any
    // x86-64.
    let low = if value > 0.0 { value } else { 0.0 };
    let clamped = if low < 255.0 { low } else { 255.0 };
    (clamped + 8_388_608.0).to_bits() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_follows_its_definition() {
        let plain = |v: f32| if v.is_nan() { 0 } else { v.clamp(0.0, 255.0).round_ties_even() as u8 };
        let special = [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::MIN_POSITIVE, f32::MAX];
        let ties = (-2..=520).map(|i| i as f32 * 0.5);
        for value in ties.flat_map(|v| [v.next_down(), v, v.next_up()]).chain(special) {
            assert_eq!(round_u8(value), plain(value), "{value}");
        }
        assert_eq!([round_u8(0.5), round_u8(1.5), round_u8(254.5), round_u8(f32::NAN)], [0, 2, 254, 0]);
    }

    #[test]
    fn every_f32_pattern_of_a_coarse_grid_rounds_by_definition() {
        for bits in (0..=u32::MAX).step_by(40_009) {
            let value = f32::from_bits(bits);
            let plain = if value.is_nan() { 0 } else { value.clamp(0.0, 255.0).round_ties_even() as u8 };
            assert_eq!(round_u8(value), plain, "{value}");
        }
    }
}
