//! From a checkpoint to a representation: quantization to the archive's grids.

use repr::{QuantizeError, Representation, Sidecar, TensorsError, quantize_latents, quantize_tensor, quantize_to_step};
use thiserror::Error;

use crate::checkpoint::Checkpoint;

/// Why a checkpoint cannot become an archive.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// Tensors are missing or do not fit the architecture.
    #[error(transparent)]
    Tensors(#[from] TensorsError),
    /// Values cannot be quantized.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
}

/// The checkpoint's moving average, quantized: parameters as they were trained to be, with the checkpoint's own bits and learned
/// steps, or plainly to `bits` where some are given; latents to 8 bits.
pub fn quantize(checkpoint: &Checkpoint, bits: Option<u8>) -> Result<Representation, EncodeError> {
    let metadata = &checkpoint.metadata;
    let architecture = metadata.architecture.clone();
    let (tensors, latents) = checkpoint.average();
    tensors.check(&architecture)?;
    let mut parameters = Vec::new();
    for parameter in architecture.parameters() {
        let (name, tensor) = (&parameter.name, tensors.get(&parameter.name)?);
        parameters.push(match (bits, checkpoint.step(name)) {
            (None, Some(step)) => quantize_to_step(name, tensor, metadata.bits, step)?,
            (bits, _) => quantize_tensor(name, tensor, bits.unwrap_or(metadata.bits))?,
        });
    }
    let latents = quantize_latents(&latents, architecture.latent_dim)?;
    Ok(Representation { architecture, clip: metadata.clip(), parameters, latents, sidecar: Sidecar::default() })
}

#[cfg(test)]
mod tests {
    use burn_core::tensor::Tensor;
    use burn_flex::Flex;
    use repr::{Architecture, Clip, Layer, Stage, Stem};

    use super::*;
    use crate::checkpoint::{Metadata, Position};
    use crate::fake_quantize::step_name;
    use crate::model::initialize;

    #[test]
    fn beyond_a_learned_grid_there_is_its_end() {
        let layers = vec![Layer::Stage(Stage { channels: 3, upscale: 2, kernel: 3 })];
        let architecture = Architecture { latent_dim: 2, stem: Stem { channels: 3, height: 2, width: 3 }, layers };
        let clip = Clip { name: "c".into(), frames: 4, height: 4, width: 6 };
        let device = Default::default();
        let mut parameters = initialize::<Flex>(&architecture, 2, 0.1, 1, &device);
        let name = "rgb_0.bias";
        parameters.insert(name.into(), Tensor::from_floats([[0.5], [-0.25], [40.0]], &device));
        parameters.insert(step_name(name), Tensor::from_floats([[0.01f32.ln()]], &device));
        let metadata = Metadata::new(architecture, &clip, 8, Position::default());
        let checkpoint = Checkpoint::of_average(metadata, &parameters);
        assert!(checkpoint.has_steps());
        let values = checkpoint.average().0.get(name).unwrap().values.clone();
        assert!((values[2] - 1.27).abs() < 1e-5 && values[..2] == [0.5, -0.25], "{values:?}");
        let found = |bits| {
            let representation = quantize(&checkpoint, bits).unwrap();
            representation.parameters.into_iter().find(|tensor| tensor.name == name).unwrap()
        };
        assert_eq!(found(None).values, [50, -25, 127]);
        // Plainly in as many bits: the same end, no learned step.
        let plain = found(Some(4));
        assert_eq!(plain.values, [3, -1, 7]);
        assert!((plain.dequantize()[2] - 1.27).abs() < 1e-5);
    }
}
