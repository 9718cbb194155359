//! A run: from a recipe and a clip made ready to a folder with an archive and a report. It drives the engine; what engine and
//! evaluators find it stores.
//!
//! - [`run`]: a whole run of a [`Job`] on a [`Device`], resumable, telling its progress to an [`Observer`].
//! - [`Checkpoint`]: the files that a run goes on from, and what [`Checkpoint::quantize`] makes of one.
//!
//! Scoring during training decodes through the `decoder` crate, so a figure in the metrics is what `inflate` gives.

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
