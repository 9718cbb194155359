//! The raw format: uint8 RGB, `(frames, height, width, 3)`, no header; from and to any stream.

use std::io::{self, Read, Seek, SeekFrom, Write};

use thiserror::Error;

use crate::error::{FrameError, checked_len};
use crate::rgb::RgbFrame;

/// Why raw frames cannot be read or written. The texts leave out what the stream is: callers know its path.
#[derive(Debug, Error)]
pub enum RawError {
    /// The stream cannot be read.
    #[error("cannot read: {0}; check the path")]
    Read(io::Error),
    /// The length is no whole number of frames.
    #[error(
        "{length} bytes are no whole number of {width}x{height} RGB frames ({frame} bytes each); \
         the file is cut off or has another frame size"
    )]
    Length {
        /// Length of the stream in bytes.
        length: u64,
        /// Columns of a frame.
        width: usize,
        /// Rows of a frame.
        height: usize,
        /// Bytes of a frame.
        frame: u64,
    },
    /// There is no such frame.
    #[error("has no frame {index}, only {frames}")]
    Index {
        /// What was asked for.
        index: usize,
        /// Number of frames.
        frames: usize,
    },
    /// A frame of another size.
    #[error("a frame of {}x{} in a file of {}x{} frames", found.0, found.1, expected.0, expected.1)]
    Size {
        /// Width and height of the frame.
        found: (usize, usize),
        /// Width and height of the stream's frames.
        expected: (usize, usize),
    },
    /// An impossible frame size.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The stream cannot be written, in its own words.
    #[error("{0}")]
    Write(io::Error),
}

/// Writes raw frames one by one.
#[derive(Debug)]
pub struct RawWriter<W> {
    stream: W,
    size: (usize, usize),
}

impl<W: Write> RawWriter<W> {
    /// Frames of `width` x `height` go to `stream`.
    pub fn new(stream: W, width: usize, height: usize) -> Result<Self, RawError> {
        checked_len(3, width, height)?;
        Ok(Self { stream, size: (width, height) })
    }

    /// Appends a frame; an error where its size is another.
    pub fn write(&mut self, frame: &RgbFrame) -> Result<(), RawError> {
        let found = (frame.width(), frame.height());
        if found != self.size {
            return Err(RawError::Size { found, expected: self.size });
        }
        self.stream.write_all(frame.data()).map_err(RawError::Write)
    }

    /// The stream, with all frames written to it.
    pub fn into_inner(self) -> W {
        self.stream
    }
}

/// Reads raw frames, one in memory at a time.
#[derive(Debug)]
pub struct RawReader<R> {
    stream: R,
    width: usize,
    height: usize,
    frames: usize,
}

impl<R: Read + Seek> RawReader<R> {
    /// All of `stream` as frames of `width` x `height`; an error where its length is no whole number of them.
    pub fn new(mut stream: R, width: usize, height: usize) -> Result<Self, RawError> {
        let frame = checked_len(3, width, height)? as u64;
        let length = stream.seek(SeekFrom::End(0)).map_err(RawError::Read)?;
        if length % frame != 0 {
            return Err(RawError::Length { length, width, height, frame });
        }
        Ok(Self { stream, width, height, frames: (length / frame) as usize })
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

    /// Frame `index`, in any order.
    pub fn frame(&mut self, index: usize) -> Result<RgbFrame, RawError> {
        if index >= self.frames {
            return Err(RawError::Index { index, frames: self.frames });
        }
        let mut data = vec![0; checked_len(3, self.width, self.height)?];
        let offset = index as u64 * data.len() as u64;
        let sought = self.stream.seek(SeekFrom::Start(offset));
        sought.and_then(|_| self.stream.read_exact(&mut data)).map_err(RawError::Read)?;
        Ok(RgbFrame::new(self.width, self.height, data)?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn frame(value: u8) -> RgbFrame {
        RgbFrame::new(2, 1, vec![value; 6]).unwrap()
    }

    #[test]
    fn frames_written_are_frames_read() {
        let mut writer = RawWriter::new(Vec::new(), 2, 1).unwrap();
        for value in 0..3 {
            writer.write(&frame(value)).unwrap();
        }
        let other = writer.write(&RgbFrame::new(1, 2, vec![0; 6]).unwrap()).unwrap_err();
        assert_eq!(other.to_string(), "a frame of 1x2 in a file of 2x1 frames");

        let mut reader = RawReader::new(Cursor::new(writer.into_inner()), 2, 1).unwrap();
        assert_eq!((reader.frames(), reader.width(), reader.height()), (3, 2, 1));
        for index in [0, 1, 2, 1] {
            assert_eq!(reader.frame(index).unwrap(), frame(index as u8));
        }
        assert!(matches!(reader.frame(3), Err(RawError::Index { index: 3, frames: 3 })));
        // A file that shrinks behind the reader's back.
        reader.stream.get_mut().truncate(7);
        assert!(matches!(reader.frame(1), Err(RawError::Read(_))));
    }

    #[test]
    fn a_wrong_length_is_named_with_the_frame_size() {
        let text = RawReader::new(Cursor::new([0; 13]), 2, 1).unwrap_err().to_string();
        for part in ["13 bytes", "2x1", "6 bytes each"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(matches!(RawReader::new(Cursor::new([0; 12]), 0, 1), Err(RawError::Frame(_))));
        assert!(matches!(RawWriter::new(Vec::new(), 0, 1), Err(RawError::Frame(_))));
    }

    #[test]
    fn what_a_stream_says_comes_through() {
        let mut writer = RawWriter::new(Cursor::new([0; 8]), 2, 1).unwrap();
        writer.write(&frame(1)).unwrap();
        assert!(matches!(writer.write(&frame(1)), Err(RawError::Write(_))));
    }
}
