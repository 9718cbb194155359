//! metrics.jsonl: a line per epoch, appended as it ends.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::run::TrainError;

/// One epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochLine {
    /// Number of the epoch over all stages, from 1.
    pub epoch: usize,
    /// Name of the stage.
    pub stage: String,
    /// Mean loss.
    pub loss: f64,
    /// PSNR of the training forward pass at the decoder's resolution, in dB.
    pub psnr: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// PSNR of the quantized moving average, where it was evaluated, in dB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantized_psnr: Option<f64>,
    /// Seconds of training up to here.
    pub seconds: f64,
}

/// The open file.
pub struct Metrics {
    path: PathBuf,
}

impl Metrics {
    /// Opens the file and drops the lines behind epoch `done`: a resumed run writes them again.
    pub fn open(path: PathBuf, done: usize) -> Result<Self, TrainError> {
        let mut kept = String::new();
        for line in Self::read(&path)?.iter().filter(|line| line.epoch <= done) {
            kept += &serde_json::to_string(line).unwrap_or_default();
            kept.push('\n');
        }
        output::write_whole(&path, kept.as_bytes())?;
        Ok(Self { path })
    }

    /// The whole lines of a file; none where it is absent.
    pub fn read(path: &PathBuf) -> Result<Vec<EpochLine>, TrainError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(TrainError::Io { path: path.clone(), source }),
        }
    }

    /// Appends one line.
    pub fn append(&mut self, line: &EpochLine) -> Result<(), TrainError> {
        let io = |source| TrainError::Io { path: self.path.clone(), source };
        let mut text = serde_json::to_string(line).map_err(|e| io(e.into()))?;
        text.push('\n');
        let mut file = OpenOptions::new().append(true).create(true).open(&self.path).map_err(io)?;
        file.write_all(text.as_bytes()).map_err(io)
    }
}
