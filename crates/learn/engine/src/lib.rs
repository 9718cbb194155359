//! Training, a step at a time: the decoder as burn operations, losses, optimizers, quantization-aware training. It knows no paths
//! and no files, and no device before one is given.
//!
//! - [`Engine`]: a model in training, made of a [`Setup`], class maps among it where the decoder is fed with them.
//!   [`Engine::begin`] a stage, [`Engine::step`] on a [`Batch`] gives [`Figures`]; [`Engine::state`] and [`Engine::average`] are what
//!   checkpoints and archives are made of.
//! - [`Parameters`], [`Key`]: all that is learned, tensor by tensor; on the host [`Parameters::quantize`] makes a
//!   [`repr::Representation`] of them.
//! - [`FrozenEvaluators`]: the networks that stages may ask; terms that ask them cannot be built without.
//! - [`schedule`]: a stage's share of its learning rates.
//!
//! What a backend has to offer is [`ops::Ops`].
//!
//! ```
//! use burn_autodiff::Autodiff;
//! use burn_flex::Flex;
//! use engine::{Batch, Engine, Origin, Setup};
//! use recipe::Recipe;
//! use repr::{Clip, ClipName};
//!
//! let table = toml::from_str(r#"
//!     clip = { path = "drive.mkv" }
//!     decoder = { latent_dim = 2, stem = { channels = 4, height = 8, width = 12 }, layers = [{ kind = "stage", channels = 4 }] }
//!     [[stage]]
//!     name = "pixels"
//!     epochs = 10
//!     learning_rate = 1e-2
//!     loss = { l1 = 1.0 }
//! "#)?;
//! let recipe = Recipe::new(table, "recipe.toml".as_ref())?;
//! let setup = Setup {
//!     architecture: recipe.decoder().clone(),
//!     clip: Clip::new(ClipName::new("drive")?, 4, 16, 24)?,
//!     clip_bytes: std::num::NonZeroU64::new(10_000).expect("not zero"),
//!     training: recipe.training().clone(),
//!     maps: None,
//! };
//! let mut engine = Engine::<Autodiff<Flex>>::new(setup, None, None, Default::default());
//! let stage = &recipe.stages()[0];
//! engine.begin(stage, Origin::Weights);
//!
//! // Ten steps on both pairs: a dark frame, then a bright one.
//! let (dark, bright) = ([20; 3 * 16 * 24], [220; 3 * 16 * 24]);
//! let frames = vec![[dark.as_slice(), bright.as_slice()]; 2];
//! let batch = Batch { samples: &[0, 1], frames, originals: Vec::new(), mean_pose: None };
//! let losses = (0..10).map(|_| engine.step(stage, &batch, 1.0).map(|figures| figures.loss)).collect::<Result<Vec<_>, _>>()?;
//! assert!(losses[9] < losses[0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
