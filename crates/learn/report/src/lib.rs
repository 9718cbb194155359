//! What a run leaves for those who look at it: where its files lie, the figures of each epoch, and the report. Nothing here
//! trains, decodes or evaluates; whoever does hands over what he found, and the page is made from what was stored of it alone.
//!
//! - [`RunFolder`]: the layout of a run folder; [`RunLock`] keeps other processes out of it.
//! - [`Metrics`], [`EpochLine`]: metrics.jsonl and the event file of TensorBoard, an epoch at a time.
//! - [`RunReport`] and [`Subject`]: a finished run's figures and the pairs to be shown; [`write()`] stores them and makes the page.
//! - [`remake`]: the page anew, from the stored report.
//!
//! ```
//! use report::{EpochLine, Metrics, RunFolder};
//!
//! let place = tempfile::tempdir()?;
//! let folder = RunFolder::new(place.path().join("run"));
//! let mut metrics = Metrics::open(&folder, 0)?;
//! let line = EpochLine {
//!     epoch: 1,
//!     stage: "pixels".into(),
//!     loss: 0.25,
//!     psnr: Some(21.5),
//!     segnet: None,
//!     posenet: None,
//!     learning_rate: 1e-3,
//!     quantized_psnr: None,
//!     score: None,
//!     seconds: 3.5,
//! };
//! metrics.append(&line)?;
//! assert_eq!(Metrics::read(&folder.metrics())?, [line]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chart;
mod data;
mod epoch;
mod error;
#[cfg(test)]
mod fixture;
mod folder;
mod html;
mod lock;
mod metrics;
mod page;
mod pictures;
mod store;
mod tensorboard;

pub use data::{MetricFigures, PairFigures, Picture, RunReport, Seen, choose};
pub use epoch::EpochLine;
pub use error::ReportError;
pub use folder::RunFolder;
pub use lock::RunLock;
pub use metrics::Metrics;
pub use pictures::{ClassMaps, Subject};
pub use store::{remake, write};
