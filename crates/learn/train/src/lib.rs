//! Training a representation: the decoder as burn operations, losses, optimizer, curriculum, checkpoints, run folder.
//!
//! - [`Config`]: the recipe, a TOML file.
//! - [`train_on`]: a whole run on a device, resumable, telling its progress to an [`Observer`].
//! - [`Checkpoint`] and [`quantize`]: from a checkpoint to a [`repr::Representation`], what `hnerv encode` writes.
//!
//! Code is generic over burn's `Backend`; [`Device`] chooses it once. Scoring during training decodes through the
//! `decoder` crate, so a figure in the metrics is what `inflate` gives.

mod chain;
mod checkpoint;
mod config;
mod device;
mod encode;
mod evaluate;
mod fake_quantize;
mod fused;
mod layers;
mod loss;
mod metrics;
mod model;
mod optimizer;
mod pairs;
mod perceptual;
mod rate;
mod report;
mod resample;
mod run;
mod sampling;
mod tensorboard;
mod trainer;

pub use checkpoint::{Checkpoint, CheckpointError, Metadata, Position};
pub use config::{
    ClipConfig, Config, ConfigError, EvaluatorsConfig, LossConfig, MuonConfig, PoseOver, RateConfig, RateModel,
    SegmentationConfig, SegmentationKind, StageConfig, Start, TrainingConfig, Trains,
};
pub use device::{Device, train_on};
pub use encode::{EncodeError, quantize};
pub use evaluate::{EvaluateError, Evaluation, Score, evaluate};
pub use metrics::{EpochLine, Metrics};
pub use pairs::clip;
pub use report::ReportError;
pub use run::{Observer, Outcome, RunFolder, Status, TrainError, train};
