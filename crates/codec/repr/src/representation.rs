//! The quantized decoder, the quantized latents and the clip they stand for.

use std::ops::Deref;
use std::sync::Arc;

use crate::architecture::Architecture;
use crate::clip::Clip;
use crate::error::{RepresentationError, invalid};
use crate::graph::Parameter;
use crate::limits;
use crate::maps::ClassMaps;
use crate::quantize::{MAX_BITS, MIN_BITS};
use crate::quantized::{QuantizedLatents, QuantizedTensor};
use crate::sidecar::{Correction, Sidecar};
use crate::tensors::Tensors;

/// Largest magnitude of a scale, step or minimum; beyond it (or not finite) a representation is refused.
const MAX_MAGNITUDE: f32 = 1e6;

/// The parts of a [`Representation`], whether they fit together or not.
#[derive(Clone, Debug, PartialEq)]
pub struct RepresentationParts {
    /// The decoder.
    pub architecture: Architecture,
    /// What the frames belong to.
    pub clip: Clip,
    /// One tensor per parameter, in the order of [`Architecture::parameters`].
    pub parameters: Vec<QuantizedTensor>,
    /// Those of one sample of `clip` after the other.
    pub latents: QuantizedLatents,
    /// What single samples have been moved by.
    pub sidecar: Sidecar,
    /// A class map for each sample, where the decoder is fed with them.
    pub maps: Option<Arc<ClassMaps>>,
}

impl RepresentationParts {
    /// The class map of a sample; nothing where the decoder is fed with none.
    pub fn map(&self, sample: usize) -> &[u8] {
        self.maps.as_ref().and_then(|maps| maps.map(sample)).unwrap_or_default()
    }
}

/// Everything `inflate` needs: [`RepresentationParts`] that fit together and lie within their limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Representation(RepresentationParts);

impl Deref for Representation {
    type Target = RepresentationParts;

    fn deref(&self) -> &RepresentationParts {
        &self.0
    }
}

impl Representation {
    /// Checks that all parts fit together and lie within their limits.
    pub fn new(parts: RepresentationParts) -> Result<Self, RepresentationError> {
        parts.clip.check_latents(parts.architecture.sample_dim())?;
        let expected = parts.architecture.parameters();
        if expected.len() != parts.parameters.len() {
            return invalid(format!("{} tensors, the architecture has {}", parts.parameters.len(), expected.len()));
        }
        expected.iter().zip(&parts.parameters).try_for_each(|(parameter, tensor)| check_tensor(parameter, tensor))?;
        check_latents(&parts)?;
        let shape = parts.architecture.map_shape(parts.clip.samples())?;
        if shape.as_ref() != parts.maps.as_ref().map(|maps| maps.shape()) {
            return invalid("class maps that are not those that the architecture is fed with".into());
        }
        check_corrections(&parts, parts.sidecar.corrections().len(), parts.sidecar.corrections())?;
        Ok(Self(parts))
    }

    /// The parts, to be changed and put together again.
    pub fn into_parts(self) -> RepresentationParts {
        self.0
    }

    /// Puts other integers, and the corrections in `sidecar`, in the place of a sample's.
    pub fn set_sample(&mut self, sample: usize, latent: &[u16], sidecar: &Sidecar) -> Result<(), RepresentationError> {
        let corrections = sidecar.corrections();
        let (samples, dim) = (self.clip.samples(), self.architecture.sample_dim());
        let foreign = corrections.iter().any(|correction| correction.sample as usize != sample);
        if sample >= samples || latent.len() != dim || foreign {
            let found = latent.len();
            return invalid(format!("sample {sample} with {found} latent values, of {samples} samples of {dim}"));
        }
        check_levels(self, latent)?;
        let others = self.sidecar.corrections().len() - self.sidecar.of(sample).len();
        check_corrections(self, others + corrections.len(), corrections)?;
        self.0.latents.values[sample * dim..][..dim].copy_from_slice(latent);
        self.0.sidecar.replace(sample, corrections);
        Ok(())
    }

