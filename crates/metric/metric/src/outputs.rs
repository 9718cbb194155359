//! What the evaluators see of a sample and what they say of it.

use frames::{Planes, RgbFrame};

/// Rows of the evaluators' input.
pub const INPUT_HEIGHT: usize = 384;
/// Columns of the evaluators' input.
pub const INPUT_WIDTH: usize = 512;
/// Pixels that SegNet classifies.
pub const PIXELS: usize = INPUT_HEIGHT * INPUT_WIDTH;
/// Most classes of a SegNet, so that one fits a byte.
pub const MAX_CLASSES: usize = 256;
/// Pose values that count; PoseNet may give more.
pub const POSE_LEN: usize = 6;

/// What the evaluators say about one sample (a frame pair).
#[derive(Clone, Debug, PartialEq)]
pub struct SampleOutputs {
    /// Class of each pixel of the second frame, `[384, 512]`.
    pub classes: Vec<u8>,
    /// The first six pose values.
    pub pose: [f32; POSE_LEN],
}

/// A frame as the evaluators see it: `[3, 384, 512]`, 0 to 255.
pub fn evaluator_input(frame: &RgbFrame) -> Planes {
    frame.resize_bilinear(INPUT_HEIGHT, INPUT_WIDTH)
}
