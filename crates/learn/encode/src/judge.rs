//! What a sample's corrections are worth: its distortion by the metric or on the pixels, and what the sum over all samples costs.

use std::num::NonZeroU64;
use std::sync::Arc;

use dataset::Dataset;
use decoder::{Network, SampleInput, in_order};
use evaluate::squared_error;
use frames::Planes;
use metric::{Distortions, PerceptionStack, SampleOutputs, evaluator_input};
use repr::{ClassMaps, Correction, CorrectionTarget, FRAMES_PER_SAMPLE, MAX_AMOUNT, QuantizedLatents, Sidecar};

use crate::candidates::Move;
use crate::error::EncodeError;

/// What corrections are judged by.
pub enum Judge<'a> {
    /// The challenge's score.
    Metric {
        /// What judges.
        stack: &'a mut dyn PerceptionStack,
        /// Its outputs on the original, one entry a sample.
        originals: &'a [SampleOutputs],
        /// Size of the original's file in bytes.
        clip_bytes: NonZeroU64,
    },
    /// Mean squared error of the frames at the decoder's resolution, in levels of 8-bit RGB.
    Pixels {
        /// The error that a kilobyte (1000 bytes) is worth.
        lambda: f64,
    },
}

/// Distortion of a sample: SegNet's and PoseNet's, or the squared error and nothing. Additive over samples.
pub(crate) type Terms = [f64; 2];

/// A sample as it would be: the integers of its latents and its corrections.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Variant {
    pub row: Vec<u16>,
    pub sidecar: Sidecar,
}

impl Variant {
    /// The variant after a move. A latent's integer is moved itself, which costs next to nothing; beyond its `bits`, one
    /// number for each dimension, and for all else, a correction is needed. Nothing where the move leads out of all ranges.
    pub fn moved(&self, sample: u32, step: Move, bits: &[u8]) -> Option<Self> {
        let mut variant = self.clone();
        if let CorrectionTarget::Latent { dimension } = step.target {
            let dimension = usize::from(dimension);
            let value = variant.row.get_mut(dimension)?;
            let moved = value.checked_add_signed(step.amount.into());
            if let Some(moved) = moved.filter(|&moved| moved >> bits[dimension % bits.len()] == 0) {
                *value = moved;
                return Some(variant);
            }
        }
        let amount = variant.sidecar.amount(sample, step.target).checked_add(step.amount)?;
        (-MAX_AMOUNT..=MAX_AMOUNT).contains(&amount).then(|| {
            variant.sidecar.set(sample, step.target, amount);
            variant
        })
    }

    /// Whether the second frame, the only one that SegNet sees, is the same as that of `other`.
    fn same_second_frame(&self, other: &Self) -> bool {
        let moves_second = |c: &&Correction| !matches!(c.target, CorrectionTarget::Frame { frame: 0, .. });
        let second =
            |variant: &Self| variant.sidecar.corrections().iter().filter(moves_second).copied().collect::<Vec<_>>();
        self.row == other.row && second(self) == second(other)
    }
}

/// The decoder that variants run through.
pub(crate) struct Projection<'a> {
    pub network: Network,
    /// Minima and steps; the integers are the variants'.
    pub latents: QuantizedLatents,
    pub maps: Option<Arc<ClassMaps>>,
    pub dataset: &'a Dataset,
}

impl Projection<'_> {
    /// What a variant of a sample is decoded from, `latent` being its own.
    pub fn input<'b>(&'b self, sample: usize, latent: &'b [f32], variant: &'b Variant) -> SampleInput<'b> {
        let map = self.maps.as_ref().and_then(|maps| maps.map(sample)).unwrap_or_default();
        SampleInput { latents: latent, map, corrections: variant.sidecar.corrections() }
    }

    /// The latents of a variant.
    pub fn latent(&self, variant: &Variant) -> Vec<f32> {
        let (minimum, step) = (self.latents.minimum.clone(), self.latents.step.clone());
        let row = QuantizedLatents { minimum, step, values: variant.row.clone() };
        row.sample(0, variant.row.len(), variant.sidecar.corrections()).unwrap_or_default()
    }
}

impl Judge<'_> {
    /// Measures variants of a sample, on the frames that inflate gives. `known` are the terms of one variant, if any are.
    pub(crate) fn measure(
        &mut self,
        projection: &Projection<'_>,
        sample: usize,
        variants: &[Variant],
        known: Option<(&Variant, Terms)>,
    ) -> Result<Vec<Terms>, EncodeError> {
        let threads = rayon::current_num_threads();
        let mut terms = Vec::new();
        match self {
            Self::Metric { stack, originals, .. } => {
                let missing = || EncodeError::Original {
                    found: format!("{} samples", originals.len()),
                    needed: format!("sample {sample}"),
                };
                let original = originals.get(sample).ok_or_else(missing)?;
                let work = |i: usize, used: Option<_>| -> Result<_, EncodeError> {
                    let _: Option<[Planes; FRAMES_PER_SAMPLE]> = used;
                    let variant = &variants[i];
                    let frames = projection
                        .network
                        .frames(projection.input(sample, &projection.latent(variant), variant), None)?;
                    Ok(frames.each_ref().map(evaluator_input))
                };
                in_order(0..variants.len(), threads, work, |i, [first, second]| {
                    let pose = stack.pose([first, second])?;
                    let segnet =
                        known.filter(|(variant, _)| variant.same_second_frame(&variants[i])).map(|(_, terms)| terms[0]);
                    let classes = match segnet {
                        Some(_) => Vec::new(),
                        None => stack.classes(second)?,
                    };
                    let mut distortions = Distortions::default();
                    distortions.add(original, &SampleOutputs { classes, pose });
                    terms.push([segnet.unwrap_or(distortions.segnet()), distortions.posenet()]);
                    Ok::<_, EncodeError>(())
                })?;
            }
            Self::Pixels { .. } => {
                let work = |i: usize, _: Option<f64>| -> Result<f64, EncodeError> {
                    let variant = &variants[i];
                    let frames =
                        projection.network.native(projection.input(sample, &projection.latent(variant), variant))?;
                    Ok(squared_error(&frames, projection.dataset.pair(sample)).mean())
                };
                in_order(0..variants.len(), threads, work, |_, error| {
                    terms.push([*error, 0.0]);
                    Ok::<_, EncodeError>(())
                })?;
            }
        }
        Ok(terms)
    }

    /// What the sum of `samples` terms costs, bytes aside.
    pub(crate) fn total(&self, sums: Terms, samples: usize) -> f64 {
        let [first, second] = sums.map(|sum| sum / samples.max(1) as f64);
        match self {
            Self::Metric { .. } => metric::score(first, second, 0.0),
            Self::Pixels { .. } => first,
        }
    }

    /// What a bit costs.
    pub(crate) fn bit(&self) -> f64 {
        match self {
            Self::Metric { clip_bytes, .. } => metric::rate_term(1.0 / 8.0 / clip_bytes.get() as f64),
            Self::Pixels { lambda } => lambda / 8000.0,
        }
    }
}
