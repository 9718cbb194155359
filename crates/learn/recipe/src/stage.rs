//! The stages of a valid recipe.

use std::num::NonZeroUsize;

use crate::tables::{
    EvaluatorsTable, LossTable, MuonTable, PoseOver, RateModel, SegmentationKind, StageTable, Start, Trains,
};

/// One stage of the curriculum, checked.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrainingStage {
    /// Shown in progress and metrics.
    pub name: String,
    /// What of the state so far it begins with.
    pub start: Start,
    /// Passes over all pairs.
    pub epochs: NonZeroUsize,
    /// Evaluations without a new best after which the stage ends early; never, where there is none.
    pub patience: Option<NonZeroUsize>,
    /// Pairs in a step.
    pub batch: NonZeroUsize,
    /// What is minimized; at least one term of pixels or of perception.
    pub loss: Loss,
    /// What is trained.
    pub trains: Trains,
    /// The grid that weights and latents are rounded to, where they are; gradients pass straight through.
    pub grid: Option<Grid>,
    /// Learning rates.
    pub rates: Rates,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Muon instead of AdamW for the weights of hidden convolutions.
    pub muon: Option<Muon>,
}

/// Where the steps of the grid come from that a stage rounds to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grid {
    /// Those that an earlier stage has learned, else those of the archive's symmetric grid.
    Given,
    /// The same to begin with, and learned from there.
    Learned,
}

/// Learning rates and their schedule: a linear rise from zero, then a cosine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// AdamW's, of the decoder, after the rise.
    pub decoder: f64,
    /// Of the latents, as a multiple of the decoder's.
    pub latents: f64,
    /// Share of the rates that is left at the stage's end.
    pub last: f64,
    /// Epochs of the rise.
    pub warm_up: f64,
}

/// Orthogonalized momentum, see [`MuonTable`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Muon {
    /// Learning rate, after the rise; above 0.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Decay of the momentum.
    pub momentum: f64,
}

/// The terms of a loss, which are added.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Loss {
    /// On RGB scaled to 0..1, at the decoder's resolution.
    pub pixels: Option<PixelTerms>,
    /// By the evaluators.
    pub perception: Option<PerceptionTerms>,
    /// The archive's size.
    pub rate: Option<RateTerm>,
}

/// Rows and columns of the window in which structural similarity is taken; frames of a stage that asks for it hold one.
pub const SSIM_WINDOW: usize = 11;

/// Weights of the pixel terms, at least one of them above 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PixelTerms {
    /// Of the mean absolute error.
    pub l1: f64,
    /// Of the mean squared error.
    pub mse: f64,
    /// Of one minus the structural similarity.
    pub ssim: f64,
}

/// What the evaluators are asked. Made from the evaluators' table alone: no recipe without evaluators has such terms.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PerceptionTerms {
    /// What stands in for SegNet's share of differing pixels.
    pub segmentation: Option<SegmentationTerm>,
    /// PoseNet's.
    pub pose: Option<PoseTerm>,
    /// Whether the evaluators see frames as the metric shows them, or else the decoder's, which then have their size.
    pub round_trip: bool,
    /// Share of an epoch's draws that go to the pairs in proportion to their part in the score, 0 to 0.9.
    pub adaptive: f64,
}

/// See [`crate::tables::SegmentationTable`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SegmentationTerm {
    /// Which function of the logits.
    pub kind: SegmentationKind,
    /// Factor on it, above 0.
    pub weight: f64,
    /// Width of the transition, in logits.
    pub tau: f64,
    /// How much more pixels with a margin below `hard_margin` count.
    pub hard: f64,
    /// See `hard`, in logits.
    pub hard_margin: f64,
}

/// The root of ten times the mean squared error of the pose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoseTerm {
    /// Factor on it, above 0.
    pub weight: f64,
    /// What the mean is over.
    pub over: PoseOver,
}

/// See [`crate::tables::RateTable`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateTerm {
    /// Factor on what the score charges.
    pub weight: f64,
    /// Width of a value's Gaussian, in steps of the grid.
    pub sigma: f64,
    /// What a level costs.
    pub model: RateModel,
    /// Epochs after which the coder is asked again.
    pub refresh: NonZeroUsize,
}

/// At least 1, as the check has seen.
fn count(value: usize) -> NonZeroUsize {
    NonZeroUsize::new(value).unwrap_or(NonZeroUsize::MIN)
}

impl TrainingStage {
    /// Of a table that the check has passed; `batch` is the run's, for a stage that names none.
    pub(crate) fn of(table: &StageTable, batch: usize, evaluators: Option<&EvaluatorsTable>) -> Self {
        Self {
            name: table.name.clone(),
            start: table.start,
            epochs: count(table.epochs),
            patience: NonZeroUsize::new(table.patience),
            batch: count(table.batch.unwrap_or(batch)),
            loss: Loss::of(table, evaluators),
            trains: table.trains,
            grid: match (table.quantized, table.learned_steps) {
                (false, _) => None,
                (true, false) => Some(Grid::Given),
                (true, true) => Some(Grid::Learned),
            },
            rates: Rates {
                decoder: table.learning_rate,
                latents: table.latent_rate,
                last: table.final_rate,
                warm_up: table.warm_up,
            },
            weight_decay: table.weight_decay,
            muon: table.muon.filter(|muon| muon.learning_rate > 0.0).map(Muon::of),
        }
    }

    /// Share of an epoch's draws that go to the pairs in proportion to their part in the score.
    pub fn adaptive(&self) -> f64 {
        self.loss.perception.map_or(0.0, |terms| terms.adaptive)
    }
}

impl Muon {
    fn of(MuonTable { learning_rate, weight_decay, momentum }: MuonTable) -> Self {
        Self { learning_rate, weight_decay, momentum }
    }
}

impl Loss {
    fn of(table: &StageTable, evaluators: Option<&EvaluatorsTable>) -> Self {
        let loss = &table.loss;
        let LossTable { l1, mse, ssim, .. } = *loss;
        Self {
            pixels: loss.has_pixels().then_some(PixelTerms { l1, mse, ssim }),
            perception: evaluators.filter(|_| loss.asks_evaluators()).map(|named| PerceptionTerms::of(table, named)),
            rate: loss.rate.map(|rate| RateTerm {
                weight: rate.weight,
                sigma: rate.sigma,
                model: rate.model,
                refresh: count(rate.refresh),
            }),
        }
    }
}

impl PerceptionTerms {
    fn of(table: &StageTable, _named: &EvaluatorsTable) -> Self {
        let loss = &table.loss;
        let segmentation = loss.segmentation.filter(|segmentation| segmentation.weight > 0.0);
        Self {
            segmentation: segmentation.map(|table| SegmentationTerm {
                kind: table.kind,
                weight: table.weight,
                tau: table.tau,
                hard: table.hard,
                hard_margin: table.hard_margin,
            }),
            pose: (loss.pose > 0.0).then_some(PoseTerm { weight: loss.pose, over: loss.pose_over }),
            round_trip: table.round_trip,
            adaptive: table.adaptive,
        }
    }
}
