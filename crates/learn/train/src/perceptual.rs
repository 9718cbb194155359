//! The metric as a term of the loss: the decoder's frames through the metric's chain and the evaluators, differentiable.

use burn_core::tensor::backend::AutodiffBackend;
use burn_core::tensor::{Tensor, TensorData};
use onnx_burn::{Network, OnnxError};
use perception::targets::TargetOutputs;
use perception::{INPUT_HEIGHT, INPUT_WIDTH, POSE_LEN};

use crate::config::{EvaluatorsConfig, LossConfig, PoseOver};
use crate::layers::{CameraChain, Layers};

/// Keeps the slope of the square root finite where a pose is hit exactly.
const POSE_FLOOR: f64 = 1e-9;

/// Both evaluators on the training device, weights frozen.
pub struct Evaluators<B: Layers> {
    segnet: Network<B>,
    posenet: Network<B>,
    /// Rows and columns of the clip's frames.
    camera: (usize, usize),
}

/// The metric's terms for a step's samples.
pub struct Terms<B: AutodiffBackend> {
    /// What is minimized, `[1]`.
    pub loss: Tensor<B, 1>,
    /// For each sample the share of pixels whose class differs and the mean squared error of the pose; 0 if the network
    /// was not asked.
    pub distortions: Vec<[f64; 2]>,
}

impl<B: AutodiffBackend + Layers> Evaluators<B> {
    /// Reads both networks, for steps of `batch` pairs of a clip with frames of `camera` (rows, columns).
    pub fn read(
        config: &EvaluatorsConfig,
        batch: usize,
        camera: (usize, usize),
        device: &B::Device,
    ) -> Result<Self, OnnxError> {
        let segnet = Network::read(&config.segnet, [batch, 3, INPUT_HEIGHT, INPUT_WIDTH], device)?;
        let posenet = Network::read(&config.posenet, [batch, 12, INPUT_HEIGHT / 2, INPUT_WIDTH / 2], device)?;
        Ok(Self { segnet, posenet, camera })
    }

    /// The terms of `config` that ask evaluators, for `decoded` `[n, 6, height, width]` in 0..1, the decoder's frames of
    /// `samples`; `originals` is what the evaluators say of the originals, `mean_pose` PoseNet's distortion over the clip.
    #[allow(clippy::too_many_arguments, reason = "one caller")]
    pub fn terms(
        &self,
        config: &LossConfig,
        round_trip: bool,
        decoded: Tensor<B, 4>,
        originals: &TargetOutputs,
        samples: &[usize],
        mean_pose: Option<f64>,
    ) -> Result<Terms<B>, OnnxError> {
        let device = decoded.device();
        let frames = if round_trip {
            B::round_trip(decoded, CameraChain { camera: self.camera, input: (INPUT_HEIGHT, INPUT_WIDTH) })
        } else {
            decoded * 255.0
        };
        let mut terms = Terms { loss: Tensor::zeros([1], &device), distortions: vec![[0.0; 2]; samples.len()] };
        if let Some(segmentation) = config.segmentation.filter(|segmentation| segmentation.weight > 0.0) {
            let classes = samples.iter().flat_map(|&sample| &originals.samples[sample].classes).copied().collect();
            let logits = self.segnet.forward::<4>(frames.clone().narrow(1, 3, 3))?;
            let (loss, shares) = B::segmentation(logits, classes, &segmentation);
            terms.loss = terms.loss + loss * segmentation.weight;
            terms.distortions.iter_mut().zip(shares).for_each(|(distortions, share)| distortions[0] = share);
        }
        if config.pose > 0.0 {
            let poses: Vec<f32> = samples.iter().flat_map(|&sample| originals.samples[sample].pose).collect();
            let target = Tensor::<B, 2>::from_data(TensorData::new(poses, [samples.len(), POSE_LEN]), &device);
            let pose = self.posenet.forward::<2>(B::yuv6(frames))?.narrow(1, 0, POSE_LEN);
            let difference = pose - target;
            let squares = difference.clone() * difference;
            let errors = squares.clone().mean_dim(1).into_data();
            terms.distortions.iter_mut().zip(errors.iter::<f64>()).for_each(|(distortions, mse)| distortions[1] = mse);
            let mse = squares.mean();
            let root = match mean_pose.filter(|_| config.pose_over == PoseOver::Clip) {
                Some(mean) => {
                    let root = (mean * 10.0 + POSE_FLOOR).sqrt();
                    mse * (5.0 / root) + root / 2.0
                }
                None => (mse * 10.0 + POSE_FLOOR).sqrt(),
            };
            terms.loss = terms.loss + root * config.pose;
        }
        Ok(terms)
    }
}
