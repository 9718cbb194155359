//! metrics.jsonl and the event file of TensorBoard: a line and an event per epoch, appended as it ends.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::evaluate::Score;
use crate::run::{RunFolder, TrainError};
use crate::tensorboard::EventFile;

/// One epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochLine {
    /// Number of the epoch over all stages, from 1.
    pub epoch: usize,
    /// Name of the stage.
    pub stage: String,
    /// Mean loss.
    pub loss: f64,
    /// PSNR of the training forward pass at the decoder's resolution, in dB; absent without pixel terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub psnr: Option<f64>,
    /// SegNet's distortion of the training forward pass, where evaluators were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segnet: Option<f64>,
    /// PoseNet's distortion likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posenet: Option<f64>,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// PSNR of the quantized moving average, where it was evaluated, in dB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantized_psnr: Option<f64>,
    /// The metric on the quantized moving average, where it was evaluated and there are evaluators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
    /// Seconds of training up to here.
    pub seconds: f64,
}

/// The open files.
pub struct Metrics {
    path: PathBuf,
    events: EventFile,
}

impl Metrics {
    /// Opens the files of a run and drops what is behind epoch `done`: a resumed run writes it again.
    pub fn open(folder: &RunFolder, done: usize) -> Result<Self, TrainError> {
        let path = folder.metrics();
        let mut lines = Self::read(&path)?;
        lines.retain(|line| line.epoch <= done);
        let mut kept = String::new();
        for line in &lines {
            kept += &serde_json::to_string(line).unwrap_or_default();
            kept.push('\n');
        }
        output::write_whole(&path, kept.as_bytes())?;
        Ok(Self { path, events: EventFile::create(folder.events(), &lines)? })
    }

    /// The whole lines of a metrics.jsonl; none where it is absent.
    pub fn read(path: &PathBuf) -> Result<Vec<EpochLine>, TrainError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(TrainError::Io { path: path.clone(), source }),
        }
    }

    /// Appends one epoch.
    pub fn append(&mut self, line: &EpochLine) -> Result<(), TrainError> {
        let io = |source| TrainError::Io { path: self.path.clone(), source };
        let mut text = serde_json::to_string(line).map_err(|e| io(e.into()))?;
        text.push('\n');
        let mut file = OpenOptions::new().append(true).create(true).open(&self.path).map_err(io)?;
        file.write_all(text.as_bytes()).map_err(io)?;
        self.events.append(line)
    }
}
