//! What a stage minimizes.

use serde::{Deserialize, Serialize};

/// Weights of the terms of the loss, which are added. Pixel terms are on RGB scaled to 0..1, at the decoder's resolution;
/// the others are in units of the score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossTable {
    /// Mean absolute error.
    pub l1: f64,
    /// Mean squared error.
    pub mse: f64,
    /// One minus the structural similarity (Wang et al. 2004: Gaussian window of 11, sigma 1.5); for frames that hold a window.
    pub ssim: f64,
    /// `sqrt(10 * mean squared error of the pose)`.
    pub pose: f64,
    /// What that mean is over.
    pub pose_over: PoseOver,
    /// What stands in for the share of differing pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segmentation: Option<SegmentationTable>,
    /// What stands in for the archive's size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateTable>,
}

/// A differentiable stand-in for the share of pixels whose class differs, averaged over pixels. The margin of a pixel is the
/// logit of its class in the original minus the largest other one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentationTable {
    /// Which function of the logits.
    pub kind: SegmentationKind,
    /// Factor on it; the score's is 100.
    #[serde(default = "hundred")]
    pub weight: f64,
    /// Width of the transition, in logits; cross-entropy has none.
    #[serde(default = "tau")]
    pub tau: f64,
    /// Pixels with a margin below `hard_margin` count this much more: their weight is `1 + hard`.
    #[serde(default)]
    pub hard: f64,
    /// See `hard`.
    #[serde(default = "one")]
    pub hard_margin: f64,
}

/// A function of a pixel's logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentationKind {
    /// Minus the log-softmax of the original's class.
    CrossEntropy,
    /// `tau * softplus(-margin / tau)`: about what the margin lacks.
    Softplus,
    /// `sigmoid(-margin / tau)`: a smooth count of differing pixels.
    Sigmoid,
}

/// The archive's size, estimated: a Gaussian of width `sigma` around every value makes what the levels of its grid cost smooth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateTable {
    /// Factor on `25 * bytes / clip bytes`; 1 is what the score charges.
    pub weight: f64,
    /// In steps of the grid.
    #[serde(default = "rate_sigma")]
    pub sigma: f64,
    /// What a level costs.
    #[serde(default)]
    pub model: RateModel,
    /// Epochs after which the coder is asked again.
    #[serde(default = "rate_refresh")]
    pub refresh: usize,
}

/// Whose word on the cost of a level counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateModel {
    /// The histogram of the tensor's values; latents do not count.
    #[default]
    Histogram,
    /// The archive's coder, at each place.
    Coder,
}

/// Which pairs share the square root of the pose term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoseOver {
    /// Those of the step.
    #[default]
    Step,
    /// All, as in the score: with the last epoch's mean `m` over the clip, the tangent of the square root at `m`, which is
    /// never below it. In an epoch after one that did not ask PoseNet, where `m` is not known, those of the step.
    Clip,
}

fn hundred() -> f64 {
    metric::SEGNET_FACTOR
}

fn tau() -> f64 {
    0.3
}

fn one() -> f64 {
    1.0
}

fn rate_sigma() -> f64 {
    0.2
}

fn rate_refresh() -> usize {
    1
}
impl LossTable {
    /// Whether a pixel term counts.
    pub(crate) fn has_pixels(&self) -> bool {
        self.l1 + self.mse + self.ssim > 0.0
    }

    /// Whether a term asks the evaluators.
    pub(crate) fn asks_evaluators(&self) -> bool {
        self.pose > 0.0 || self.segmentation.is_some_and(|segmentation| segmentation.weight > 0.0)
    }

    /// Factors with their keys; none is negative.
    pub(crate) fn factors(&self) -> Vec<(&'static str, f64)> {
        let mut factors =
            vec![("loss.l1", self.l1), ("loss.mse", self.mse), ("loss.ssim", self.ssim), ("loss.pose", self.pose)];
        if let Some(segmentation) = &self.segmentation {
            factors.push(("loss.segmentation.weight", segmentation.weight));
            factors.push(("loss.segmentation.hard", segmentation.hard));
            factors.push(("loss.segmentation.hard_margin", segmentation.hard_margin));
        }
        factors.extend(self.rate.map(|rate| ("loss.rate.weight", rate.weight)));
        factors
    }

    /// Widths with their keys; all are positive.
    pub(crate) fn widths(&self) -> Vec<(&'static str, f64)> {
        let tau = self.segmentation.map(|segmentation| ("loss.segmentation.tau", segmentation.tau));
        tau.into_iter().chain(self.rate.map(|rate| ("loss.rate.sigma", rate.sigma))).collect()
    }
}
