//! `.raw` files: uint8 RGB, `(frames, height, width, 3)`, no header.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use output::{OutputError, OutputFile};
use thiserror::Error;

use crate::{FrameError, RgbFrame, checked_len};

/// Why a `.raw` file cannot be read or written.
#[derive(Debug, Error)]
pub enum RawError {
    /// The file cannot be opened or read.
    #[error("{}: cannot read: {cause}; check the path", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The length is no whole number of frames.
    #[error(
        "{}: {length} bytes are no whole number of {width}x{height} RGB frames ({frame} bytes each); \
         the file is cut off or has another frame size", path.display()
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
        /// Columns of a frame.
        width: usize,
        /// Rows of a frame.
        height: usize,
        /// Bytes of a frame.
        frame: u64,
    },
    /// There is no such frame.
    #[error("{}: has no frame {index}, only {frames}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        index: usize,
        /// Number of frames.
        frames: usize,
    },
    /// A frame of another size.
    #[error("{}: a frame of {}x{} in a file of {}x{} frames", path.display(), found.0, found.1, expected.0, expected.1)]
    Size {
        /// The file.
        path: PathBuf,
        /// Width and height of the frame.
        found: (usize, usize),
        /// Width and height of the file's frames.
        expected: (usize, usize),
    },
    /// An impossible frame size.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Writes a `.raw` file frame by frame; whole on [`commit`](Self::commit), absent without it.
#[derive(Debug)]
pub struct RawWriter {
    file: OutputFile,
    size: (usize, usize),
}

impl RawWriter {
    /// Starts a file of `width` x `height` frames.
    pub fn create(path: impl AsRef<Path>, width: usize, height: usize) -> Result<Self, RawError> {
        checked_len(3, width, height)?;
        Ok(Self { file: OutputFile::create(path)?, size: (width, height) })
    }

    /// Appends a frame; an error where its size is another.
    pub fn write(&mut self, frame: &RgbFrame) -> Result<(), RawError> {
        let found = (frame.width(), frame.height());
        if found != self.size {
            return Err(RawError::Size { path: self.file.path().into(), found, expected: self.size });
        }
        Ok(self.file.append(frame.data())?)
    }

    /// Finishes the file.
    pub fn commit(self) -> Result<(), RawError> {
        Ok(self.file.commit()?)
    }
}

/// Reads a `.raw` file, one frame in memory at a time.
#[derive(Debug)]
pub struct RawReader {
    path: PathBuf,
    file: File,
    width: usize,
    height: usize,
    frames: usize,
}

impl RawReader {
    /// Opens a file of `width` x `height` frames; an error where its length is no whole number of them.
    pub fn open(path: impl AsRef<Path>, width: usize, height: usize) -> Result<Self, RawError> {
        let path = path.as_ref().to_path_buf();
        let frame = checked_len(3, width, height)? as u64;
        let failed = |cause| RawError::Read { path: path.clone(), cause };
        let file = File::open(&path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(io::Error::other("not a regular file")));
        }
        let length = metadata.len();
        if length % frame != 0 {
            return Err(RawError::Length { path, length, width, height, frame });
        }
        Ok(Self { path, file, width, height, frames: (length / frame) as usize })
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Columns of a frame.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows of a frame.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Frame `index`; any order, from any thread.
    pub fn frame(&self, index: usize) -> Result<RgbFrame, RawError> {
        if index >= self.frames {
            return Err(RawError::Index { path: self.path.clone(), index, frames: self.frames });
        }
        let mut data = vec![0; checked_len(3, self.width, self.height)?];
        let offset = index as u64 * data.len() as u64;
        let read = self.file.read_exact_at(&mut data, offset);
        read.map_err(|cause| RawError::Read { path: self.path.clone(), cause })?;
        Ok(RgbFrame::new(self.width, self.height, data)?)
    }

    /// All frames in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<RgbFrame, RawError>> + '_ {
        (0..self.frames).map(|index| self.frame(index))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn frame(value: u8) -> RgbFrame {
        RgbFrame::new(2, 1, vec![value; 6]).unwrap()
    }

    #[test]
    fn frames_written_are_frames_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.raw");
        let mut writer = RawWriter::create(&path, 2, 1).unwrap();
        for value in 0..3 {
            writer.write(&frame(value)).unwrap();
        }
        let other = writer.write(&RgbFrame::new(1, 2, vec![0; 6]).unwrap()).unwrap_err();
        assert!(other.to_string().ends_with("a frame of 1x2 in a file of 2x1 frames"), "{other}");
        assert!(!path.exists());
        writer.commit().unwrap();

        let reader = RawReader::open(&path, 2, 1).unwrap();
        assert_eq!((reader.frames(), reader.width(), reader.height()), (3, 2, 1));
        let all: Vec<RgbFrame> = reader.iter().collect::<Result<_, _>>().unwrap();
        assert_eq!(all, [frame(0), frame(1), frame(2)]);
        assert_eq!(reader.frame(1).unwrap(), frame(1));
        assert!(matches!(reader.frame(3), Err(RawError::Index { index: 3, frames: 3, .. })));
        // A file that shrinks behind the reader's back.
        fs::write(&path, [0; 7]).unwrap();
        assert!(matches!(reader.frame(1), Err(RawError::Read { .. })));
    }

    #[test]
    fn a_wrong_length_names_the_file_its_length_and_the_frame_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.raw");
        fs::write(&path, [0; 13]).unwrap();
        let text = RawReader::open(&path, 2, 1).unwrap_err().to_string();
        for part in ["cut.raw", "13 bytes", "2x1", "6 bytes each"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(matches!(RawReader::open(folder.path(), 2, 1), Err(RawError::Read { .. })));
        assert!(matches!(RawReader::open(folder.path().join("none"), 2, 1), Err(RawError::Read { .. })));
        assert!(matches!(RawReader::open(&path, 0, 1), Err(RawError::Frame(_))));
    }

    #[test]
    fn without_commit_there_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = RawWriter::create(folder.path().join("0.raw"), 2, 1).unwrap();
        writer.write(&frame(1)).unwrap();
        drop(writer);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
