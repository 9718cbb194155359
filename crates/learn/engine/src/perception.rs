//! The metric as a term of the loss: the decoder's frames through the metric's chain and the evaluators, differentiable.

use std::collections::BTreeSet;
use std::sync::Arc;

use burn_core::tensor::backend::AutodiffBackend;
use burn_core::tensor::{Int, Tensor, TensorData};
use metric::{
    INPUT_HEIGHT, INPUT_WIDTH, MAX_CLASSES, PIXELS, POSE_LEN, POSENET_FACTOR, ROOT_FLOOR, SampleOutputs, posenet_root,
    posenet_slope,
};
use onnx_burn::{Network, OnnxError};
use ops::{Hard, Ops, PixelLoss, RoundTripSizes, SegmentationLoss};
use recipe::{PerceptionTerms, PoseOver, SegmentationKind, SegmentationTerm};

/// Both evaluators on the training device, weights frozen.
pub struct FrozenEvaluators<B: Ops> {
    segnet: Network<B>,
    posenet: Network<B>,
    camera: (usize, usize),
}

impl<B: Ops> FrozenEvaluators<B> {
    /// SegNet, which classifies the pixels of a pair's second frame, `[n, 3, 384, 512]`, and PoseNet, which estimates the motion
    /// between the frames, `[n, 12, 192, 256]`, for a clip of `camera` rows and columns.
    ///
    /// # Errors
    ///
    /// A network that cannot be run on each of `batches` pairs, or does not give what the metric reads.
    pub fn new(
        segnet: Network<B>,
        posenet: Network<B>,
        camera: (usize, usize),
        batches: &BTreeSet<usize>,
    ) -> Result<Self, OnnxError> {
        for &batch in batches {
            let classes =
                |found: &[usize]| matches!(found, &[n, 1..=MAX_CLASSES, INPUT_HEIGHT, INPUT_WIDTH] if n == batch);
            let needed =
                format!("[{batch}, classes, {INPUT_HEIGHT}, {INPUT_WIDTH}] with at most {MAX_CLASSES} classes");
            segnet.expect(Self::segnet_input(batch), classes, &needed)?;
            let pose = |found: &[usize]| matches!(found, &[n, values] if n == batch && values >= POSE_LEN);
            posenet.expect(Self::posenet_input(batch), pose, &format!("[{batch}, {POSE_LEN} or more]"))?;
        }
        Ok(Self { segnet, posenet, camera })
    }

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
pub struct PerceptualLoss<B: Ops> {
    terms: PerceptionTerms,
    evaluators: Arc<FrozenEvaluators<B>>,
}

/// What the terms come to for a step's samples.
pub struct Perceived<B: AutodiffBackend> {
    /// What is minimized, `[1]`.
    pub loss: Tensor<B, 1>,
    /// For each sample the share of pixels whose class differs and the mean squared error of the pose, each where its network was
    /// asked.
    pub distortions: Vec<[Option<f64>; 2]>,
}

impl<B: AutodiffBackend + Ops> PerceptualLoss<B> {
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
        // SegNet does not look at the first frame, so without PoseNet nobody does.
        let decoded = if self.terms.pose.is_none() { decoded.narrow(1, 3, 3) } else { decoded };
        let frames = if self.terms.round_trip {
            B::round_trip(decoded, RoundTripSizes { camera: *camera, input: (INPUT_HEIGHT, INPUT_WIDTH) })
        } else {
            decoded * 255.0
        };
        let mut found = Perceived { loss: Tensor::zeros([1], &device), distortions: vec![[None; 2]; originals.len()] };
        if let Some(segmentation) = &self.terms.segmentation {
            let classes = originals.iter().flat_map(|original| &original.classes);
            let classes: Vec<i32> = classes.map(|&class| class.into()).collect();
            let classes = TensorData::new(classes, [originals.len(), INPUT_HEIGHT, INPUT_WIDTH]);
            let classes = Tensor::<B, 3, Int>::from_data(classes, &device);
            let [_, channels, ..] = frames.dims();
            let logits = segnet.forward::<4>(frames.clone().narrow(1, channels - 3, 3))?;
            let seen = B::segmentation(logits, classes, &loss(segmentation));
            found.loss = found.loss + seen.loss * segmentation.weight;
            let wrong = seen.wrong.into_data();
            let shares = wrong.iter::<i64>().map(|wrong| wrong as f64 / PIXELS as f64);
            found.distortions.iter_mut().zip(shares).for_each(|(distortions, share)| distortions[0] = Some(share));
        }
        if let Some(term) = &self.terms.pose {
            let poses: Vec<f32> = originals.iter().flat_map(|original| original.pose).collect();
            let target = Tensor::<B, 2>::from_data(TensorData::new(poses, [originals.len(), POSE_LEN]), &device);
            let pose = posenet.forward::<2>(B::yuv6(frames))?.narrow(1, 0, POSE_LEN);
            let difference = pose - target;
            let squares = difference.clone() * difference;
            let errors = squares.clone().mean_dim(1).into_data();
            let errors = errors.iter::<f64>();
            found.distortions.iter_mut().zip(errors).for_each(|(distortions, mse)| distortions[1] = Some(mse));
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

/// A stage's term as an operation, its weight aside.
fn loss(term: &SegmentationTerm) -> SegmentationLoss {
    let tau = term.tau as f32;
    let pixel = match term.kind {
        SegmentationKind::CrossEntropy => PixelLoss::CrossEntropy,
        SegmentationKind::Softplus => PixelLoss::Softplus { tau },
        SegmentationKind::Sigmoid => PixelLoss::Sigmoid { tau },
    };
    let hard = Hard { factor: term.hard as f32, threshold: term.hard_margin as f32 };
    SegmentationLoss { pixel, hard: (term.hard > 0.0).then_some(hard) }
}
