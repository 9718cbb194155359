//! Why a clip cannot be decoded.

use std::io;
use std::path::PathBuf;

use ffmpeg_next as ffmpeg;
use frames::FrameError;
use thiserror::Error;

/// Most rows or columns of a frame.
pub const MAX_SIDE: usize = 8192;

/// Why a clip cannot be decoded.
#[derive(Debug, Error)]
pub enum VideoError {
    /// The file cannot be opened or read.
    #[error("{}: cannot read: {cause}; check the path", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// FFmpeg does not recognise the file.
    #[error("{}: not a video ({cause}); give a clip in Matroska, MP4, MPEG-TS, AVI, FLV or as a bare HEVC, H.264 or AV1 stream", path.display())]
    NotAVideo {
        /// The file.
        path: PathBuf,
        /// What FFmpeg says.
        cause: ffmpeg::Error,
    },
    /// There is no video in the file.
    #[error("{}: has no video stream; give a clip with one", path.display())]
    NoVideoStream {
        /// The file.
        path: PathBuf,
    },
    /// There are fewer video tracks.
    #[error("{}: has no video track {track}, they are counted from 0; give --track {}", path.display(), numbers(*tracks))]
    Track {
        /// The file.
        path: PathBuf,
        /// The track that was asked for.
        track: usize,
        /// How many there are.
        tracks: usize,
    },
    /// A codec other than HEVC, H.264 and AV1.
    #[error(
        "{}: the codec {codec} is not supported; encode the clip in HEVC, H.264 or AV1{}",
        path.display(), other_track(*track, *tracks)
    )]
    Codec {
        /// The file.
        path: PathBuf,
        /// The track, counted from 0.
        track: usize,
        /// How many there are.
        tracks: usize,
        /// FFmpeg's name of the codec, or what the container calls it.
        codec: String,
    },
    /// FFmpeg cannot start its decoder.
    #[error("{}: FFmpeg cannot decode {codec}: {cause}; install an FFmpeg with that decoder", path.display())]
    Decoder {
        /// The file.
        path: PathBuf,
        /// FFmpeg's name of the codec.
        codec: &'static str,
        /// What FFmpeg says.
        cause: ffmpeg::Error,
    },
    /// Frames that are not 8-bit 4:2:0.
    #[error("{}: the pixel format {format} is not supported; encode the clip as 8-bit 4:2:0 (yuv420p)", path.display())]
    PixelFormat {
        /// The file.
        path: PathBuf,
        /// FFmpeg's name of the pixel format.
        format: &'static str,
    },
    /// Frames without pixels or beyond [`MAX_SIDE`].
    #[error("{}: frames of {width}x{height}; each side must be 1 to {MAX_SIDE}", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// Not a single frame.
    #[error("{}: has no frames; give a clip with at least one", path.display())]
    NoFrames {
        /// The file.
        path: PathBuf,
    },
    /// The container states more than the file holds.
    #[error("{}: is cut off ({missing}); get the whole file", path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
        /// What is missing.
        missing: String,
    },
    /// A transport stream lacks packets that it counts.
    #[error(
        "{}: is damaged: packets are missing at byte {offset}; get the whole file, or, if it is several joined, copy it into \
         Matroska (ffmpeg -c copy)",
        path.display()
    )]
    Gap {
        /// The file.
        path: PathBuf,
        /// Where the first of them would be.
        offset: u64,
    },
    /// The stream cannot be decoded without gaps.
    #[error("{}: is damaged or cut off after {frames} frames ({cause}); get the whole file", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Frames decoded before.
        frames: usize,
        /// What FFmpeg says.
        cause: ffmpeg::Error,
    },
    /// The decoder passed over frames of the container without an error.
    #[error("{}: is damaged: {lost} frames cannot be decoded; get an undamaged file", path.display())]
    LostFrames {
        /// The file.
        path: PathBuf,
        /// How many.
        lost: usize,
    },
    /// A frame of another size than the first.
    #[error("{}: frame {frame} is {}x{}, those before are {}x{}; cut the clip there", path.display(), to.0, to.1, from.0, from.1)]
    SizeChange {
        /// The file.
        path: PathBuf,
        /// Index of the frame.
        frame: usize,
        /// Width and height before.
        from: (usize, usize),
        /// Width and height of the frame.
        to: (usize, usize),
    },
    /// FFmpeg handed out planes that are shorter than their frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// What else can be done where one of several tracks is of no use.
fn other_track(track: usize, tracks: usize) -> String {
    match tracks {
        1 => String::new(),
        _ => format!(", or take another track than {track} with --track ({})", numbers(tracks)),
    }
}

/// The numbers of so many tracks.
fn numbers(tracks: usize) -> String {
    if tracks == 1 { "0".into() } else { format!("0 to {}", tracks - 1) }
}
