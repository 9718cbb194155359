//! Pixel distortion.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

use crate::planes::Planes;
use crate::rgb::RgbFrame;

/// Squared error of 8-bit values, and over how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SquaredError {
    /// Sum of the squares.
    pub sum: u64,
    /// Number of values.
    pub values: usize,
}

impl SquaredError {
    /// Of two frames of the same size.
    pub fn of_frames(a: &RgbFrame, b: &RgbFrame) -> Self {
        debug_assert_eq!((a.width(), a.height()), (b.width(), b.height()));
        // A row's sum fits u32 by far; whole rows keep the inner loop in 32-bit lanes.
        let rows = a.data().chunks(3 * a.width()).zip(b.data().chunks(3 * b.width()));
        let row = |(a, b): (&[u8], &[u8])| a.iter().zip(b).map(|(&a, &b)| u32::from(a.abs_diff(b)).pow(2)).sum::<u32>();
        Self { sum: rows.map(|pair| u64::from(row(pair))).sum(), values: b.data().len() }
    }

    /// Of planes, 0 to 255, rounded half to even, against as many values in the same order.
    pub fn of_planes(planes: &Planes, original: &[u8]) -> Self {
        // A cast saturates, and maps NaN to 0, as the last step of inflate does.
        let square =
            |(value, original): (&f32, &u8)| u32::from((value.round_ties_even() as u8).abs_diff(*original)).pow(2);
        let rows = planes.data().chunks(planes.width()).zip(original.chunks(planes.width()));
        let row = |(a, b): (&[f32], &[u8])| a.iter().zip(b).map(square).sum::<u32>();
        Self { sum: rows.map(|pair| u64::from(row(pair))).sum(), values: original.len() }
    }

    /// The mean, 0 where there are no values.
    pub fn mean(self) -> f64 {
        self.sum as f64 / self.values.max(1) as f64
    }
}

impl Add for SquaredError {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { sum: self.sum + other.sum, values: self.values + other.values }
    }
}

impl AddAssign for SquaredError {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for SquaredError {
    fn sum<I: Iterator<Item = Self>>(errors: I) -> Self {
        errors.fold(Self::default(), Self::add)
    }
}

/// Peak signal-to-noise ratio in dB of 8-bit values with mean squared error `mse`; infinite for 0.
pub fn psnr(mse: f64) -> f64 {
    10.0 * (255.0 * 255.0 / mse).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_errors_give_known_figures() {
        let a = RgbFrame::new(2, 1, vec![0, 0, 0, 255, 10, 10]).unwrap();
        let b = RgbFrame::new(2, 1, vec![0, 3, 0, 0, 10, 14]).unwrap();
        let error = SquaredError::of_frames(&a, &b);
        assert_eq!(error, SquaredError { sum: 9 + 255 * 255 + 16, values: 6 });
        assert_eq!(SquaredError::of_frames(&a, &a).sum, 0);
        assert_eq!([error, error].into_iter().sum::<SquaredError>().mean(), error.mean());
        assert_eq!(psnr(255.0 * 255.0), 0.0);
        assert!((psnr(1.0) - 48.130_803_608_679_1).abs() < 1e-9);
        assert_eq!(psnr(0.0), f64::INFINITY);
    }

    #[test]
    fn values_are_rounded_half_to_even_and_clamped_first() {
        let frame = Planes::new(1, 1, 5, vec![0.5, 1.5, -3.0, 300.0, f32::NAN]).unwrap();
        let error = SquaredError::of_planes(&frame, &[0, 0, 2, 254, 3]);
        assert_eq!(error, SquaredError { sum: 4 + 4 + 1 + 9, values: 5 });
        assert_eq!((error.mean(), SquaredError::default().mean()), (18.0 / 5.0, 0.0));
    }
}
