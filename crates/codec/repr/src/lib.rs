//! What is learned and stored: the decoder's architecture, its tensors, and both in quantized form.
//!
//! Three things live here and nothing else:
//!
//! - [`Architecture`]: the layer table. It alone fixes which parameters exist ([`Architecture::parameters`]), how large
//!   the frames are ([`Architecture::output_size`]) and what a pair costs ([`Architecture::flops`]). The trainer and the
//!   decoder both walk it, so there is one definition of the network.
//! - [`Tensor`], [`Tensors`]: named f32 tensors, what a checkpoint holds.
//! - [`Representation`]: quantized parameters and latents with the clip they stand for, what an archive holds; with them a
//!   [`Sidecar`] of corrections.
//!
//! Nothing here reads files or computes frames.

mod architecture;
mod quantize;
mod representation;
mod sidecar;
mod tensors;

pub use architecture::{
    Architecture, ArchitectureError, FRAMES_PER_SAMPLE, Layer, Parameter, ParameterRole, Refine, Stage, Stem, limits,
};
pub use quantize::{
    MAX_BITS, MIN_BITS, QuantizeError, quantize_latents, quantize_tensor, quantize_to_step, symmetric_step,
};
pub use representation::{Clip, QuantizedLatents, QuantizedTensor, Representation, RepresentationError};
pub use sidecar::{COSINES, Correction, MAX_AMOUNT, Sidecar, Target, cosine};
pub use tensors::{Tensor, Tensors, TensorsError};
