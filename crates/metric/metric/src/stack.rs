//! Whoever runs SegNet and PoseNet on frames.

use std::error::Error;

use frames::Planes;
use thiserror::Error;

use crate::outputs::{POSE_LEN, SampleOutputs};

/// Why a perception stack cannot judge frames, in its own words.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct StackError(Box<dyn Error + Send + Sync>);

impl StackError {
    /// What a stack of another crate says.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

/// Which two networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkHashes {
    /// BLAKE3 hash of SegNet's file.
    pub segnet: [u8; 32],
    /// BLAKE3 hash of PoseNet's file.
    pub posenet: [u8; 32],
}

/// All that a stack's outputs depend on beside the frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackIdentity {
    /// The networks.
    pub networks: NetworkHashes,
    /// What runs them: a library and its build.
    pub runtime: String,
}

/// SegNet and PoseNet, ready to run. Frames come as the evaluators see them, see [`evaluator_input`](crate::evaluator_input).
pub trait PerceptionStack {
    /// Which networks these are, and what runs them.
    fn identity(&self) -> StackIdentity;

    /// SegNet's class of each pixel of one frame `[3, 384, 512]`, as `[384, 512]`; the lowest one where several are equal.
    fn classes(&mut self, frame: &Planes) -> Result<Vec<u8>, StackError>;

    /// PoseNet's first six outputs, finite, for the two frames of a sample, `[3, 384, 512]` each.
    fn pose(&mut self, pair: [&Planes; 2]) -> Result<[f32; POSE_LEN], StackError>;

    /// Both outputs for a sample.
    fn evaluate(&mut self, pair: [&Planes; 2]) -> Result<SampleOutputs, StackError> {
        Ok(SampleOutputs { classes: self.classes(pair[1])?, pose: self.pose(pair)? })
    }
}
