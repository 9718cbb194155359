//! The whole representation at one exchange rate between bytes and error.

use rayon::prelude::*;
use repr::{Convolution, QuantizedLatents, QuantizedTensor, Representation, RepresentationParts, Sidecar};

use crate::curvature::Curvature;
use crate::differentiable::DifferentiableDecoder;
use crate::error::EncodeError;
use crate::layer::{QuantizedLayer, balanced_step, quantize_layer, short_step};
use crate::source::Source;

/// Quantizes one source at any exchange rate.
pub struct Quantizer<'a> {
    source: &'a Source,
    curvature: Curvature,
}

/// Fewest bits that hold all of `values`.
fn width(values: &[i16]) -> u8 {
    let fits = |bits: &u8| values.iter().all(|&q| (-(1i16 << (bits - 1))..1 << (bits - 1)).contains(&q));
    (repr::MIN_BITS..repr::MAX_BITS).find(fits).unwrap_or(repr::MAX_BITS)
}

impl<'a> Quantizer<'a> {
    /// Probes the decoder of a source, on rayon's current threads: for the reference architecture half a minute on
    /// two cores.
    pub fn new(source: &'a Source) -> Self {
        let architecture = &source.plain().architecture;
        let decoder = DifferentiableDecoder::new(source.parameters());
        let fan_ins: Vec<usize> = architecture.graph().convolutions().iter().map(Convolution::fan_in).collect();
        let curvature = Curvature::new(&decoder, source, &fan_ins);
        Self { source, curvature }
    }

    /// What was given to [`new`](Self::new).
    pub fn source(&self) -> &Source {
        self.source
    }

    /// Growth of a sample's mean squared error, in levels of 8-bit RGB, with the square of each of its latents' values; what
    /// [`Search`](crate::Search) takes its strides from.
    pub fn latent_curvature(&self) -> Vec<f64> {
        // A sample's error is the mean of those of its latents' frames.
        let latents = self.source.plain().architecture.latents_per_sample();
        self.curvature.latent.iter().map(|curvature| curvature / latents as f64).collect::<Vec<_>>().repeat(latents)
    }

    /// The exchange rate, in mean squared error per kilobyte, at which the error should come out near `error` if the
    /// parameters' bits alone mattered: `D = c 2^(-2R/n)` gives `-dD/dR = 2 ln 2 D / n`.
    pub(crate) fn rate_at(&self, error: f64) -> f64 {
        let parameters = self.source.plain().architecture.graph().parameter_count().max(1);
        2.0 * std::f64::consts::LN_2 * error / parameters as f64 * 8000.0
    }

    /// The quantization with about the least `error + lambda * kilobytes`, where the error is the mean squared difference of
    /// the decoder's frames from those of the floats, in levels of 8-bit RGB.
    pub fn quantize(&self, lambda: f64) -> Result<Representation, EncodeError> {
        let (source, plain) = (self.source, self.source.plain());
        let lambda = lambda.max(0.0) / 8000.0;
        let convolutions = plain.architecture.graph().convolutions();
        let jobs = convolutions.par_iter().zip(&self.curvature.layers);
        let layers = jobs.map(|(convolution, curvature)| {
            let floats = [convolution.weight, convolution.bias].map(|id| &source.parameters()[id]);
            let trained = plain.parameters[convolution.weight.index()].steps.first().copied().unwrap_or(1.0);
            quantize_layer(floats, trained, curvature, lambda)
        });
        let tensor = |values: Vec<i16>, steps| QuantizedTensor { bits: width(&values), steps, values };
        let tensors = layers.flat_map_iter(|QuantizedLayer { weight, steps, bias, bias_step, .. }| {
            [tensor(weight, steps), tensor(bias, vec![bias_step])]
        });
        Ok(Representation::new(RepresentationParts {
            architecture: plain.architecture.clone(),
            clip: plain.clip.clone(),
            parameters: tensors.collect(),
            latents: self.latents(lambda),
            sidecar: Sidecar::default(),
            maps: plain.maps.clone(),
        })?)
    }

    /// Each dimension on the grid whose step balances rate and error, at least the one that its bits allow. `lambda` is per bit.
    fn latents(&self, lambda: f64) -> QuantizedLatents {
        let dim = self.source.plain().architecture.latent_dim();
        let count = self.source.latents().len() / dim;
        let column = |d: usize| self.source.latents().iter().skip(d).step_by(dim).copied();
        let mut latents = QuantizedLatents { minimum: Vec::new(), step: Vec::new(), values: Vec::new() };
        let bits = self.source.plain().architecture.latent_bits();
        let last: Vec<f32> = bits.iter().map(|&bits| f32::from((1u16 << bits) - 1)).collect();
        for (d, curvature) in self.curvature.latent.iter().enumerate() {
            let (low, high) = column(d).fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
            // The error is a mean over latents, the bits are those of all.
            let balanced = balanced_step(*curvature, lambda * count as f64);
            let range = f64::from(high) - f64::from(low);
            // A minimum of few digits costs up to a step of range.
            let step = short_step((range / f64::from(last[d] - 1.0)).max(balanced.min(range.max(1e-30))));
            latents.minimum.push((low / step).floor() * step);
            latents.step.push(step);
        }
        let level = |(i, v): (usize, &f32)| {
            let (minimum, step) = (latents.minimum[i % dim], latents.step[i % dim]);
            ((v - minimum) / step).round_ties_even().clamp(0.0, last[i % dim]) as u16
        };
        latents.values = self.source.latents().iter().enumerate().map(level).collect();
        latents
    }
}
