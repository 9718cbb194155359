//! Output files that are whole or absent: [`OutputFile`] is written beside its place and renamed into it by
//! [`OutputFile::commit`]; [`write_whole`] does both at once. On Linux the unfinished file has no name where the file
//! system allows (`O_TMPFILE`), so that nothing is left even of a killed process. And never over an input:
//! [`OutputFile::create_apart`], or [`keep_apart`] where somebody else opens the file.
//!
//! Errors are one line: which file, what is wrong, what to do.
//!
//! ```
//! use output::{OutputFile, write_whole};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("made/on/the/way/frames.raw");
//! let mut file = OutputFile::create(&path)?;
//! file.append(&[1, 2, 3])?;
//! assert!(!path.exists());
//! file.commit()?;
//! assert_eq!(std::fs::read(&path)?, [1, 2, 3]);
//! write_whole(&path, b"others")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod folders;

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};

use atomic_write_file::AtomicWriteFile;
use thiserror::Error;

pub use folders::NewFolders;

/// Large enough that a frame takes a handful of system calls.
const BUFFER: usize = 1 << 20;

/// Why an output file could not be written.
///
/// The text holds the cause, so no variant has a `source`: a report that walks the chain would say it twice.
#[derive(Debug, Error)]
pub enum OutputError {
    /// The path names no file.
    #[error("{}: is a folder or no file name; give the path of a file", path.display())]
    NotAFile {
        /// What was given.
        path: PathBuf,
    },
    /// A folder above the file cannot be made.
    #[error("{}: cannot make the folder: {cause}; {}", path.display(), advice(cause))]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The file is an input of the same command.
    #[error("{}: would overwrite the input {}; give another output", path.display(), input.display())]
    Input {
        /// The output as the caller named it.
        path: PathBuf,
        /// The input.
        input: PathBuf,
    },
    /// Opening, writing or renaming failed.
    #[error("{}: cannot write: {cause}; {}", path.display(), advice(cause))]
    Write {
        /// The file as the caller named it.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

/// Whether the reader of a pipe went away.
static UNREAD: AtomicBool = AtomicBool::new(false);

/// True once the reader of an output that is a pipe went away: it has seen what it wanted, and the error is none.
pub fn reader_went_away() -> bool {
    UNREAD.load(Ordering::SeqCst)
}

impl OutputError {
    fn write(path: &Path, cause: io::Error) -> Self {
        if cause.kind() == ErrorKind::BrokenPipe {
            UNREAD.store(true, Ordering::SeqCst);
        }
        Self::Write { path: path.into(), cause }
    }
}

/// What the user can do about it.
fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space or write to another disk",
        ErrorKind::FileTooLarge => "raise the file-size limit (ulimit -f) or write to another disk",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "make the folder writable or choose another place"
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "a file stands where a folder must be: choose another place"
        }
        _ => "check the path and its disk",
    }
}

/// A file being written: it takes its place, whole, on [`commit`](Self::commit); dropped before, it leaves nothing.
///
/// Folders that were made for it go with it. Buffered. The errors of its [`Write`] carry an [`OutputError`], path and advice included.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    sink: BufWriter<Sink>,
    /// Dropped behind the sink, which may have a file in them.
    folders: NewFolders,
}

#[derive(Debug)]
enum Sink {
    /// Renamed into place at the end.
    Beside(AtomicWriteFile),
    /// A device, a pipe: written straight, nothing to rename.
    Direct(File),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Beside(file) => file.write(bytes),
            Self::Direct(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Beside(file) => file.flush(),
            Self::Direct(file) => file.flush(),
        }
    }
}

