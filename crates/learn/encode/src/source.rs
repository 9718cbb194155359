use repr::{Representation, Tensors};

use crate::error::EncodeError;

/// What is to be encoded.
#[derive(Clone, Debug)]
pub struct Source {
    parameters: Tensors,
    latents: Vec<f32>,
    plain: Representation,
}

impl Source {
    /// Float parameters, float latents `[latents, latent_dim]` row-major, and what a plain quantization makes of them: the
    /// same on the grids that training rounded to.
    pub fn new(parameters: Tensors, latents: Vec<f32>, plain: Representation) -> Result<Self, EncodeError> {
        let fits = *parameters.architecture() == plain.architecture && latents.len() == plain.latents.values.len();
        if fits { Ok(Self { parameters, latents, plain }) } else { Err(EncodeError::Source) }
    }

    /// Float parameters.
    pub fn parameters(&self) -> &Tensors {
        &self.parameters
    }

    /// Float latents, `[latents, latent_dim]` row-major.
    pub fn latents(&self) -> &[f32] {
        &self.latents
    }

    /// What a plain quantization gives.
    pub fn plain(&self) -> &Representation {
        &self.plain
    }

    /// A source that is what a plain quantization gives and nothing finer, as after training on its grids.
    pub fn of(plain: Representation) -> Self {
        let parameters = plain.dequantize();
        let latents = plain.latents.dequantize();
        Self { parameters, latents, plain }
    }
}
