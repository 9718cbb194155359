//! The metric: what a perception stack still sees in reconstructed frames, and what that is worth. Who runs the stack is
//! not decided here: no ONNX Runtime, no files.
//!
//! - [`SampleOutputs`]: what SegNet and PoseNet say of a frame pair; [`evaluator_input`] is the view of a frame that they
//!   share.
//! - [`PerceptionStack`]: whoever runs the two networks, with its [`StackIdentity`]; its failures are [`StackError`]s.
//! - [`Distortions`], [`Score`], [`Report`]: the official figures over samples.
//! - [`score()`], [`segnet_term`], [`posenet_term`], [`rate_term`] and their factors; [`posenet_slope`], [`byte_slope`]:
//!   what a bit more of a distortion or of an archive adds. The one place of 100, 10 and 25.
//!
//! ```
//! use metric::{Distortions, PIXELS, SampleOutputs, score};
//!
//! let original = SampleOutputs { classes: vec![0; PIXELS], pose: [0.0; 6] };
//! let mut seen = original.clone();
//! seen.classes[..PIXELS / 100].fill(3);
//! seen.pose[0] = 0.06;
//!
//! let mut distortions = Distortions::default();
//! distortions.add(&original, &seen);
//! assert!((distortions.segnet() - 0.01).abs() < 1e-5 && (distortions.posenet() - 0.0006).abs() < 1e-8);
//! let score = score(distortions.segnet(), distortions.posenet(), 0.005);
//! assert!((score - (1.0 + 0.006f64.sqrt() + 0.125)).abs() < 1e-3);
//! ```

mod distortions;
mod outputs;
mod report;
mod score;
mod stack;

pub use distortions::Distortions;
pub use outputs::{INPUT_HEIGHT, INPUT_WIDTH, MAX_CLASSES, PIXELS, POSE_LEN, SampleOutputs, evaluator_input};
pub use report::{Report, Score};
pub use score::{
    POSENET_FACTOR, RATE_FACTOR, ROOT_FLOOR, SEGNET_FACTOR, byte_slope, posenet_part, posenet_root, posenet_slope,
    posenet_term, rate_term, score, segnet_term,
};
pub use stack::{NetworkHashes, PerceptionStack, StackError, StackIdentity};
