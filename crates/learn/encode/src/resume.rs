//! Searches that survive an interruption: the file that holds one until it comes to its end.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use output::OutputError;
use thiserror::Error;

use crate::error::EncodeError;

/// How often a search is saved.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// The state of a search, as a file keeps it.
pub trait Saved: Sized {
    /// The state as bytes. `key` names what the search was started on.
    fn encode(&self, key: &[u8; 32]) -> Vec<u8>;

    /// The state that [`encode`](Self::encode) made into bytes; nothing where they are damaged or have another key.
    fn decode(bytes: &[u8], key: &[u8; 32]) -> Option<Self>;

    /// Finished steps, of [`Steps::steps`].
    fn finished(&self) -> usize;

    /// Seconds that the search has taken, all its parts together.
    fn seconds(&self) -> f64;

    /// The search took so many seconds more.
    fn spend(&mut self, seconds: f64);
}

/// A search that goes step by step, each from one state to the next, so that it can end behind any of them.
pub trait Steps {
    /// How far it has come.
    type State: Saved;

    /// Most steps of the whole search.
    fn steps(&self) -> usize;

    /// Whether there is nothing more to do.
    fn is_finished(&self, state: &Self::State) -> bool;

    /// Takes the next step; nothing where there is none.
    fn step(&mut self, state: &mut Self::State) -> Result<(), EncodeError>;
}

/// Why a search cannot be kept, or gone on with.
#[derive(Debug, Error)]
pub enum ResumeError {
    /// A file that tells this search from others cannot be read.
    #[error("{}: cannot read: {cause}; check the path", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The kept search cannot be read.
    #[error("{}: cannot read: {cause}; remove it to begin anew", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The file holds another search.
    #[error(
        "{} holds a search with other files or flags: repeat its command to go on with it, or remove it", path.display()
    )]
    Other {
        /// The file.
        path: PathBuf,
    },
    /// The search cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The search itself.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// The file that holds a search until it comes to its end.
pub struct SearchFile {
    path: PathBuf,
    key: [u8; 32],
}

impl SearchFile {
    /// The file beside the archive `output`, for a search over what `inputs` hold with the `settings`.
    ///
    /// # Errors
    ///
    /// An input that cannot be read.
    pub fn beside(output: &Path, inputs: &[&Path], settings: &str) -> Result<Self, ResumeError> {
        let mut name = output.file_name().unwrap_or_default().to_owned();
        name.push(".search");
        let mut hasher = blake3::Hasher::new();
        for &path in inputs {
            let mut file = blake3::Hasher::new();
            let read = File::open(path).and_then(|opened| file.update_reader(opened).map(|_| ()));
            read.map_err(|cause| ResumeError::Input { path: path.into(), cause })?;
            hasher.update(file.finalize().as_bytes());
        }
        hasher.update(format!("{} {settings}", env!("CARGO_PKG_VERSION")).as_bytes());
        Ok(Self { path: output.with_file_name(name), key: *hasher.finalize().as_bytes() })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The search that was interrupted, if there is one; that of another command is neither gone on with nor lost.
    pub fn read<S: Saved>(&self) -> Result<Option<S>, ResumeError> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(ResumeError::Read { path: self.path.clone(), cause }),
        };
        match S::decode(&bytes, &self.key) {
            Some(state) => Ok(Some(state)),
            None => Err(ResumeError::Other { path: self.path.clone() }),
        }
    }

    /// Keeps a search.
    pub fn write(&self, state: &impl Saved) -> Result<(), ResumeError> {
        Ok(output::write_whole(&self.path, &state.encode(&self.key))?)
    }

    /// Forgets the search: what is left of one that came to its end is of no use.
    pub fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }

    /// Goes on with a search to its end, keeping it every minute, and asks `go_on` after every step; false, and the search
    /// kept, once that says no.
    pub fn finish<S: Steps>(
        &self,
        search: &mut S,
        state: &mut S::State,
        mut go_on: impl FnMut(&S, &S::State) -> bool,
    ) -> Result<bool, ResumeError> {
        let (mut written, mut begun) = (Instant::now(), Instant::now());
        while !search.is_finished(state) {
            search.step(state)?;
            state.spend(begun.elapsed().as_secs_f64());
            begun = Instant::now();
            let stop = !go_on(search, state);
            if stop || written.elapsed() > SAVE_EVERY {
                self.write(state)?;
                written = Instant::now();
            }
            if stop {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::SearchState;

    #[test]
    fn a_search_of_other_inputs_or_settings_is_neither_read_nor_lost() {
        let folder = tempfile::tempdir().unwrap();
        let (output, input) = (folder.path().join("archive.bin"), folder.path().join("in"));
        assert!(matches!(SearchFile::beside(&output, &[&input], "2"), Err(ResumeError::Input { .. })));
        std::fs::write(&input, b"one").unwrap();
        let file = SearchFile::beside(&output, &[&input], "2").unwrap();
        assert_eq!(file.path(), folder.path().join("archive.bin.search"));
        assert!(file.read::<SearchState>().unwrap().is_none());
        std::fs::write(file.path(), b"other").unwrap();
        assert!(matches!(file.read::<SearchState>(), Err(ResumeError::Other { .. })));
        assert!(file.path().exists());
        let key = |settings| SearchFile::beside(&output, &[&input], settings).unwrap().key;
        assert_ne!(key("2"), key("3"));
        std::fs::write(&input, b"two").unwrap();
        assert_ne!(key("2"), file.key);
        file.remove();
        assert!(!file.path().exists());
    }
}
