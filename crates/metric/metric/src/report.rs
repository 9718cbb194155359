//! What the metric says: the score of one archive, the official report.

use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use crate::distortions::Distortions;
use crate::score::score;

/// What the metric says of one clip's archive.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Mean share of pixels whose class differs, 0 to 1.
    pub segnet: f64,
    /// Mean squared error of the pose.
    pub posenet: f64,
    /// Bytes of the archive.
    pub archive_bytes: usize,
    /// [`score()`] of the above.
    pub score: f64,
}

impl Score {
    /// The score of an archive of `archive_bytes` for a clip of `clip_bytes`.
    pub fn new(distortions: &Distortions, archive_bytes: usize, clip_bytes: NonZeroU64) -> Self {
        let (segnet, posenet) = (distortions.segnet(), distortions.posenet());
        let rate = archive_bytes as f64 / clip_bytes.get() as f64;
        Self { segnet, posenet, archive_bytes, score: score(segnet, posenet, rate) }
    }
}

/// What `score` reports. [`Display`](fmt::Display) lays it out like the official evaluation; serialized, it has one key a
/// field, unrounded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Mean share of pixels whose class differs, 0 to 1.
    pub segnet_distortion: f64,
    /// Mean squared error of the pose.
    pub posenet_distortion: f64,
    /// `archive_bytes / original_bytes`.
    pub rate: f64,
    /// Size of the archive file.
    pub archive_bytes: u64,
    /// Size of the original clips' files.
    pub original_bytes: u64,
    /// Number of samples (frame pairs).
    pub samples: usize,
    /// [`score()`] of the above.
    pub score: f64,
    /// Peak signal-to-noise ratio in dB over all 8-bit RGB values of the scored frames at the clip's size; none where they
    /// are all the same.
    pub psnr: Option<f64>,
}

impl Report {
    /// The report over `distortions`; `mse` is the mean squared error of the frames' 8-bit values.
    pub fn new(distortions: &Distortions, mse: f64, archive_bytes: u64, original_bytes: u64) -> Self {
        let (segnet_distortion, posenet_distortion) = (distortions.segnet(), distortions.posenet());
        let rate = archive_bytes as f64 / original_bytes as f64;
        Self {
            segnet_distortion,
            posenet_distortion,
            rate,
            archive_bytes,
            original_bytes,
            samples: distortions.samples(),
            score: score(segnet_distortion, posenet_distortion, rate),
            psnr: Some(frames::psnr(mse)).filter(|psnr| psnr.is_finite()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "=== Evaluation results over {} samples ===", self.samples)?;
        writeln!(f, "  Average PoseNet Distortion: {:.8}", self.posenet_distortion)?;
        writeln!(f, "  Average SegNet Distortion: {:.8}", self.segnet_distortion)?;
        writeln!(f, "  Submission file size: {} bytes", thousands(self.archive_bytes))?;
        writeln!(f, "  Original uncompressed size: {} bytes", thousands(self.original_bytes))?;
        writeln!(f, "  Compression Rate: {:.8}", self.rate)?;
        writeln!(f, "  Final score: 100*segnet_dist + sqrt(10*posenet_dist) + 25*rate = {:.2}", self.score)?;
        match self.psnr {
            Some(psnr) => write!(f, "  Unrounded score: {:.8}, PSNR: {psnr:.2} dB", self.score),
            None => write!(f, "  Unrounded score: {:.8}, PSNR: infinite", self.score),
        }
    }
}

/// `1234567` as `1,234,567`.
fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_has_the_official_layout_and_the_contracted_keys() {
        let distortions = Distortions { segnet: 0.019, posenet: 0.042, samples: 2 };
        let report = Report::new(&distortions, 65.025, 245_846, 6_983_010);
        let expected = "=== Evaluation results over 2 samples ===\n  Average PoseNet Distortion: 0.02100000\n  \
            Average SegNet Distortion: 0.00950000\n  Submission file size: 245,846 bytes\n  \
            Original uncompressed size: 6,983,010 bytes\n  Compression Rate: 0.03520631\n  \
            Final score: 100*segnet_dist + sqrt(10*posenet_dist) + 25*rate = 2.29\n  \
            Unrounded score: 2.28841527, PSNR: 30.00 dB";
        assert_eq!(report.to_string(), expected);
        let json = serde_json::to_value(&report).unwrap();
        for key in
            ["segnet_distortion", "posenet_distortion", "rate", "archive_bytes", "original_bytes", "samples", "score"]
        {
            assert!(json.get(key).is_some_and(serde_json::Value::is_number), "{key}");
        }
        let identical = Report::new(&distortions, 0.0, 1, 2);
        assert!(serde_json::to_value(&identical).unwrap()["psnr"].is_null());
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
