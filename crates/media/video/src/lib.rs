//! Decoding clips to RGB frames through FFmpeg: [`Clip::open`], then iterate. HEVC, H.264 and AV1 in Matroska, MP4 or a
//! bare stream, 8-bit 4:2:0.
//!
//! A clip is decoded in full or with an error. FFmpeg conceals what it cannot decode; here a damaged or cut-off clip ends
//! in a [`VideoError`], because distortions computed on fewer or patched frames would look official and be wrong. What no
//! decoder can tell stays unseen: flipped bits that decode to other pixels, and the cut end of a bare stream, which states
//! no length.

mod container;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::iter::FusedIterator;
use std::path::{Path, PathBuf};
use std::sync::Once;

use ffmpeg::codec::{self, threading};
use ffmpeg::decoder::Check;
use ffmpeg::error::EAGAIN;
use ffmpeg::format::context::{Input, StreamIo};
use ffmpeg::format::{self, Pixel};
use ffmpeg::packet::Ref;
use ffmpeg::{Dictionary, Packet, decoder, frame, log, media};
use ffmpeg_next as ffmpeg;
use frames::{FrameError, Plane8, RgbFrame, yuv420_to_rgb};
use thiserror::Error;

/// Most rows or columns of a frame.
pub const MAX_SIDE: usize = 8192;

/// The demuxers that a file may choose among; none of them opens a second file.
const FORMATS: &str = "matroska,mov,hevc,h264,obu,ivf";

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
    #[error("{}: not a video ({cause}); give a clip in Matroska, MP4 or as a bare HEVC, H.264 or AV1 stream", path.display())]
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
    /// A codec other than HEVC, H.264 and AV1.
    #[error("{}: the codec {codec} is not supported; encode the clip in HEVC, H.264 or AV1", path.display())]
    Codec {
        /// The file.
        path: PathBuf,
        /// FFmpeg's name of the codec.
        codec: &'static str,
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

/// A clip being decoded: an iterator over its frames in presentation order, cropped as the stream says, rotation ignored.
///
/// Memory does not grow with the clip's length. The first error ends the iteration.
pub struct Clip {
    path: PathBuf,
    input: Input,
    stream: usize,
    decoder: decoder::Video,
    /// The frame that FFmpeg decoded last.
    frame: frame::Video,
    size: (usize, usize),
    /// Frames decoded so far.
    decoded: usize,
    /// Presentation times of the packets whose frame is still to come.
    pending: BTreeSet<i64>,
    /// Presentation time of the first frame, where the container states it.
    start: Option<i64>,
    /// The first frame, decoded by [`Clip::open`], is still to be handed out.
    first: bool,
    /// The end or an error has been reached.
    done: bool,
}

impl Clip {
    /// Opens a clip and decodes its first frame, so that most of what can be wrong is known at once.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, VideoError> {
        initialize();
        let path = path.as_ref().to_path_buf();
        let unreadable = |cause| VideoError::Read { path: path.clone(), cause };
        let file = File::open(&path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(unreadable(io::Error::other("not a regular file")));
        }
        if let Some(missing) = container::missing_part(&file, metadata.len()).map_err(unreadable)? {
            return Err(VideoError::CutOff { path, missing });
        }
        // FFmpeg gets the open file, not its path, in which it would look for protocols.
        let mut options = Dictionary::new();
        options.set("format_whitelist", FORMATS);
        let opened = StreamIo::from_read_seek(file).and_then(|io| format::input_from_stream(io, None, Some(options)));
        let input = match opened {
            Ok(input) => input,
            Err(cause) => return Err(VideoError::NotAVideo { path, cause }),
        };
        let Some((stream, parameters)) =
            input.streams().best(media::Type::Video).map(|stream| (stream.index(), stream.parameters()))
        else {
            return Err(VideoError::NoVideoStream { path });
        };
        let (id, codec) = (parameters.id(), parameters.id().name());
        if !matches!(id, codec::Id::HEVC | codec::Id::H264 | codec::Id::AV1) {
            return Err(VideoError::Codec { path, codec });
        }
        let decoder = match start_decoder(parameters) {
            Ok(decoder) => decoder,
            Err(cause) => return Err(VideoError::Decoder { path, codec, cause }),
        };
        let size = (decoder.width() as usize, decoder.height() as usize);
        let mut clip = Self {
            path,
            input,
            stream,
            decoder,
            frame: frame::Video::empty(),
            size,
            decoded: 0,
            pending: BTreeSet::new(),
            start: None,
            first: true,
            done: false,
        };
        // A container may leave the size to the stream; where it states one, a wild one stops here.
        if size != (0, 0) {
            clip.check_size(size)?;
        }
        if !clip.decode()? {
            return Err(VideoError::NoFrames { path: clip.path });
        }
        Ok(clip)
    }

    /// Columns of a frame.
    pub fn width(&self) -> usize {
        self.size.0
    }

    /// Rows of a frame.
    pub fn height(&self) -> usize {
        self.size.1
    }

    /// Decodes the next frame into `self.frame`; false at the end.
    fn decode(&mut self) -> Result<bool, VideoError> {
        loop {
            match self.decoder.receive_frame(&mut self.frame) {
                Ok(()) if self.frame.is_corrupt() || self.frame.has_decode_errors() => {
                    return Err(self.damaged(ffmpeg::Error::InvalidData));
                }
                Ok(()) => {
                    self.check_frame()?;
                    let time = self.frame.pts();
                    self.pending.remove(&time.unwrap_or(i64::MIN));
                    if self.decoded == 0 {
                        self.start = time;
                    }
                    self.decoded += 1;
                    return Ok(true);
                }
                Err(ffmpeg::Error::Eof) => return self.check_end().map(|()| false),
                Err(ffmpeg::Error::Other { errno: EAGAIN }) => self.feed()?,
                Err(cause) => return Err(self.damaged(cause)),
            }
        }
    }

    /// Gives the decoder the next packet of the stream, or the word that there is none.
    fn feed(&mut self) -> Result<(), VideoError> {
        let fed = loop {
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() != self.stream => {}
                Ok(()) if packet.is_corrupt() => break Err(ffmpeg::Error::InvalidData),
                Ok(()) => {
                    if !is_hidden(&packet) {
                        self.pending.extend(packet.pts());
                    }
                    break self.decoder.send_packet(&packet);
                }
                Err(ffmpeg::Error::Eof) => break self.decoder.send_eof(),
                Err(cause) => break Err(cause),
            }
        };
        fed.map_err(|cause| self.damaged(cause))
    }

    fn damaged(&self, cause: ffmpeg::Error) -> VideoError {
        VideoError::Damaged { path: self.path.clone(), frames: self.decoded, cause }
    }

    fn check_size(&self, (width, height): (usize, usize)) -> Result<(), VideoError> {
        let side = 1..=MAX_SIDE;
        if side.contains(&width) && side.contains(&height) {
            return Ok(());
        }
        Err(VideoError::Size { path: self.path.clone(), width, height })
    }

    /// Checks the decoded frame's format, and its size, which the first frame sets for all.
    fn check_frame(&mut self) -> Result<(), VideoError> {
        // What sets yuvj420p apart is a colour tag.
        if !matches!(self.frame.format(), Pixel::YUV420P | Pixel::YUVJ420P) {
            let format = self.frame.format().descriptor().map_or("unknown", |descriptor| descriptor.name());
            return Err(VideoError::PixelFormat { path: self.path.clone(), format });
        }
        let size = (self.frame.width() as usize, self.frame.height() as usize);
        if self.decoded == 0 {
            self.check_size(size)?;
            self.size = size;
        }
        if size == self.size {
            return Ok(());
        }
        Err(VideoError::SizeChange { path: self.path.clone(), frame: self.decoded, from: self.size, to: size })
    }

    /// Every packet behind the first frame must have become a frame. Those before it in presentation order need not: a
    /// clip cut out of a longer one may begin with pictures that refer to what is gone, which no decoder shows.
    fn check_end(&self) -> Result<(), VideoError> {
        let lost = self.start.map_or(0, |start| self.pending.range(start..).count());
        if lost == 0 { Ok(()) } else { Err(VideoError::LostFrames { path: self.path.clone(), lost }) }
    }

    fn convert(&self) -> Result<RgbFrame, VideoError> {
        let plane = |c| Plane8 { data: self.frame.data(c), stride: self.frame.stride(c) };
        Ok(yuv420_to_rgb(plane(0), plane(1), plane(2), self.width(), self.height())?)
    }
}

