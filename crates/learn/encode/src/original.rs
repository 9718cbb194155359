//! What results are compared with, and what they are worth beside it.

use std::fmt;

use dataset::Dataset;
use evaluate::evaluate;
use metric::{PerceptionStack, Score};
use repr::Representation;
use solve::Solver;

use crate::error::EncodeError;
use crate::fidelity::fidelity;
use crate::judge::Judge;
use crate::source::Source;

/// What results are compared with, as far as it is there.
pub struct Original {
    dataset: Option<Dataset>,
    stack: Option<Box<dyn PerceptionStack>>,
}

/// What a representation is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Worth {
    /// By the metric, and the PSNR in dB at the decoder's resolution.
    Metric(Score, f64),
    /// By the PSNR in dB to the original at the decoder's resolution.
    Pixels(f64),
    /// By the PSNR in dB to the frames of the decoder's own floats.
    Floats(f64),
}

impl Worth {
    /// The same as a cost, lower is better.
    pub fn cost(&self) -> f64 {
        match self {
            Self::Metric(score, _) => score.score,
            Self::Pixels(psnr) | Self::Floats(psnr) => -psnr,
        }
    }
}

impl fmt::Display for Worth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metric(Score { segnet, posenet, score, .. }, psnr) => {
                write!(f, "SegNet {segnet:.6}, PoseNet {posenet:.6}, score {score:.4}, PSNR {psnr:.2} dB")
            }
            Self::Pixels(psnr) => write!(f, "PSNR {psnr:.2} dB"),
            Self::Floats(psnr) => write!(f, "PSNR {psnr:.2} dB to the floats' frames"),
        }
    }
}

impl Original {
    /// Nothing to compare with but the floats.
    pub fn absent() -> Self {
        Self { dataset: None, stack: None }
    }

    /// A dataset, judged by `stack` if there is one.
    ///
    /// # Errors
    ///
    /// A dataset of another clip than `plain` stands for, or without the outputs of the stack's networks.
    pub fn new(
        dataset: Dataset,
        stack: Option<Box<dyn PerceptionStack>>,
        plain: &Representation,
    ) -> Result<Self, EncodeError> {
        let (found, needed) = (dataset.frame_count(), plain.clip.frames());
        if found != needed {
            let (found, needed) = (format!("{found} frames"), format!("{needed}"));
            return Err(EncodeError::Original { found, needed });
        }
        if let Some(stack) = &stack
            && dataset.networks() != Some(stack.identity().networks)
        {
            return Err(EncodeError::OtherEvaluators);
        }
        Ok(Self { dataset: Some(dataset), stack })
    }

    /// Whether there is more to compare with than the floats.
    pub fn is_present(&self) -> bool {
        self.dataset.is_some()
    }

    /// Whether the metric judges.
    pub fn has_stack(&self) -> bool {
        self.stack.is_some()
    }

    /// The representation with the coefficients of its carrier solved, where it has one and the metric judges, unless
    /// `going_on`, which hears of every sample, says no.
    pub fn solved(
        &mut self,
        representation: &Representation,
        going_on: impl FnMut(usize) -> bool,
    ) -> Result<Option<Representation>, EncodeError> {
        let originals = self.dataset.as_ref().and_then(|dataset| dataset.originals());
        let (Some(stack), Some(originals)) = (&mut self.stack, originals) else { return Ok(None) };
        let Some(solver) = Solver::new(representation, originals)? else { return Ok(None) };
        let mut solved = solve::widen(representation.clone())?;
        let found = solver.all(&mut solved, &mut **stack, going_on)?;
        Ok(found.map(|_| solved))
    }

    /// What a representation of `source` is worth as an archive of `bytes`.
    pub fn measure(
        &mut self,
        source: &Source,
        representation: &Representation,
        bytes: usize,
    ) -> Result<Worth, EncodeError> {
        let Some(dataset) = &self.dataset else { return Ok(Worth::Floats(fidelity(source, representation)?)) };
        let stack = self.stack.as_mut().map(|stack| &mut **stack as _);
        let evaluation = evaluate(representation, dataset, stack, bytes)?;
        Ok(match evaluation.score {
            Some(score) => Worth::Metric(score, evaluation.psnr),
            None => Worth::Pixels(evaluation.psnr),
        })
    }

    /// The frames to correct towards, and who judges corrections: the metric, else the pixels at the exchange rate `lambda`.
    /// Nothing where there is no original.
    pub fn judge(&mut self, lambda: f64) -> Option<(&Dataset, Judge<'_>)> {
        let dataset = self.dataset.as_ref()?;
        let judge = match (&mut self.stack, dataset.originals()) {
            (Some(stack), Some(originals)) => {
                Judge::Metric { stack: &mut **stack, originals, clip_bytes: dataset.info().clip_bytes }
            }
            _ => Judge::Pixels { lambda },
        };
        Some((dataset, judge))
    }
}
