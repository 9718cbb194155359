//! The figures of one epoch.

use metric::Score;
use serde::{Deserialize, Serialize};

/// One epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochLine {
    /// Number of the epoch over all stages, from 1.
    pub epoch: usize,
    /// Name of the stage.
    pub stage: String,
    /// Mean loss.
    pub loss: f64,
    /// PSNR of the training forward pass at the decoder's resolution, in dB; absent without pixel terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub psnr: Option<f64>,
    /// SegNet's distortion of the training forward pass, where evaluators were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segnet: Option<f64>,
    /// PoseNet's distortion likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posenet: Option<f64>,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// PSNR of the quantized moving average, where it was evaluated, in dB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantized_psnr: Option<f64>,
    /// The metric on the quantized moving average, where it was evaluated and there are evaluators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
    /// Seconds of training up to here.
    pub seconds: f64,
}
