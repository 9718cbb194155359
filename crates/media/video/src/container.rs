//! Is the whole file there? FFmpeg reads a cut-off file up to its end without a word, so the sizes that the container
//! itself states are held against the file's length first.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of a packet of an MPEG transport stream.
const PACKET: u64 = 188;
/// The types that the first box of an MP4 or QuickTime file may have.
const FIRST_BOXES: [&[u8; 4]; 9] = [b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"junk"];

/// Says what is missing of a file of `length` bytes; nothing where all is there, or where it cannot be told: containers that
/// state no sizes, damage (FFmpeg's business), and a live recording or fragmented MP4 that ends between two elements.
pub(crate) fn missing_part(file: &File, length: u64) -> io::Result<Option<String>> {
    let mut head = [0; PACKET as usize + 1];
    match read_at(file, &mut head, 0)? {
        [0x1a, 0x45, 0xdf, 0xa3, ..] => matroska(file, length),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => avi(file, length),
        [_, _, _, _, kind @ ..] if kind.first_chunk().is_some_and(|kind| FIRST_BOXES.contains(&kind)) => {
            mp4(file, length)
        }
        [0x47, .., 0x47] => Ok(transport_stream(length)),
        _ => Ok(None),
    }
}

/// As much of the buffer as the file holds at `offset`.
fn read_at<'a>(file: &File, buffer: &'a mut [u8], offset: u64) -> io::Result<&'a [u8]> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(&buffer[..filled])
}

/// A file of `length` bytes that should have more.
pub(crate) fn short(length: u64, expected: u64) -> String {
    format!("{length} bytes, must be at least {expected}")
}

/// EBML (RFC 8794): elements of an id, a size and content. An element of unknown size is entered, any other skipped.
fn matroska(file: &File, length: u64) -> io::Result<Option<String>> {
    const SEGMENT: u64 = 0x1853_8067;
    let (mut position, mut has_segment) = (0, false);
    while position < length {
        let mut head = [0; 12];
        let head = read_at(file, &mut head, position)?;
        let Some(id_len) = vint_len(head, 4) else { return Ok(None) };
        let Some(rest) = head.get(id_len..).filter(|rest| !rest.is_empty()) else {
            return Ok(Some(short(length, position + id_len as u64 + 1)));
        };
        let Some(size_len) = vint_len(rest, 8) else { return Ok(None) };
        let Some(size) = rest.get(..size_len).map(big_endian) else {
            return Ok(Some(short(length, position + (id_len + size_len) as u64)));
        };
        let is_segment = big_endian(&head[..id_len]) == SEGMENT;
        has_segment |= is_segment;
        let mask = (1 << (7 * size_len)) - 1;
        let content = position + (id_len + size_len) as u64;
        if size & mask == mask {
            position = content;
            continue;
        }
        let end = content + (size & mask);
        if end > length {
            return Ok(Some(short(length, end)));
        }
        if is_segment {
            return Ok(None);
        }
        position = end;
    }
    Ok((!has_segment).then(|| "all behind the header is missing".into()))
}

/// Length of a variable-length integer: one more than the zero bits before its first one.
fn vint_len(bytes: &[u8], longest: usize) -> Option<usize> {
    let len = bytes.first()?.leading_zeros() as usize + 1;
    (len <= longest).then_some(len)
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// ISO base media file format (ISO/IEC 14496-12, 4.2) and QuickTime: boxes of a size, a type and content. The index (moov) must
/// be whole. Whether its samples are there is asked of the index itself, so that anything may stand behind them; only of a
/// fragmented file, which goes on with an index of its own before each fragment, every box must be whole.
fn mp4(file: &File, length: u64) -> io::Result<Option<String>> {
    let (mut position, mut has_index, mut is_fragmented) = (0, false, false);
    while position < length {
        let mut head = [0; 16];
        let head = read_at(file, &mut head, position)?;
        let kind = head.get(4..8).unwrap_or_default();
        is_fragmented |= kind == b"moof";
        let end = match head.get(..4).map(big_endian) {
            Some(0) => length,
            Some(1) => match head.get(8..16).map(big_endian) {
                Some(size @ 16..) => position.saturating_add(size),
                Some(_) => break,
                None => position + 16,
            },
            Some(size @ 8..) => position + size,
            Some(_) => break,
            None => position + 8,
        };
        if end > length && (is_fragmented || kind == b"moov") {
            return Ok(Some(short(length, end)));
        }
        has_index |= kind == b"moov";
        position = end;
    }
    Ok((!has_index).then(|| "the index (moov) is missing".into()))
}

/// AVI (OpenDML): RIFF chunks of lists, of which those with the samples (movi) must be whole. Where no sizes were written, as
/// in the file of a recorder that was stopped, nothing can be told.
fn avi(file: &File, length: u64) -> io::Result<Option<String>> {
    let (mut position, mut has_samples) = (0, false);
    while position < length {
        let mut head = [0; 12];
        let head = read_at(file, &mut head, position)?;
        let (Some(kind), Some(size)) = (head.get(..4), head.get(4..8).map(little_endian)) else { break };
        let list = head.get(8..12).unwrap_or_default();
        if kind == b"RIFF" && matches!(list, b"AVI " | b"AVIX") {
            position += 12;
            continue;
        }
        let end = position + 8 + size;
        if kind == b"LIST" && list == b"movi" {
            has_samples = true;
            if matches!(size, 0 | 0xffff_ffff) {
                return Ok(None);
            }
            if end > length {
                return Ok(Some(short(length, end)));
            }
        }
        position = end + size % 2;
    }
    Ok((!has_samples).then(|| "the frames (movi) are missing".into()))
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// MPEG transport stream (ISO/IEC 13818-1, 2.4.3): packets of one size.
fn transport_stream(length: u64) -> Option<String> {
    let rest = length % PACKET;
    (rest != 0).then(|| short(length, length - rest + PACKET))
}

/// Where in a transport stream a packet of the stream `pid` is missing or damaged by its own word: each that carries payload is
/// counted by four bits, and may come twice (2.4.3.3). Looks at as much of the file as is packets from its first byte on.
pub(crate) fn transport_gap(file: &File, pid: u16) -> io::Result<Option<u64>> {
    let mut chunk = vec![0; 1024 * PACKET as usize];
    let (mut position, mut last) = (0, None);
    loop {
        let packets = read_at(file, &mut chunk, position)?.chunks_exact(PACKET as usize);
        if packets.len() == 0 {
            return Ok(None);
        }
        for packet in packets {
            let &[0x47, high, low, control, adaptation, flags, ..] = packet else { return Ok(None) };
            if u16::from_be_bytes([high & 0x1f, low]) == pid {
                let (has_adaptation, has_payload) = (control & 0x20 != 0, control & 0x10 != 0);
                let starts_anew = has_adaptation && adaptation > 0 && flags & 0x80 != 0;
                let follows =
                    |last: u8| starts_anew || !has_payload || matches!(control.wrapping_sub(last) & 15, 0 | 1);
                if high & 0x80 != 0 || last.is_some_and(|last| !follows(last)) {
                    return Ok(Some(position));
                }
                last = Some(control & 15);
            }
            position += PACKET;
        }
    }
}
