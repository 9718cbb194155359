//! A dataset in memory.

use frames::RgbFrame;
use metric::{NetworkHashes, SampleOutputs};
use repr::{Clip, ClipName, FRAMES_PER_SAMPLE, RepresentationError};

use crate::error::DatasetError;
use crate::info::DatasetInfo;
use crate::outputs::OriginalOutputs;

/// A clip's frames at decoder resolution and what a perception stack says of them, in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    info: DatasetInfo,
    outputs: Option<OriginalOutputs>,
    frames: Vec<u8>,
}

impl Dataset {
    /// No frames yet.
    ///
    /// # Errors
    ///
    /// Sides of 0 or beyond 16384.
    pub fn new(info: DatasetInfo) -> Result<Self, DatasetError> {
        if !info.is_possible() {
            return Err(DatasetError::Clip(info));
        }
        Ok(Self { info, outputs: None, frames: Vec::new() })
    }

    /// The same dataset with whole frames, `[n, 3, height, width]`, in place of its own.
    pub(crate) fn with_frames(self, frames: Vec<u8>) -> Self {
        Self { frames, ..self }
    }

    /// Appends a frame of the clip, at the clip's size; what [`DatasetWriter::push`](crate::DatasetWriter::push) would keep of
    /// it.
    pub fn push(&mut self, frame: &RgbFrame) -> Result<(), DatasetError> {
        let mismatch = |[found, expected]: [_; 2]| DatasetError::Frame { index: self.frame_count(), found, expected };
        self.info.fits(frame).map_err(mismatch)?;
        self.frames.extend(self.info.reduce(frame));
        Ok(())
    }

    /// The same frames with what a stack says of them: one entry a whole pair.
    pub fn with_outputs(self, outputs: OriginalOutputs) -> Result<Self, DatasetError> {
        let (found, frames) = (outputs.samples.len(), self.frame_count());
        if found != frames / FRAMES_PER_SAMPLE {
            return Err(DatasetError::Samples { found, frames });
        }
        Ok(Self { outputs: Some(outputs), ..self })
    }

    /// The same frames with nothing said of them.
    pub fn without_outputs(self) -> Self {
        Self { outputs: None, ..self }
    }

    /// The same of a clip of another name.
    pub(crate) fn named(self, name: ClipName) -> Self {
        Self { info: DatasetInfo { name, ..self.info }, ..self }
    }

    /// What it was made from, and the frames' size.
    pub fn info(&self) -> &DatasetInfo {
        &self.info
    }

    /// BLAKE3 hash of what training sees of the clip: its frames at decoder resolution, with the sizes of clip and file. The same
    /// for the clip and for its target cache, whatever they are called.
    pub fn content_hash(&self) -> blake3::Hash {
        let DatasetInfo { name: _, clip_bytes, clip_height, clip_width, height, width } = self.info;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&clip_bytes.get().to_le_bytes());
        for side in [clip_height, clip_width, height, width] {
            hasher.update(&(side as u64).to_le_bytes());
        }
        hasher.update(&self.frames);
        hasher.finalize()
    }

    /// What a representation of these frames stands for.
    ///
    /// # Errors
    ///
    /// A clip that no archive can describe: without frames, too long or too large.
    pub fn clip(&self) -> Result<Clip, RepresentationError> {
        let info = &self.info;
        Clip::new(info.name.clone(), self.frame_count(), info.clip_height, info.clip_width)
    }

    /// Rows and columns of the frames.
    pub fn size(&self) -> (usize, usize) {
        (self.info.height, self.info.width)
    }

    /// Number of frames.
    pub fn frame_count(&self) -> usize {
        self.frames.len() / self.info.frame_len()
    }

    /// All frames, `[n, 3, height, width]`.
    pub fn frames(&self) -> &[u8] {
        &self.frames
    }

    /// Frame `index`, `[3, height, width]`, or nothing past the last one.
    pub fn frame(&self, index: usize) -> Option<&[u8]> {
        self.frames.chunks_exact(self.info.frame_len()).nth(index)
    }

    /// Both frames of a sample, `[3, height, width]` each; a clip of an odd number of frames repeats its last one, and past the
    /// last sample there is nothing in them.
    pub fn pair(&self, sample: usize) -> [&[u8]; FRAMES_PER_SAMPLE] {
        let first = self.frame(FRAMES_PER_SAMPLE * sample).unwrap_or_default();
        [first, self.frame(FRAMES_PER_SAMPLE * sample + 1).unwrap_or(first)]
    }

    /// The networks that were asked about the clip, if any were.
    pub fn networks(&self) -> Option<NetworkHashes> {
        Some(self.outputs.as_ref()?.networks)
    }

    /// What they said of each whole pair, if they were asked.
    pub fn originals(&self) -> Option<&[SampleOutputs]> {
        Some(&self.outputs.as_ref()?.samples)
    }
}
