//! The metric as a term of the loss: the decoder's frames through the metric's chain and the evaluators, differentiable.

use std::sync::Arc;

use burn_core::tensor::backend::AutodiffBackend;
use burn_core::tensor::{Tensor, TensorData};
use metric::{
    INPUT_HEIGHT, INPUT_WIDTH, POSE_LEN, POSENET_FACTOR, ROOT_FLOOR, SampleOutputs, posenet_root, posenet_slope,
};
use onnx_burn::{Network, OnnxError};
use recipe::{PerceptionTerms, PoseOver};

use crate::layers::{CameraChain, Layers};

/// Both evaluators on the training device, weights frozen.
pub struct FrozenEvaluators<B: Layers> {
    /// Classifies the pixels of a pair's second frame, `[n, 3, 384, 512]`.
    pub segnet: Network<B>,
    /// Estimates the motion between the frames, `[n, 12, 192, 256]`.
    pub posenet: Network<B>,
    /// Rows and columns of the clip's frames.
    pub camera: (usize, usize),
}

impl<B: Layers> FrozenEvaluators<B> {
    /// What SegNet takes for `batch` pairs.
    pub fn segnet_input(batch: usize) -> [usize; 4] {
        [batch, 3, INPUT_HEIGHT, INPUT_WIDTH]
    }

    /// What PoseNet takes for `batch` pairs.
    pub fn posenet_input(batch: usize) -> [usize; 4] {
        [batch, 12, INPUT_HEIGHT / 2, INPUT_WIDTH / 2]
    }
}

/// The terms of a stage that ask evaluators, and the evaluators: neither is there without the other.
pub struct PerceptualLoss<B: Layers> {
    terms: PerceptionTerms,
    evaluators: Arc<FrozenEvaluators<B>>,
}

/// What the terms come to for a step's samples.
pub struct Perceived<B: AutodiffBackend> {
    /// What is minimized, `[1]`.
    pub loss: Tensor<B, 1>,
    /// For each sample the share of pixels whose class differs and the mean squared error of the pose; 0 if the network
    /// was not asked.
    pub distortions: Vec<[f64; 2]>,
}

impl<B: AutodiffBackend + Layers> PerceptualLoss<B> {
    /// Terms that ask `evaluators`.
    pub fn new(terms: PerceptionTerms, evaluators: Arc<FrozenEvaluators<B>>) -> Self {
        Self { terms, evaluators }
    }

    /// The terms for `decoded` `[n, 6, height, width]` in 0..1, the decoder's frames of the samples of which the evaluators say
    /// `originals` in the original; `mean_pose` is PoseNet's distortion over the clip, if it is known.
    pub fn of(
        &self,
        decoded: Tensor<B, 4>,
        originals: &[&SampleOutputs],
        mean_pose: Option<f64>,
    ) -> Result<Perceived<B>, OnnxError> {
        let device = decoded.device();
        let FrozenEvaluators { segnet, posenet, camera } = &*self.evaluators;
        let frames = if self.terms.round_trip {
            B::round_trip(decoded, CameraChain { camera: *camera, input: (INPUT_HEIGHT, INPUT_WIDTH) })
        } else {
            decoded * 255.0
        };
        let mut found = Perceived { loss: Tensor::zeros([1], &device), distortions: vec![[0.0; 2]; originals.len()] };
        if let Some(segmentation) = &self.terms.segmentation {
            let classes = originals.iter().flat_map(|original| &original.classes).copied().collect();
            let logits = segnet.forward::<4>(frames.clone().narrow(1, 3, 3))?;
            let (loss, shares) = B::segmentation(logits, classes, segmentation);
            found.loss = found.loss + loss * segmentation.weight;
            found.distortions.iter_mut().zip(shares).for_each(|(distortions, share)| distortions[0] = share);
        }
        if let Some(term) = &self.terms.pose {
            let poses: Vec<f32> = originals.iter().flat_map(|original| original.pose).collect();
            let target = Tensor::<B, 2>::from_data(TensorData::new(poses, [originals.len(), POSE_LEN]), &device);
            let pose = posenet.forward::<2>(B::yuv6(frames))?.narrow(1, 0, POSE_LEN);
            let difference = pose - target;
            let squares = difference.clone() * difference;
            let errors = squares.clone().mean_dim(1).into_data();
            found.distortions.iter_mut().zip(errors.iter::<f64>()).for_each(|(distortions, mse)| distortions[1] = mse);
            let mse = squares.mean();
            let root = match mean_pose.filter(|_| term.over == PoseOver::Clip) {
                Some(mean) => mse * posenet_slope(mean) + posenet_root(mean) / 2.0,
                None => (mse * POSENET_FACTOR + ROOT_FLOOR).sqrt(),
            };
            found.loss = found.loss + root * term.weight;
        }
        Ok(found)
    }
}
