//! Where the files of a run lie.

use std::path::{Path, PathBuf};

/// A run folder's files.
///
/// ```text
/// RUN/config.toml                    the resolved recipe
/// RUN/run.lock                       held by the process that writes here
/// RUN/checkpoints/last.safetensors   whole state, for --resume
/// RUN/checkpoints/best.safetensors   moving average with the best score after quantization (without evaluators: the best
///                                    PSNR), for hnerv encode
/// RUN/metrics.jsonl                  a line per epoch
/// RUN/events.out.tfevents.hnerv      the same figures for TensorBoard
/// RUN/archive.bin                    the best checkpoint, encoded
/// RUN/report.json, RUN/report/*.png  how the run went: figures, and images of some pairs
/// RUN/report.html                    the page that is made of them
/// ```
#[derive(Clone, Debug)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// The folder at `path`, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The run folder that a file lies in, or would lie in, if it is one; behind a link, that of the file it leads to.
    pub fn around(file: &Path) -> Option<Self> {
        let file = file.canonicalize().unwrap_or_else(|_| file.into());
        // A bare name has an empty parent, which is the working directory.
        let folder = Self::new(Path::new(".").join(file.parent()?));
        folder.last().parent()?.is_dir().then_some(folder)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The files that a run cannot make anew from the others.
    pub fn records(&self) -> [PathBuf; 6] {
        [self.config(), self.last(), self.best(), self.metrics(), self.events(), self.report_json()]
    }

    /// The resolved recipe.
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// Held by the process that writes here, see [`RunLock`](crate::RunLock).
    pub fn lock(&self) -> PathBuf {
        self.0.join("run.lock")
    }

    /// The resumable checkpoint.
    pub fn last(&self) -> PathBuf {
        self.0.join("checkpoints/last.safetensors")
    }

    /// The best checkpoint.
    pub fn best(&self) -> PathBuf {
        self.0.join("checkpoints/best.safetensors")
    }

    /// A line per epoch.
    pub fn metrics(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    /// The figures of each epoch for TensorBoard, which finds the file by its name.
    pub fn events(&self) -> PathBuf {
        self.0.join("events.out.tfevents.hnerv")
    }

    /// The archive.
    pub fn archive(&self) -> PathBuf {
        self.0.join("archive.bin")
    }

    /// The report as data.
    pub fn report_json(&self) -> PathBuf {
        self.0.join("report.json")
    }

    /// The report as a page.
    pub fn report_html(&self) -> PathBuf {
        self.0.join("report.html")
    }

    /// An image of the report.
    pub(crate) fn image(&self, name: &str) -> PathBuf {
        self.0.join("report").join(name)
    }
}
