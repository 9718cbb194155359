//! The tables of a recipe's TOML file, every key of which is described here and in `configs/`. Nothing here is checked:
//! [`crate::Recipe`] is what comes out of a check.

mod loss;

use std::path::PathBuf;

use repr::{ClipName, LayerTable};
use serde::{Deserialize, Serialize};

pub use loss::{LossTable, PoseOver, RateModel, RateTable, SegmentationKind, SegmentationTable};

/// A whole recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeTable {
    /// What to represent.
    pub clip: ClipTable,
    /// What looks at the frames; needed by stages whose loss asks them, and then what the best checkpoint is chosen by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluators: Option<EvaluatorsTable>,
    /// What an archive holds of the clip.
    #[serde(default, skip_serializing_if = "is_default")]
    pub representation: RepresentationTable,
    /// The layer table.
    pub decoder: LayerTable,
    /// What holds for the whole run.
    #[serde(default)]
    pub training: TrainingTable,
    /// What happens one after the other; each stage starts from the moving average that the one before left.
    pub stage: Vec<StageTable>,
}

/// The clip of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipTable {
    /// A video, or a target cache made by `hnerv targets`; relative to the config file.
    pub path: PathBuf,
    /// How to get the clip, shown when it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Which of a video's tracks, counted from 0 (attached pictures left out).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub track: usize,
    /// What the archive calls the clip; by default a video's file name without its extension, a target cache knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<ClipName>,
}

impl ClipTable {
    /// The first track of the clip at `path`, called as that is.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), source: None, track: 0, name: None }
    }
}

/// What an archive holds beside a decoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepresentationTable {
    /// Which of two.
    pub kind: RepresentationKind,
}

/// What a decoder is fed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepresentationKind {
    /// A latent for each frame or pair, which training finds.
    #[default]
    Latent,
    /// What SegNet sees in the original, a class map for each pair; `decoder.stem` has as many classes and SegNet's size.
    Semantic,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// The frozen networks of the metric, ONNX files; relative to the config file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluatorsTable {
    /// Classifies the pixels of a pair's second frame.
    pub segnet: PathBuf,
    /// Estimates the motion between the two frames.
    pub posenet: PathBuf,
    /// How to get them, shown when one is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Settings of the whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingTable {
    /// Seed of the initial weights, latents and of the order of samples.
    pub seed: u64,
    /// Pairs in a step.
    pub batch: usize,
    /// Largest norm of the gradient of the decoder, and of the latents; 0 for no limit.
    pub gradient_clip: f64,
    /// Decay of the exponential moving average of the weights, per step.
    pub ema: f64,
    /// Standard deviation of the initial latents.
    pub latent_init: f64,
    /// Bits of the archive's weights, 2 to 8.
    pub bits: u8,
    /// Epochs between two evaluations of the quantized moving average; the best one is kept.
    pub evaluate_every: usize,
    /// Seconds between two checkpoints.
    pub checkpoint_seconds: u64,
}

impl Default for TrainingTable {
    fn default() -> Self {
        Self {
            seed: 1,
            batch: 8,
            gradient_clip: 1.0,
            ema: 0.999,
            latent_init: 0.1,
            bits: 8,
            evaluate_every: 10,
            checkpoint_seconds: 120,
        }
    }
}

/// One stage of the curriculum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageTable {
    /// Shown in progress and metrics.
    pub name: String,
    /// What of the state so far it begins with; the first stage begins with the initial weights.
    #[serde(default)]
    pub start: Start,
    /// Passes over all pairs.
    pub epochs: usize,
    /// Evaluations without a new best after which the stage ends early; 0 for never.
    #[serde(default)]
    pub patience: usize,
    /// Pairs in a step, instead of the run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// What is minimized.
    pub loss: LossTable,
    /// What is trained.
    #[serde(default)]
    pub trains: Trains,
    /// Share of an epoch's draws that go to the pairs in proportion to their part in the score, 0 to 0.9; the others go to
    /// all pairs alike.
    #[serde(default)]
    pub adaptive: f64,
    /// Let the evaluators see frames as the metric does: enlarged to the clip's size, clamped, rounded and reduced again.
    /// Otherwise they see the decoder's frames, which must then have their size.
    #[serde(default = "yes")]
    pub round_trip: bool,
    /// AdamW's learning rate for the decoder, after the warm-up.
    pub learning_rate: f64,
    /// Learning rate of the latents, as a multiple of the decoder's.
    #[serde(default = "ten")]
    pub latent_rate: f64,
    /// Learning rate at the stage's end, as a share of `learning_rate`; the way there is a cosine.
    #[serde(default)]
    pub final_rate: f64,
    /// Epochs over which the learning rate rises linearly from zero; at most the stage's.
    #[serde(default)]
    pub warm_up: f64,
    /// AdamW's decoupled weight decay; learned steps do not decay.
    #[serde(default)]
    pub weight_decay: f64,
    /// Muon instead of AdamW for the weights of hidden convolutions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muon: Option<MuonTable>,
    /// Train on weights and latents rounded to the archive's grid, gradients passing straight through.
    #[serde(default)]
    pub quantized: bool,
    /// With `quantized`: learn the step of each tensor's grid too, from the step it would have otherwise. Once learned, a
    /// step stays in use.
    #[serde(default)]
    pub learned_steps: bool,
}

impl StageTable {
    /// One epoch of `loss` at a learning rate of 1e-3, all else as a recipe that does not name it.
    pub fn new(name: &str, loss: LossTable) -> Self {
        Self {
            name: name.into(),
            start: Start::Average,
            epochs: 1,
            patience: 0,
            batch: None,
            loss,
            trains: Trains::All,
            adaptive: 0.0,
            round_trip: yes(),
            learning_rate: 1e-3,
            latent_rate: ten(),
            final_rate: 0.0,
            warm_up: 0.0,
            weight_decay: 0.0,
            muon: None,
            quantized: false,
            learned_steps: false,
        }
    }
}

/// What a stage begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// The moving average that the stage before left.
    #[default]
    Average,
    /// The weights that the stage before left.
    Weights,
    /// The best checkpoint so far.
    Best,
}

/// What a stage trains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trains {
    /// The decoder and the latents.
    #[default]
    All,
    /// The latents, for a decoder that stays as it is.
    Latents,
    /// All but a carrier: what makes the second frame of a pair.
    Renderer,
    /// A carrier, images and coefficients: what makes the first frame, for a second one that stays as it is.
    Carrier,
}

/// Muon: orthogonalized momentum (Jordan et al. 2024, five Newton-Schulz steps, Nesterov), its rate scaled by
/// sqrt(max(1, rows / columns)). It follows the stage's schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MuonTable {
    /// Learning rate, after the warm-up; 0 for AdamW after all.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    #[serde(default)]
    pub weight_decay: f64,
    /// Decay of the momentum.
    #[serde(default = "muon_momentum")]
    pub momentum: f64,
}

fn ten() -> f64 {
    10.0
}

fn yes() -> bool {
    true
}

fn muon_momentum() -> f64 {
    0.95
}
