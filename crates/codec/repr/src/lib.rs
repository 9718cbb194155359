//! What is learned and stored: the decoder's architecture, its parameters, and both with the latents in quantized form.
//!
//! - [`LayerTable`]: the rows that recipes, checkpoints and archives hold. [`Architecture`]: a table that can be, with its
//!   [`Graph`] of typed [`Node`]s: which parameters exist, how large everything is, what a pair costs. The coder, the decoder,
//!   the trainer and the encoder all fold over it, so there is one definition of the network.
//! - [`Tensors`]: the parameters of an architecture as floats.
//! - [`Representation`]: quantized parameters and latents with the [`Clip`] they stand for and a [`Sidecar`] of corrections, what
//!   an archive holds; made of [`RepresentationParts`] that fit together.
//! - [`quantize_tensor`], [`quantize_to_step`], [`quantize_latents`]: from floats to integers on a grid.
//! - [`ClassMaps`]: what a segmentation network sees in each sample; part of a representation whose decoder is fed with it.
//! - [`limits`]: what no architecture or representation goes beyond.
//!
//! What has a constructor that returns a result is valid from then on. Nothing here reads files or computes frames.
//!
//! ```
//! use repr::{Architecture, LayerTable, quantize_tensor};
//!
//! let reference = Architecture::new(LayerTable::reference(36, 28))?;
//! assert_eq!((reference.graph().parameter_count(), reference.output_size()), (228_958, (384, 512)));
//!
//! let tensor = quantize_tensor("weights", &[0.5, -1.0, 0.25], 8)?;
//! assert_eq!(tensor.values, [64, -127, 32]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod architecture;
mod clip;
mod error;
mod graph;
pub mod limits;
mod maps;
mod quantize;
mod quantized;
mod representation;
mod sidecar;
mod table;
mod tensors;

pub use architecture::Architecture;
pub use clip::{Clip, ClipName};
pub use error::RepresentationError;
pub use graph::{
    Activation, ArchitectureError, CarrierNode, Convolution, Graph, Node, Operation, Parameter, ParameterId,
    ParameterKind, ParameterRole,
};
pub use kernels::{Nonlinearity, Skip};
pub use maps::{ClassMaps, MapShape};
pub use quantize::{
    MAX_BITS, MIN_BITS, QuantizeError, quantize_latents, quantize_tensor, quantize_to_step, symmetric_step,
};
pub use quantized::{QuantizedLatents, QuantizedTensor};
pub use representation::{Representation, RepresentationParts};
pub use sidecar::{COSINES, Correction, CorrectionTarget, FRAME_STEP, HALF_WAVES, MAX_AMOUNT, Sidecar, cosine};
pub use table::{Carrier, FRAMES_PER_SAMPLE, Head, Layer, LayerTable, Refine, Residual, Stage, Stem};
pub use tensors::{Tensors, TensorsError};
