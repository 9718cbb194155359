//! The challenge's score, its three terms, and what a little more of each adds.

use std::num::NonZeroU64;

/// Points of the score for a share of differing pixels of 1.
pub const SEGNET_FACTOR: f64 = 100.0;
/// Factor on the mean squared error of the pose, under the root.
pub const POSENET_FACTOR: f64 = 10.0;
/// Points of the score for an archive as large as its clip.
pub const RATE_FACTOR: f64 = 25.0;
/// Added under the root wherever its slope is taken, which it keeps finite where a pose is hit exactly. The score itself has
/// none.
pub const ROOT_FLOOR: f64 = 1e-9;

/// The challenge's score, lower is better: `100 * segnet + sqrt(10 * posenet) + 25 * rate`, of the mean share of pixels
/// whose class differs, the mean squared error of the pose and the archive's size over the clip's.
pub fn score(segnet_distortion: f64, posenet_distortion: f64, rate: f64) -> f64 {
    segnet_term(segnet_distortion) + posenet_term(posenet_distortion) + rate_term(rate)
}

/// The score's first term.
pub fn segnet_term(segnet_distortion: f64) -> f64 {
    SEGNET_FACTOR * segnet_distortion
}

/// The score's second term.
pub fn posenet_term(posenet_distortion: f64) -> f64 {
    (POSENET_FACTOR * posenet_distortion).sqrt()
}

/// The score's third term.
pub fn rate_term(rate: f64) -> f64 {
    RATE_FACTOR * rate
}

/// A sample's part of the second term where its error is `posenet_distortion` and the mean over all samples `mean`: the mean
/// over the parts is the term. The root is of the mean, so samples share it by their squared errors.
pub fn posenet_part(posenet_distortion: f64, mean: f64) -> f64 {
    // sqrt(10 * mean) * error / mean, defined for a mean of zero too.
    let factor = if mean > 0.0 { (POSENET_FACTOR / mean).sqrt() } else { 0.0 };
    factor * posenet_distortion
}

/// The second term with the floor under its root, as slopes see it.
pub fn posenet_root(mean: f64) -> f64 {
    (POSENET_FACTOR * mean + ROOT_FLOOR).sqrt()
}

/// What the second term grows by per unit of the mean squared error, where that is `mean`.
pub fn posenet_slope(mean: f64) -> f64 {
    POSENET_FACTOR / 2.0 / posenet_root(mean)
}

/// What the third term grows by per byte of the archive of a clip of `clip_bytes`.
pub fn byte_slope(clip_bytes: NonZeroU64) -> f64 {
    RATE_FACTOR / clip_bytes.get() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_is_the_challenges() {
        assert_eq!(score(0.01, 0.4, 0.02), 1.0 + 2.0 + 0.5);
        assert_eq!(score(0.0, 0.0, 0.0), 0.0);
    }

    #[test]
    fn slopes_are_those_of_the_terms() {
        for mean in [1e-6, 0.01, 2.0] {
            let step = mean * 1e-5;
            let numeric = (posenet_term(mean + step) - posenet_term(mean - step)) / (2.0 * step);
            assert!((posenet_slope(mean) / numeric - 1.0).abs() < 1e-4, "{mean}");
        }
        assert!(posenet_slope(0.0).is_finite());
        let clip_bytes = NonZeroU64::new(1000).unwrap();
        assert_eq!(byte_slope(clip_bytes), rate_term(1.0 / 1000.0));
    }

    #[test]
    fn parts_average_to_the_term() {
        let errors = [0.3, 0.1, 0.0];
        let mean = errors.iter().sum::<f64>() / 3.0;
        let parts = errors.map(|error| posenet_part(error, mean));
        assert!((parts.iter().sum::<f64>() / 3.0 - posenet_term(mean)).abs() < 1e-12);
        assert_eq!(posenet_part(0.0, 0.0), 0.0);
    }
}
