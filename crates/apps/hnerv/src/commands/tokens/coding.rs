//! Which token videos, and how to code them, with progress: what the commands have in common.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Context;
use cli::Progress;
use token_files::{SegmentFile, read};
use tokens::{Options, Prior, Summary};

/// Which token videos.
#[derive(clap::Args)]
pub struct Input {
    /// .npy files, or folders: all .npy files below, named relative to the folder.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

/// How to code them.
#[derive(clap::Args)]
pub struct Coding {
    /// What `hnerv tokens train` learned; needed again for decompression.
    #[arg(long)]
    prior: Option<PathBuf>,
    /// Segments that are coded as one, each learning from those before it. 1: each stands alone and is read out at once.
    #[arg(long, default_value_t = Options::DEFAULT.group)]
    group: NonZeroUsize,
    #[command(flatten)]
    threads: Threads,
}

/// How many threads.
#[derive(clap::Args)]
pub struct Threads {
    /// Processor threads [default: all cores]; each group takes one, and about 150 to 300 MB.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl Input {
    /// The files.
    pub fn files(&self) -> anyhow::Result<Vec<SegmentFile>> {
        Ok(token_files::segment_files(&self.paths)?)
    }
}

impl Threads {
    /// Sees to it that there are so many, if a number was given.
    pub fn apply(&self) -> anyhow::Result<()> {
        if let Some(threads) = self.threads {
            rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
        }
        Ok(())
    }
}

impl Coding {
    /// The prior, if there is one.
    pub fn prior(&self) -> anyhow::Result<Option<LoadedPrior>> {
        self.prior.as_deref().map(LoadedPrior::read).transpose()
    }

    /// Writes an archive, with progress.
    pub fn compress(
        &self,
        files: &[SegmentFile],
        prior: Option<&LoadedPrior>,
        out: &mut impl Write,
    ) -> anyhow::Result<Summary> {
        self.threads.apply()?;
        let options = Options { prior: prior.map(|prior| &prior.prior), group: self.group };
        let progress = Mutex::new(Progress::new("compress", files.len() as u64));
        let load = |i: usize| files[i].load();
        let summary = tokens::compress(files.len(), &load, &options, out, &|done| show(&progress, done))?;
        finish(progress, files.len());
        Ok(summary)
    }
}

/// A prior and the size of its file.
pub struct LoadedPrior {
    /// The prior.
    pub prior: Prior,
    /// Bytes of its file.
    pub bytes: usize,
    /// Its file.
    pub path: PathBuf,
}

impl LoadedPrior {
    /// Reads a prior.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = read(path)?;
        let prior = Prior::read(&bytes).with_context(|| path.display().to_string())?;
        Ok(Self { prior, bytes: bytes.len(), path: path.into() })
    }
}

/// Shows how many segments are done.
pub fn show(progress: &Mutex<Progress>, done: usize) {
    if let Ok(mut progress) = progress.lock() {
        progress.set(done as u64, || "segments".into());
    }
}

/// Shows that all are done.
pub fn finish(progress: Mutex<Progress>, segments: usize) {
    if let Ok(progress) = progress.into_inner() {
        progress.finish(format!("{segments} segments"));
    }
}
