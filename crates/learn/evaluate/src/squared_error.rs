//! The squared error of decoded frames.

use frames::Planes;

/// Squared error of frames as 8-bit values, and over how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SquaredError {
    /// Sum of the squares.
    pub sum: u64,
    /// Number of values.
    pub values: usize,
}

impl SquaredError {
    /// Of decoded frames, 0 to 255, against originals `[channels, height, width]`, at the decoder's resolution.
    pub fn of(decoded: &[Planes], originals: &[&[u8]]) -> Self {
        let mut error = Self::default();
        for (frame, original) in decoded.iter().zip(originals) {
            let square = |(&value, &original): (&f32, &u8)| {
                // A cast saturates, and maps NaN to 0, as the last step of inflate does.
                u64::from((value.round_ties_even() as u8).abs_diff(original)).pow(2)
            };
            error.sum += frame.data().iter().zip(*original).map(square).sum::<u64>();
            error.values += original.len();
        }
        error
    }

    /// The mean, 0 where there are no values.
    pub fn mean(self) -> f64 {
        self.sum as f64 / self.values.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_half_to_even_and_clamped_first() {
        let frame = Planes::new(1, 1, 5, vec![0.5, 1.5, -3.0, 300.0, f32::NAN]).unwrap();
        let error = SquaredError::of(&[frame], &[&[0, 0, 2, 254, 3]]);
        assert_eq!(error, SquaredError { sum: 4 + 4 + 1 + 9, values: 5 });
        assert_eq!((error.mean(), SquaredError::default().mean()), (18.0 / 5.0, 0.0));
    }
}
