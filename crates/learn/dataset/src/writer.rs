//! Writing target caches.

use std::path::Path;

use frames::RgbFrame;
use output::{OutputError, OutputFile};
use rayon::prelude::*;

use crate::error::DatasetError;
use crate::format::{encode_info, encode_outputs, section_head, tag};
use crate::info::DatasetInfo;
use crate::outputs::OriginalOutputs;
use crate::residual;

/// Groups that wait to be compressed side by side; each takes some 60 MB at 384x512.
const MAX_PENDING_GROUPS: usize = 8;

/// Writes a target cache frame by frame, in bounded memory; whole on [`finish`](Self::finish), absent without it.
#[derive(Debug)]
pub struct DatasetWriter {
    info: DatasetInfo,
    file: OutputFile,
    hasher: blake3::Hasher,
    pending: Vec<Vec<u8>>,
    frames: usize,
}

impl DatasetWriter {
    /// Starts a file.
    pub fn create(path: impl AsRef<Path>, info: &DatasetInfo) -> Result<Self, DatasetError> {
        if !info.is_possible() {
            return Err(DatasetError::Clip(info.clone()));
        }
        let file = OutputFile::create(path)?;
        let mut writer =
            Self { info: info.clone(), file, hasher: blake3::Hasher::new(), pending: Vec::new(), frames: 0 };
        writer.append(&encode_info(info))?;
        Ok(writer)
    }

    /// Appends a frame of the clip, at the clip's size.
    pub fn push(&mut self, frame: &RgbFrame) -> Result<(), DatasetError> {
        let mismatch = |[found, expected]: [_; 2]| DatasetError::Frame { index: self.frames, found, expected };
        self.info.fits(frame).map_err(mismatch)?;
        self.pending.push(self.info.reduce(frame));
        self.frames += 1;
        let groups = rayon::current_num_threads().min(MAX_PENDING_GROUPS);
        if self.pending.len() >= residual::GROUP * groups { self.flush() } else { Ok(()) }
    }

    /// Finishes the file with the outputs of `frames / 2` samples, if there are any.
    pub fn finish(mut self, outputs: Option<&OriginalOutputs>) -> Result<(), DatasetError> {
        self.flush()?;
        if let Some(outputs) = outputs {
            if outputs.samples.len() != self.frames / 2 {
                return Err(DatasetError::Samples { found: outputs.samples.len(), frames: self.frames });
            }
            let payload =
                encode_outputs(outputs).map_err(|cause| OutputError::Write { path: self.file.path().into(), cause })?;
            self.section(tag::OUTPUTS, &payload)?;
        }
        self.section(tag::END, &(self.frames as u32).to_le_bytes())?;
        let hash = self.hasher.finalize();
        self.file.append(hash.as_bytes())?;
        Ok(self.file.commit()?)
    }

    fn flush(&mut self) -> Result<(), DatasetError> {
        let pending = std::mem::take(&mut self.pending);
        let DatasetInfo { height, width, .. } = self.info;
        let pack = |group: &[Vec<u8>]| {
            [(group.len() as u32).to_le_bytes().as_slice(), &residual::compress(group, height, width)].concat()
        };
        let groups: Vec<Vec<u8>> = pending.par_chunks(residual::GROUP).map(pack).collect();
        groups.iter().try_for_each(|group| self.section(tag::GROUP, group))
    }

    fn section(&mut self, tag: u8, payload: &[u8]) -> Result<(), DatasetError> {
        self.append(&section_head(tag, payload))?;
        self.append(payload)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), DatasetError> {
        self.hasher.update(bytes);
        Ok(self.file.append(bytes)?)
    }
}
