//! A clip and its reconstruction, sample by sample: decoded, compared and resized in a thread of their own while the
//! evaluators run.

use std::fs::File;
use std::io;
use std::iter;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, bail};
use frames::{Planes, RawError, RawReader, RgbFrame, SquaredError};
use metric::evaluator_input;
use video::Clip;

/// Samples that may wait for the evaluators.
const AHEAD: usize = 2;

/// One sample of a clip and of its reconstruction.
pub struct Sample {
    /// The original's frames as the evaluators see them; absent where nobody needs them.
    pub original: Option<[Planes; 2]>,
    /// The reconstruction's frames as the evaluators see them.
    pub inflated: [Planes; 2],
    /// Of the frames, at the clip's size.
    pub error: SquaredError,
}

/// A clip and its reconstruction.
pub struct Pair {
    clip: Clip,
    raw: RawReader<File>,
    clip_path: PathBuf,
    raw_path: PathBuf,
}

impl Pair {
    /// Opens both, of the clip one track; the `.raw` must hold whole frames of the clip's size.
    pub fn open(clip_path: &Path, track: usize, raw_path: &Path) -> Result<Self> {
        let clip = Clip::open(clip_path, track)?;
        let raw = open_raw(raw_path, &clip).with_context(|| raw_path.display().to_string())?;
        Ok(Self { clip, raw, clip_path: clip_path.into(), raw_path: raw_path.into() })
    }

    /// Number of samples, should the reconstruction have as many frames as the clip.
    pub fn expected_samples(&self) -> usize {
        self.raw.frames() / 2
    }

    /// All samples; the first `known` ones without the original's frames. The first error is the last item. The frame
    /// counts must agree; an odd last frame, in no sample, may be missing in the reconstruction.
    pub fn samples(mut self, known: usize) -> impl Iterator<Item = Result<Sample>> {
        let (sender, receiver) = sync_channel(AHEAD);
        let mut worker = Some(thread::spawn(move || {
            if let Err(error) = self.send(known, &sender) {
                // Nobody listens any more: the evaluators failed first.
                let _ = sender.send(Err(error));
            }
        }));
        iter::from_fn(move || {
            let sample = receiver.recv().ok();
            if sample.is_none()
                && let Some(Err(panic)) = worker.take().map(JoinHandle::join)
            {
                // Fewer samples than there are would be another score.
                resume_unwind(panic);
            }
            sample
        })
    }

    fn send(&mut self, known: usize, sender: &SyncSender<Result<Sample>>) -> Result<()> {
        for index in 0.. {
            let Some(first) = self.clip.next().transpose()? else { return self.check_count(2 * index) };
            let Some(second) = self.clip.next().transpose()? else { return self.check_count(2 * index + 1) };
            let original = [first, second];
            if self.raw.frames() < 2 * index + 2 {
                return self.mismatch("more");
            }
            let inflated = [self.inflated(2 * index)?, self.inflated(2 * index + 1)?];
            let sample = Sample {
                error: original.iter().zip(&inflated).map(|(a, b)| SquaredError::of_frames(a, b)).sum(),
                original: (index >= known).then(|| original.each_ref().map(evaluator_input)),
                inflated: inflated.each_ref().map(|frame: &RgbFrame| evaluator_input(frame)),
            };
            if sender.send(Ok(sample)).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Frame `index` of the reconstruction.
    fn inflated(&mut self, index: usize) -> Result<RgbFrame> {
        self.raw.frame(index).with_context(|| self.raw_path.display().to_string())
    }

    fn check_count(&self, frames: usize) -> Result<()> {
        let found = self.raw.frames();
        if found == frames || found == frames - frames % 2 { Ok(()) } else { self.mismatch(&frames.to_string()) }
    }

    fn mismatch(&self, frames: &str) -> Result<()> {
        let (raw, clip) = (self.raw_path.display(), self.clip_path.display());
        bail!("{raw}: has {} frames, {clip} has {frames}; give the reconstruction of this clip", self.raw.frames())
    }
}

/// The frames in the file at `path`, which have the size of the clip's.
fn open_raw(path: &Path, clip: &Clip) -> Result<RawReader<File>, RawError> {
    let regular = |file: File| {
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
    };
    let file = File::open(path).and_then(regular).map_err(RawError::Read)?;
    RawReader::new(file, clip.width(), clip.height())
}