    /// Puts another class map, `[rows, columns]`, in the place of a sample's.
    pub fn set_map(&mut self, sample: usize, map: &[u8]) -> Result<(), RepresentationError> {
        match &mut self.0.maps {
            Some(maps) => Arc::make_mut(maps).set_map(sample, map),
            None => invalid("a class map where the architecture is fed with none".into()),
        }
    }

    /// The parameters as the floats that their integers stand for.
    pub fn dequantize(&self) -> Tensors {
        Tensors::trusted(&self.architecture, self.parameters.iter().map(QuantizedTensor::dequantize).collect())
    }
}

fn check_magnitude(what: &str, values: &[f32]) -> Result<(), RepresentationError> {
    match values.iter().find(|v| !v.is_finite() || v.abs() > MAX_MAGNITUDE) {
        None => Ok(()),
        Some(v) => invalid(format!("{what} is {v}, must be finite and at most {MAX_MAGNITUDE:e} in magnitude")),
    }
}

fn check_tensor(parameter: &Parameter, tensor: &QuantizedTensor) -> Result<(), RepresentationError> {
    let name = &parameter.name;
    if tensor.values.len() != parameter.len() {
        return invalid(format!("{name} has {} values, the architecture {}", tensor.values.len(), parameter.len()));
    }
    if !(MIN_BITS..=MAX_BITS).contains(&tensor.bits) {
        return invalid(format!("{name} has {} bits", tensor.bits));
    }
    if tensor.steps.len() != 1 && tensor.steps.len() != parameter.shape[0] {
        return invalid(format!("{name} has {} steps", tensor.steps.len()));
    }
    check_magnitude(&format!("a step of {name}"), &tensor.steps)?;
    let half = 1i16 << (tensor.bits - 1);
    match tensor.values.iter().find(|&&q| q < -half || q >= half) {
        None => Ok(()),
        Some(q) => invalid(format!("{name} holds {q}, outside {} bits", tensor.bits)),
    }
}

fn check_latents(parts: &RepresentationParts) -> Result<(), RepresentationError> {
    let (latents, dim, samples) = (&parts.latents, parts.architecture.latent_dim(), parts.clip.samples());
    if latents.minimum.len() != dim || latents.step.len() != dim {
        return invalid(format!("latents of {} dimensions, the architecture has {dim}", latents.minimum.len()));
    }
    let dim = parts.architecture.sample_dim();
    if latents.values.len() != dim * samples {
        return invalid(format!("{} latent values for {samples} samples of {dim}", latents.values.len()));
    }
    check_levels(parts, &latents.values)?;
    check_magnitude("a latent step", &latents.step)?;
    check_magnitude("a latent minimum", &latents.minimum)
}

/// Checks that the integers of whole latents are of as many bits as their dimensions have.
fn check_levels(parts: &RepresentationParts, values: &[u16]) -> Result<(), RepresentationError> {
    let bits = parts.architecture.latent_bits();
    match values.iter().zip(bits.iter().cycle()).find(|&(&value, &bits)| value >> bits != 0) {
        None => Ok(()),
        Some((value, bits)) => invalid(format!("a latent holds {value}, outside {bits} bits")),
    }
}

