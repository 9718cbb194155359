//! Pixel distortion.

use crate::rgb::RgbFrame;

/// Sum of squared differences over all values of two frames of the same size.
pub fn squared_error(a: &RgbFrame, b: &RgbFrame) -> u64 {
    debug_assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    // A row's sum fits u32 by far; whole rows keep the inner loop in 32-bit lanes.
    let rows = a.data().chunks(3 * a.width()).zip(b.data().chunks(3 * b.width()));
    rows.map(|(a, b)| u64::from(a.iter().zip(b).map(|(&a, &b)| u32::from(a.abs_diff(b)).pow(2)).sum::<u32>())).sum()
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
        assert_eq!(squared_error(&a, &b), 9 + 255 * 255 + 16);
        assert_eq!(squared_error(&a, &a), 0);
        assert_eq!(psnr(255.0 * 255.0), 0.0);
        assert!((psnr(1.0) - 48.130_803_608_679_1).abs() < 1e-9);
        assert_eq!(psnr(0.0), f64::INFINITY);
    }
}
