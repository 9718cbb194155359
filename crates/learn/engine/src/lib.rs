//! Training, a step at a time: the decoder as burn operations, losses, optimizers, quantization-aware training. It knows no paths
//! and no files, and no device before one is given.
//!
//! - [`Engine`]: a model in training. [`Engine::begin`] a stage, [`Engine::step`] on a [`Batch`] gives [`Figures`];
//!   [`Engine::state`] and [`Engine::average`] are what checkpoints and archives are made of.
//! - [`Parameters`], [`Key`]: all that is learned, tensor by tensor; on the host [`Parameters::quantize`] makes a
//!   [`repr::Representation`] of them.
//! - [`FrozenEvaluators`]: the networks that stages may ask; terms that ask them cannot be built without.
//! - [`schedule`]: a stage's share of its learning rates.
//!
//! What a backend has to offer is [`ops::Ops`].

mod engine;
mod host;
mod model;
mod optimizer;
mod parameters;
mod perception;
mod pixels;
mod quantization;
mod quantize;
mod rate;
mod schedule;

pub use engine::{Batch, Engine, EngineError, Figures, Origin, Setup};
pub use host::{HostState, Shapes};
pub use parameters::{Key, Parameters};
pub use perception::FrozenEvaluators;
pub use quantize::UnquantizableError;
pub use schedule::schedule;