/// Checks `corrections`, some of the `count` that there are in all.
fn check_corrections(
    parts: &RepresentationParts,
    count: usize,
    corrections: &[Correction],
) -> Result<(), RepresentationError> {
    if count > limits::CORRECTIONS {
        return invalid(format!("{count} corrections, the limit is {}", limits::CORRECTIONS));
    }
    let (samples, dim) = (parts.clip.samples(), parts.architecture.sample_dim());
    match corrections.iter().find(|correction| !correction.fits(samples, dim)) {
        None => Ok(()),
        Some(correction) => invalid(format!("the sidecar holds an impossible correction: {correction:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::ClipName;
    use crate::maps::MapShape;
    use crate::sidecar::CorrectionTarget;
    use crate::table::{Carrier, LayerTable, Stem};

    fn clip(frames: usize) -> Clip {
        Clip::new(ClipName::new("clip").unwrap(), frames, 8, 10).unwrap()
    }

    /// Two latent values, 6 samples.
    fn parts() -> RepresentationParts {
        parts_of(LayerTable::new(2, Stem::new(1, 2, 2), Vec::new()))
    }

    /// The same with class maps, of which the second value is a carrier's coefficient of 10 bits.
    fn semantic_parts() -> RepresentationParts {
        let carrier = Some(Carrier { coefficients: 1, height: 1, width: 1, channels: 3, bits: 10 });
        let stem = Stem { classes: 3, ..Stem::new(1, 2, 2) };
        parts_of(LayerTable { carrier, ..LayerTable::new(2, stem, Vec::new()) })
    }

    fn parts_of(table: LayerTable) -> RepresentationParts {
        let architecture = Architecture::new(table).unwrap();
        let tensor = |p: &Parameter| QuantizedTensor { bits: 8, steps: vec![0.1], values: vec![-128; p.len()] };
        RepresentationParts {
            parameters: architecture.parameters().iter().map(tensor).collect(),
            latents: QuantizedLatents { minimum: vec![-1.0; 2], step: vec![0.01; 2], values: vec![7; 12] },
            maps: architecture.map_shape(6).unwrap().map(maps),
            architecture,
            clip: clip(13),
            sidecar: Sidecar::default(),
        }
    }

    fn maps(shape: MapShape) -> Arc<ClassMaps> {
        Arc::new(ClassMaps::new(shape, vec![0; shape.count() * shape.pixels()]).unwrap())
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        Representation::new(parts()).unwrap();
        let broken = |change: fn(&mut RepresentationParts)| {
            let mut parts = parts();
            change(&mut parts);
            Representation::new(parts).unwrap_err().to_string()
        };
        assert!(broken(|p| p.parameters[0].values[0] = 128).contains("stem.weight"));
        assert!(broken(|p| p.parameters[0].bits = 9).contains("stem.weight has 9 bits"));
        assert!(broken(|p| p.parameters[1].steps[0] = f32::NAN).contains("stem.bias"));
        assert!(broken(|p| p.parameters[1].steps.clear()).contains("stem.bias has 0 steps"));
        assert!(broken(|p| p.parameters[1].values.truncate(3)).contains("stem.bias has 3 values"));
        assert!(broken(|p| drop(p.parameters.pop())).contains("5 tensors, the architecture has 6"));
        assert!(broken(|p| p.latents.values.truncate(3)).contains("latent"));
        assert!(broken(|p| p.latents.step[1] = 2e6).contains("a latent step is 2000000"));
        assert!(broken(|p| p.sidecar.set(6, CorrectionTarget::Latent { dimension: 0 }, 1)).contains("sidecar"));
        let crowded = |p: &mut RepresentationParts| {
            // More than 2^20 corrections, one at a time would take long.
            p.clip = clip(40_000);
            p.latents.values = vec![0; 40_000];
            for sample in 0..20_000 {
                CorrectionTarget::all(2).take(53).for_each(|target| p.sidecar.set(sample, target, 1));
            }
        };
        assert!(broken(crowded).contains("1048576"));
    }

    #[test]
    fn class_maps_and_coefficients_that_do_not_fit_are_refused() {
        Representation::new(semantic_parts()).unwrap();
        let refused = |parts| Representation::new(parts).unwrap_err().to_string();
        let with_maps = |maps| refused(RepresentationParts { maps, ..semantic_parts() });
        let shape = |count, rows, columns, classes| Some(maps(MapShape::new(count, rows, columns, classes).unwrap()));
        for maps in [None, shape(5, 2, 2, 3), shape(6, 2, 3, 3), shape(6, 1, 4, 3), shape(6, 2, 2, 4)] {
            assert!(with_maps(maps).contains("class maps"));
        }
        assert!(refused(RepresentationParts { maps: shape(6, 2, 2, 3), ..parts() }).contains("class maps"));
        // A clip of other frames needs other maps.
        let longer = RepresentationParts { clip: clip(14), ..semantic_parts() };
        assert!(refused(longer).contains("12 latent values for 7 samples"));
        assert!(Representation::new(RepresentationParts { clip: clip(12), ..semantic_parts() }).is_ok());

        let level = |parts: RepresentationParts, dimension: usize, level: u16| {
            let mut parts = parts;
            parts.latents.values[2 * 3 + dimension] = level;
            Representation::new(parts).map(|_| ()).map_err(|error| error.to_string())
        };
        for (dimension, limit) in [(0, 256), (1, 1024)] {
            assert_eq!(level(semantic_parts(), dimension, limit - 1), Ok(()));
            let message = level(semantic_parts(), dimension, limit).unwrap_err();
            assert_eq!(message, format!("a latent holds {limit}, outside {} bits", [8, 10][dimension]));
        }
        assert!(level(parts(), 1, 256).is_err() && level(semantic_parts(), 1, u16::MAX).is_err());
        let mut representation = Representation::new(semantic_parts()).unwrap();
        representation.set_sample(5, &[255, 1023], &Sidecar::default()).unwrap();
        for levels in [[256, 0], [0, 1024]] {
            assert!(representation.set_sample(5, &levels, &Sidecar::default()).is_err());
        }
        assert_eq!(representation.latents.values[10..], [255, 1023]);
    }

    #[test]
    fn names_and_sizes_of_clips_have_bounds() {
        for name in ["", ".", "..", "../x", "a\\b", "a\nb"] {
            assert!(ClipName::new(name).unwrap_err().to_string().contains("plain file name"), "{name:?}");
        }
        assert!(ClipName::new("x".repeat(201)).is_err() && ClipName::new("ein Clip.é").is_ok());
        let refused = |frames, height, width| {
            Clip::new(ClipName::new("c").unwrap(), frames, height, width).unwrap_err().to_string()
        };
        assert!(refused(0, 8, 10).contains("0 frames") && refused(1_000_001, 8, 10).contains("frames"));
        assert!(refused(1, 0, 10).contains("10x0") && refused(1, 8, 4097).contains("1 to 4096"));
        assert!(Clip::new(ClipName::new("c").unwrap(), 1_000_000, 1, 1).unwrap().check_latents(1024).is_err());
    }

    #[test]
    fn a_sample_takes_other_values_that_fit() {
        let mut representation = Representation::new(parts()).unwrap();
        let of = |sample, amount| {
            let mut sidecar = Sidecar::default();
            sidecar.set(sample, CorrectionTarget::Latent { dimension: 1 }, amount);
            sidecar
        };
        representation.set_sample(2, &[1, 2], &of(2, 5)).unwrap();
        representation.set_sample(4, &[3, 4], &of(4, 6)).unwrap();
        representation.set_sample(2, &[5, 6], &of(2, -7)).unwrap();
        assert_eq!(representation.latents.values[4..6], [5, 6]);
        let amounts: Vec<_> = representation.sidecar.corrections().iter().map(|c| (c.sample, c.amount)).collect();
        assert_eq!(amounts, [(2, -7), (4, 6)]);
        let before = representation.clone();
        for (sample, latent, sidecar) in
            [(6, vec![1, 2], of(6, 1)), (1, vec![1], of(1, 1)), (1, vec![1, 2], of(2, 1)), (1, vec![1, 2], of(1, 32))]
        {
            assert!(representation.set_sample(sample, &latent, &sidecar).is_err());
        }
        assert!(representation.set_map(0, &[]).is_err());
        assert_eq!(representation, before);
        assert_eq!(Representation::new(before.into_parts()), Ok(representation));
    }
}
