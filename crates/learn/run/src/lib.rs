//! A run: from a recipe and a clip made ready to a folder with an archive and a report. It drives the engine; what engine and
//! evaluators find it stores.
//!
//! - [`run`]: a whole run of a [`Job`] on a [`Device`], resumable, telling its progress to an [`Observer`].
//! - [`Checkpoint`]: the files that a run goes on from, and what [`Checkpoint::quantize`] makes of one.
//!
//! Scoring during training decodes through the `decoder` crate, so a figure in the metrics is what `inflate` gives.
//!
//! ```
//! use dataset::{Dataset, DatasetInfo};
//! use evaluate::Evaluation;
//! use frames::RgbFrame;
//! use metric::PerceptionStack;
//! use recipe::Recipe;
//! use report::RunFolder;
//! use run::{Device, Job, Observer, Outcome, Status};
//!
//! /// Hears of every step and never interrupts.
//! #[derive(Default)]
//! struct Losses(Vec<f64>);
//!
//! impl Observer for Losses {
//!     fn status(&mut self, status: &Status<'_>) {
//!         self.0.push(status.loss);
//!     }
//!     fn evaluated(&mut self, _epoch: usize, _found: &Evaluation, _best: bool) {}
//!     fn interrupted(&self) -> bool {
//!         false
//!     }
//! }
//!
//! let place = tempfile::tempdir()?;
//! let path = place.path().join("recipe.toml");
//! std::fs::write(&path, r#"
//!     clip = { path = "drive.mkv" }
//!     decoder = { latent_dim = 2, stem = { channels = 4, height = 8, width = 12 }, layers = [{ kind = "stage", channels = 4 }] }
//!     training = { batch = 2 }
//!     [[stage]]
//!     name = "pixels"
//!     epochs = 5
//!     learning_rate = 1e-2
//!     loss = { l1 = 1.0 }
//! "#)?;
//! let recipe = Recipe::read(&path, &[])?;
//!
//! let info = DatasetInfo {
//!     name: repr::ClipName::new("drive")?,
//!     clip_bytes: std::num::NonZeroU64::new(10_000).expect("not zero"),
//!     clip_height: 16,
//!     clip_width: 24,
//!     height: 16,
//!     width: 24,
//! };
//! let mut dataset = Dataset::new(info)?;
//! for i in 0..8 {
//!     dataset.push(&RgbFrame::new(24, 16, vec![30 * i; 3 * 16 * 24])?)?;
//! }
//!
//! // Four pairs, two a step, five epochs: ten steps.
//! let folder = RunFolder::new(place.path().join("run"));
//! let mut load = |_: Option<&mut dyn PerceptionStack>| Ok(dataset.clone());
//! let job = Job { recipe: &recipe, load: &mut load, evaluators: None, folder: &folder, resume: false };
//! let mut losses = Losses::default();
//! let Outcome::Finished { archive_bytes, .. } = run::run(Device::Cpu, job, &mut losses)? else { unreachable!() };
//! assert_eq!(losses.0.len(), 10);
//! assert_eq!(std::fs::read(folder.archive())?.len(), archive_bytes);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checkpoint;
mod device;
mod error;
mod finish;
mod identity;
mod observer;
mod open;
mod resume;
mod sampling;
mod session;

pub use checkpoint::{Checkpoint, CheckpointError, Metadata, Position};
pub use device::{Device, run};
pub use error::RunError;
pub use identity::RunIdentity;
pub use observer::{Observer, Status};
pub use open::{Job, Load};
pub use session::Outcome;