impl OutputFile {
    /// Opens an output file at `path` and makes the folders above it. An existing file stays as it is until
    /// [`commit`](Self::commit) and then passes its mode on; behind a symbolic link, the file it points to is replaced.
    /// What exists and is no regular file (`/dev/stdout`, a pipe) is written straight.
    ///
    /// Where there are inputs, [`create_apart`](Self::create_apart).
    pub fn create(path: impl AsRef<Path>) -> Result<Self, OutputError> {
        let path = path.as_ref();
        survive_size_limit();
        let failed = |cause| OutputError::write(path, cause);
        let mut folders = NewFolders::default();
        let sink = match fs::metadata(path) {
            _ if is_stream(path, "stdout", 1) => Sink::Direct(duplicate(&io::stdout()).map_err(failed)?),
            _ if is_stream(path, "stderr", 2) => Sink::Direct(duplicate(&io::stderr()).map_err(failed)?),
            Ok(found) if found.is_dir() => return Err(OutputError::NotAFile { path: path.into() }),
            // Appending keeps what `>>` on /dev/stdout must keep.
            Ok(found) if !found.is_file() || is_descriptor(path) => {
                Sink::Direct(File::options().append(true).open(path).map_err(failed)?)
            }
            Ok(_) => Sink::Beside(AtomicWriteFile::open(path.canonicalize().map_err(failed)?).map_err(failed)?),
            Err(_) => {
                if path.file_name().is_none() {
                    return Err(OutputError::NotAFile { path: path.into() });
                }
                if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                    let failed = |cause| OutputError::Folder { path: folder.into(), cause };
                    folders = NewFolders::make(folder).map_err(failed)?;
                }
                Sink::Beside(AtomicWriteFile::open(path).map_err(failed)?)
            }
        };
        Ok(Self { path: path.into(), sink: BufWriter::with_capacity(BUFFER, sink), folders })
    }

    /// As [`create`](Self::create), unless the file is one of the `inputs`: see [`keep_apart`].
    pub fn create_apart<P: AsRef<Path>>(
        path: impl AsRef<Path>,
        inputs: impl IntoIterator<Item = P>,
    ) -> Result<Self, OutputError> {
        keep_apart(path.as_ref(), inputs)?;
        Self::create(path)
    }

    /// The path that was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all of `bytes`; like [`Write::write_all`], with the error as an [`OutputError`].
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.sink.write_all(bytes).map_err(|cause| OutputError::write(&self.path, cause))
    }

    /// Writes what is buffered, sees it safely to disk and gives the file its name.
    pub fn commit(self) -> Result<(), OutputError> {
        let Self { path, sink, folders } = self;
        let written = sink.into_inner().map_err(|error| error.into_error()).and_then(|sink| match sink {
            Sink::Beside(file) => file.commit(),
            Sink::Direct(_) => Ok(()),
        });
        written.map_err(|cause| OutputError::write(&path, cause))?;
        folders.keep();
        Ok(())
    }

    fn explain<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|cause| {
            let kind = cause.kind();
            io::Error::new(kind, OutputError::write(&self.path, cause))
        })
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.sink.write(bytes);
        self.explain(result)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let result = self.sink.write_all(bytes);
        self.explain(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.sink.flush();
        self.explain(result)
    }
}

/// Refuses an output that is one of the `inputs`, by another name or through links too.
pub fn keep_apart<P: AsRef<Path>>(path: &Path, inputs: impl IntoIterator<Item = P>) -> Result<(), OutputError> {
    let identity = |path: &Path| fs::metadata(path).ok().filter(|found| found.is_file()).map(|it| (it.dev(), it.ino()));
    let Some(output) = identity(path) else { return Ok(()) };
    match inputs.into_iter().find(|input| identity(input.as_ref()) == Some(output)) {
        Some(input) => Err(OutputError::Input { path: path.into(), input: input.as_ref().into() }),
        None => Ok(()),
    }
}

/// Writes `bytes` as one whole file.
pub fn write_whole(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), OutputError> {
    let mut file = OutputFile::create(path)?;
    file.append(bytes)?;
    file.commit()
}

/// Whether `path` means this process's own stream, by its name or number.
fn is_stream(path: &Path, name: &str, number: usize) -> bool {
    let paths = [format!("/dev/{name}"), format!("/dev/fd/{number}"), format!("/proc/self/fd/{number}")];
    paths.iter().any(|known| path == Path::new(known))
}

/// The same open file once more: a pipe that is opened by its name waits for a reader, maybe forever.
fn duplicate(stream: &impl AsFd) -> io::Result<File> {
    Ok(stream.as_fd().try_clone_to_owned()?.into())
}

/// True for `/dev/fd/3` and the like, which lead to the file that a shell has redirected: renaming over
/// that file would cut the redirection off.
fn is_descriptor(path: &Path) -> bool {
    (path.starts_with("/dev") || path.starts_with("/proc")) && path.is_symlink()
}

/// A write beyond `ulimit -f` sends SIGXFSZ, which kills by default; with any handler it returns an error instead.
pub fn survive_size_limit() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Where no handler can be set the default stays: the write still leaves nothing half-written behind.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::new(AtomicBool::new(false)));
    });
}
