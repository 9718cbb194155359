//! A clip being decoded.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::iter::FusedIterator;
use std::path::{Path, PathBuf};
use std::sync::Once;

use ffmpeg::codec::{self, Parameters, threading};
use ffmpeg::decoder::Check;
use ffmpeg::error::EAGAIN;
use ffmpeg::format::context::{Input, StreamIo};
use ffmpeg::format::stream::Disposition;
use ffmpeg::format::{self, Pixel};
use ffmpeg::{Dictionary, Packet, decoder, frame, log, media};
use ffmpeg_next as ffmpeg;
use frames::{Plane8, RgbFrame, yuv420_to_rgb};

use crate::error::{MAX_SIDE, VideoError};
use crate::{container, ffi, nal};

/// The demuxers that a file may choose among; none of them opens a second file.
const FORMATS: &str = "matroska,mov,mpegts,avi,flv,hevc,h264,obu,av1,ivf";

/// The one that reads by the container's index of samples.
const INDEXED: &str = "mov,mp4,m4a,3gp,3g2,mj2";

/// A clip being decoded: an iterator over its frames in presentation order, cropped as the stream says, rotation ignored.
///
/// Memory does not grow with the clip's length. The first error ends the iteration.
pub struct Clip {
    path: PathBuf,
    /// Bytes of the file.
    length: u64,
    input: Input,
    stream: usize,
    /// The stream's first packet, which is read before the decoder is started.
    first_packet: Option<Packet>,
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
    /// Opens a clip and decodes its first frame, so that most of what can be wrong is known at once. `track` counts the file's
    /// video streams from 0, attached pictures left out (FFmpeg's stream specifier `V:track`).
    pub fn open(path: impl AsRef<Path>, track: usize) -> Result<Self, VideoError> {
        initialize();
        let path = path.as_ref().to_path_buf();
        let (file, length) = open_file(&path)?;
        // FFmpeg gets the open file, not its path, in which it would look for protocols.
        let mut options = Dictionary::new();
        options.set("format_whitelist", FORMATS);
        let shared = file.try_clone().map_err(|cause| VideoError::Read { path: path.clone(), cause })?;
        let opened = StreamIo::from_read_seek(shared).and_then(|io| format::input_from_stream(io, None, Some(options)));
        let mut input = match opened {
            Ok(input) => input,
            Err(cause) => return Err(VideoError::NotAVideo { path, cause }),
        };
        let (stream, parameters) = choose(&path, &mut input, track)?;
        if let Some(missing) = missing_samples(&input, stream, length) {
            return Err(VideoError::CutOff { path, missing });
        }
        check_transport(&path, &file, &input, stream)?;
        let first_packet = match first_packet(&mut input, stream, &parameters) {
            Ok(Some(packet)) => packet,
            Ok(None) => return Err(VideoError::NoFrames { path }),
            Err(cause) => return Err(VideoError::Damaged { path, frames: 0, cause }),
        };
        let codec = parameters.id().name();
        let decoder = match start_decoder(parameters, &first_packet) {
            Ok(decoder) => decoder,
            Err(cause) => return Err(VideoError::Decoder { path, codec, cause }),
        };
        let size = (decoder.width() as usize, decoder.height() as usize);
        let mut clip = Self {
            path,
            length,
            input,
            stream,
            first_packet: Some(first_packet),
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
        let packet = match self.first_packet.take() {
            Some(packet) => Ok(Some(packet)),
            None => next_packet(&mut self.input, self.stream),
        };
        let fed = match packet {
            Ok(Some(packet)) if packet.is_corrupt() => Err(ffmpeg::Error::InvalidData),
            Ok(Some(packet)) => {
                if !ffi::is_hidden(&packet) {
                    self.pending.extend(packet.pts());
                }
                self.decoder.send_packet(&packet)
            }
            Ok(None) => {
                // Of a fragmented file, all of the index is known only now.
                if let Some(missing) = missing_samples(&self.input, self.stream, self.length) {
                    return Err(VideoError::CutOff { path: self.path.clone(), missing });
                }
                self.decoder.send_eof()
            }
            Err(cause) => Err(cause),
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

/// The file and its length, if it can be a clip and nothing of it is seen to be missing.
fn open_file(path: &Path) -> Result<(File, u64), VideoError> {
    let unreadable = |cause| VideoError::Read { path: path.into(), cause };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unreadable(io::Error::other("not a regular file")));
    }
    match container::missing_part(&file, metadata.len()).map_err(unreadable)? {
        Some(missing) => Err(VideoError::CutOff { path: path.into(), missing }),
        None => Ok((file, metadata.len())),
    }
}

/// The stream that `track` means, if its codec is one of ours; the others will not be read.
fn choose(path: &Path, input: &mut Input, track: usize) -> Result<(usize, Parameters), VideoError> {
    let path = || path.to_path_buf();
    let is_video = |stream: &format::stream::Stream<'_>| {
        let picture = stream.disposition().contains(Disposition::ATTACHED_PIC);
        stream.parameters().medium() == media::Type::Video && !picture
    };
    let indices: Vec<usize> = input.streams().filter(is_video).map(|stream| stream.index()).collect();
    let tracks = indices.len();
    let Some(&index) = indices.get(track) else {
        return Err(if tracks == 0 {
            VideoError::NoVideoStream { path: path() }
        } else {
            VideoError::Track { path: path(), track, tracks }
        });
    };
    let others = (0..input.streams().len()).filter(|&other| other != index);
    for other in others {
        if let Some(stream) = input.stream_mut(other) {
            ffi::ignore(stream);
        }
    }
    let Some(parameters) = input.stream(index).map(|stream| stream.parameters()) else {
        return Err(VideoError::NoVideoStream { path: path() });
    };
    let codec = match parameters.id() {
        codec::Id::HEVC | codec::Id::H264 | codec::Id::AV1 => return Ok((index, parameters)),
        codec::Id::None => format!("\"{}\", unknown to FFmpeg", ffi::codec_tag(&parameters).escape_ascii()),
        id => id.name().into(),
    };
    Err(VideoError::Codec { path: path(), track, tracks, codec })
}

/// What the container's index, as far as it is known, places behind the end of a file of `length` bytes.
fn missing_samples(input: &Input, stream: usize, length: u64) -> Option<String> {
    if input.format().name() != INDEXED {
        return None;
    }
    let end = ffi::end_of_samples(&input.stream(stream)?);
    (end > length).then(|| container::short(length, end))
}

/// Refuses a transport stream with a gap: FFmpeg tells of one too, but its parser loses the word for the first frame.
fn check_transport(path: &Path, file: &File, input: &Input, stream: usize) -> Result<(), VideoError> {
    let pid = input.stream(stream).and_then(|stream| u16::try_from(stream.id()).ok());
    let Some(pid) = pid.filter(|_| input.format().name() == "mpegts") else { return Ok(()) };
    match container::transport_gap(file, pid) {
        Ok(None) => Ok(()),
        Ok(Some(offset)) => Err(VideoError::Gap { path: path.into(), offset }),
        Err(cause) => Err(VideoError::Read { path: path.into(), cause }),
    }
}

/// The next packet of a stream; nothing at the end.
fn next_packet(input: &mut Input, stream: usize) -> Result<Option<Packet>, ffmpeg::Error> {
    loop {
        let mut packet = Packet::empty();
        match packet.read(input) {
            Ok(()) if packet.stream() != stream => {}
            Ok(()) => return Ok(Some(packet)),
            Err(ffmpeg::Error::Eof) => return Ok(None),
            Err(cause) => return Err(cause),
        }
    }
}

/// The packet to begin with; nothing where there is none. Of HEVC that is the first picture that needs none before it: what stands
/// before it FFmpeg decoded from grey frames until its version 7, and drops since.
fn first_packet(input: &mut Input, stream: usize, parameters: &Parameters) -> Result<Option<Packet>, ffmpeg::Error> {
    loop {
        let packet = next_packet(input, stream)?;
        match &packet {
            Some(packet) if parameters.id() == codec::Id::HEVC && !is_start(packet, parameters) => {}
            _ => return Ok(packet),
        }
    }
}

fn is_start(packet: &Packet, parameters: &Parameters) -> bool {
    nal::is_start(parameters.id(), packet.data().unwrap_or_default(), ffi::extradata(parameters))
}

/// A decoder that gives an error instead of a patched frame.
///
/// H.264 that does not begin with an IDR picture was cut out of a longer clip. Its first pictures may mark others as no longer
/// needed that are gone, which harms no frame; but a decoder that stops at errors stops there. Such a clip goes to one that
/// goes on and says of each frame whether it is patched, which holds for all its frames only in a single thread.
fn start_decoder(parameters: Parameters, first: &Packet) -> Result<decoder::Video, ffmpeg::Error> {
    let is_cut_out = !is_start(first, &parameters);
    let mut context = codec::Context::from_parameters(parameters)?;
    if !is_cut_out {
        context.set_threading(threading::Config::kind(threading::Type::Frame));
    }
    // Without this flag a crop on the left is rounded to the alignment of SIMD loads.
    context.set_flags(codec::Flags::UNALIGNED);
    let mut decoder = context.decoder();
    // Checksums where the stream has them.
    decoder.check(if is_cut_out { Check::CRC } else { Check::EXPLODE | Check::CRC });
    let codec = decoder::find(decoder.id()).ok_or(ffmpeg::Error::DecoderNotFound)?;
    let mut options = Dictionary::new();
    options.set("max_pixels", &(MAX_SIDE * MAX_SIDE).to_string());
    decoder.open_as_with(codec, options)?.video()
}

/// Once a process: FFmpeg's error texts; and its own log off, as every error reaches the caller.
fn initialize() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        ffmpeg::util::error::register_all();
        log::set_level(log::Level::Quiet);
    });
}
