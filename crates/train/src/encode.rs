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

/// The checkpoint's moving average, quantized: parameters to `bits` (the checkpoint's own where none is given, then also with
/// its learned steps), latents to 8 bits.
pub fn quantize(checkpoint: &Checkpoint, bits: Option<u8>) -> Result<Representation, EncodeError> {
    let metadata = &checkpoint.metadata;
    let architecture = metadata.architecture.clone();
    let (tensors, latents) = checkpoint.average();
    tensors.check(&architecture)?;
    let bits = bits.unwrap_or(metadata.bits);
    let mut parameters = Vec::new();
    for parameter in architecture.parameters() {
        let (name, tensor) = (&parameter.name, tensors.get(&parameter.name)?);
        parameters.push(match checkpoint.step(name).filter(|_| bits == metadata.bits) {
            Some(step) => quantize_to_step(name, tensor, bits, step)?,
            None => quantize_tensor(name, tensor, bits)?,
        });
    }
    let latents = quantize_latents(&latents, architecture.latent_dim)?;
    Ok(Representation { architecture, clip: metadata.clip(), parameters, latents, sidecar: Sidecar::default() })
}
