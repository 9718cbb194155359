//! What FFmpeg says and the safe crate around it does not pass on.

use std::slice;

use ffmpeg::codec::Parameters;
use ffmpeg::format::stream::{Stream, StreamMut};
use ffmpeg::packet::Ref;
use ffmpeg::{Packet, ffi};
use ffmpeg_next as ffmpeg;

/// True for what an edit list cuts away: decoded because others refer to it, not shown.
pub(crate) fn is_hidden(packet: &Packet) -> bool {
    // SAFETY: the pointer is to the packet's own AVPacket, alive and initialized as long as `packet` is.
    let flags = unsafe { (*packet.as_ptr()).flags };
    flags & ffi::AV_PKT_FLAG_DISCARD != 0
}

/// The four bytes by which the container names the codec; zeros where it does not.
pub(crate) fn codec_tag(parameters: &Parameters) -> [u8; 4] {
    // SAFETY: the pointer is to an AVCodecParameters, alive and initialized as long as `parameters` is.
    unsafe { (*parameters.as_ptr()).codec_tag }.to_le_bytes()
}

/// The stream's parameter sets as the container keeps them, apart from the packets.
pub(crate) fn extradata(parameters: &Parameters) -> &[u8] {
    // SAFETY: the pointer is to an AVCodecParameters, alive and initialized as long as `parameters` is.
    let parameters = unsafe { &*parameters.as_ptr() };
    match usize::try_from(parameters.extradata_size) {
        Ok(size) if size > 0 && !parameters.extradata.is_null() => {
            // SAFETY: FFmpeg keeps `extradata_size` bytes there, and borrowed parameters do not change.
            unsafe { slice::from_raw_parts(parameters.extradata, size) }
        }
        _ => &[],
    }
}

/// Where in the file the last sample of the container's index ends, as far as the index has been read.
pub(crate) fn end_of_samples(stream: &Stream<'_>) -> u64 {
    // SAFETY: the pointer is to an AVStream, alive as long as `stream` is; both functions only read it.
    let (stream, count) = unsafe {
        let stream = stream.as_ptr();
        (stream.cast_mut(), ffi::avformat_index_get_entries_count(stream))
    };
    let end = |index| {
        // SAFETY: as above; the entry, or null, lives in the stream, and nothing changes it here.
        let entry = unsafe { ffi::avformat_index_get_entry(stream, index).as_ref() }?;
        entry.pos.checked_add(entry.size().into()).and_then(|end| u64::try_from(end).ok())
    };
    (0..count).filter_map(end).max().unwrap_or(0)
}

/// Tells the demuxer to pass over a stream's packets.
pub(crate) fn ignore(mut stream: StreamMut<'_>) {
    // SAFETY: the pointer is to an AVStream, alive as long as `stream`, which nobody else holds; this field is the caller's.
    unsafe { (*stream.as_mut_ptr()).discard = ffi::AVDiscard::AVDISCARD_ALL };
}
