//! What the evaluators see of a sample with one class map or another, on the frames that inflate gives.

use std::num::NonZeroU64;

use decoder::{Network, SampleInput, in_order};
use metric::{Distortions, PIXELS, PerceptionStack, SampleOutputs, evaluator_input};
use repr::Representation;

use crate::error::EncodeError;
use crate::judge::Terms;

/// The decoder, and who looks at what it gives.
pub(super) struct Frames<'a> {
    pub network: Network,
    pub stack: &'a mut dyn PerceptionStack,
    pub originals: &'a [SampleOutputs],
    pub clip_bytes: NonZeroU64,
}

impl Frames<'_> {
    /// What SegNet sees of a sample, for each of `maps` in the place of its own.
    pub fn classes(
        &mut self,
        representation: &Representation,
        sample: usize,
        maps: &[Vec<u8>],
    ) -> Result<Vec<Vec<u8>>, EncodeError> {
        let (latents, network) = (latents(representation, sample), &self.network);
        let corrections = representation.sidecar.of(sample);
        let work = |i: usize, used: Option<_>| -> Result<_, EncodeError> {
            let _: Option<frames::Planes> = used;
            let input = SampleInput { latents: &latents, map: &maps[i], corrections };
            let [_, second] = network.frames(input, None)?;
            Ok(evaluator_input(&second))
        };
        let mut classes = Vec::with_capacity(maps.len());
        in_order(0..maps.len(), rayon::current_num_threads(), work, |_, frame| {
            classes.push(self.stack.classes(frame)?);
            Ok::<_, EncodeError>(())
        })?;
        Ok(classes)
    }

    /// Distortions of a sample as it is.
    pub fn measure(&mut self, representation: &Representation, sample: usize) -> Result<Terms, EncodeError> {
        let latents = latents(representation, sample);
        let (map, corrections) = (representation.map(sample), representation.sidecar.of(sample));
        let pair = self.network.frames(SampleInput { latents: &latents, map, corrections }, None)?;
        let [first, second] = pair.each_ref().map(evaluator_input);
        let mut distortions = Distortions::default();
        distortions.add(&self.originals[sample], &self.stack.evaluate([&first, &second])?);
        Ok([distortions.segnet(), distortions.posenet()])
    }

    /// What a bit costs.
    pub fn bit(&self) -> f64 {
        metric::byte_slope(self.clip_bytes) / 8.0
    }

    /// What a pixel that SegNet gets wrong costs.
    pub fn pixel(&self) -> f64 {
        metric::segnet_term(1.0 / (PIXELS * self.originals.len().max(1)) as f64)
    }
}

/// The latents of a sample.
fn latents(representation: &Representation, sample: usize) -> Vec<f32> {
    let (dim, corrections) = (representation.architecture.sample_dim(), representation.sidecar.of(sample));
    representation.latents.sample(sample, dim, corrections).unwrap_or_default()
}

/// What terms cost on average.
pub(super) fn total(terms: &[Terms]) -> f64 {
    let sum = |i: usize| terms.iter().map(|terms| terms[i]).sum::<f64>() / terms.len().max(1) as f64;
    metric::score(sum(0), sum(1), 0.0)
}

/// What they would cost with others in the place of a sample's.
pub(super) fn total_with(terms: &[Terms], sample: usize, others: Terms) -> f64 {
    let mut terms = terms.to_vec();
    terms[sample] = others;
    total(&terms)
}