impl Iterator for Clip {
    type Item = Result<RgbFrame, VideoError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let decoded = if std::mem::take(&mut self.first) { Ok(true) } else { self.decode() };
        let item = decoded.and_then(|more| more.then(|| self.convert()).transpose()).transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

impl FusedIterator for Clip {}

fn start_decoder(parameters: codec::Parameters) -> Result<decoder::Video, ffmpeg::Error> {
    let mut context = codec::Context::from_parameters(parameters)?;
    context.set_threading(threading::Config::kind(threading::Type::Frame));
    // Without this flag a crop on the left is rounded to the alignment of SIMD loads.
    context.set_flags(codec::Flags::UNALIGNED);
    let mut decoder = context.decoder();
    // An error instead of a patched frame; checksums where the stream has them.
    decoder.check(Check::EXPLODE | Check::CRC);
    let codec = decoder::find(decoder.id()).ok_or(ffmpeg::Error::DecoderNotFound)?;
    let mut options = Dictionary::new();
    options.set("max_pixels", &(MAX_SIDE * MAX_SIDE).to_string());
    decoder.open_as_with(codec, options)?.video()
}

/// True for what an edit list cuts away: decoded because others refer to it, not shown.
fn is_hidden(packet: &Packet) -> bool {
    // SAFETY: the pointer is to the packet's own AVPacket, alive and initialized as long as `packet` is. The safe
    // accessor drops this flag.
    let flags = unsafe { (*packet.as_ptr()).flags };
    flags & ffmpeg::ffi::AV_PKT_FLAG_DISCARD != 0
}

/// Once a process: FFmpeg's error texts; and its own log off, as every error reaches the caller.
fn initialize() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        ffmpeg::util::error::register_all();
        log::set_level(log::Level::Quiet);
    });
}
