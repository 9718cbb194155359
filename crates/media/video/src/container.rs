//! Is the whole file there? FFmpeg reads a cut-off file up to its end without a word, so the sizes that the container
//! itself states are held against the file's length first.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Says what is missing of a Matroska or MP4 file of `length` bytes; nothing where all is there, or where it cannot be
/// told: other formats, damage (FFmpeg's business) and a live recording or fragmented MP4 that ends between two elements.
pub(crate) fn missing_part(file: &File, length: u64) -> io::Result<Option<String>> {
    let mut head = [0; 8];
    match read_at(file, &mut head, 0)? {
        [0x1a, 0x45, 0xdf, 0xa3, ..] => matroska(file, length),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => mp4(file, length),
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

fn short(length: u64, expected: u64) -> Option<String> {
    Some(format!("{length} bytes, must be at least {expected}"))
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
            return Ok(short(length, position + id_len as u64 + 1));
        };
        let Some(size_len) = vint_len(rest, 8) else { return Ok(None) };
        let Some(size) = rest.get(..size_len).map(big_endian) else {
            return Ok(short(length, position + (id_len + size_len) as u64));
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
            return Ok(short(length, end));
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

/// ISO base media file format (ISO/IEC 14496-12, 4.2): boxes of a size, a type and content.
fn mp4(file: &File, length: u64) -> io::Result<Option<String>> {
    let (mut position, mut has_index) = (0, false);
    while position < length {
        let mut head = [0; 16];
        let head = read_at(file, &mut head, position)?;
        let (Some(size), Some(kind)) = (head.get(..4).map(big_endian), head.get(4..8)) else {
            return Ok(short(length, position + 8));
        };
        has_index |= kind == b"moov";
        let size = match size {
            0 => length - position,
            1 => match head.get(8..16).map(big_endian) {
                Some(size) => size,
                None => return Ok(short(length, position + 16)),
            },
            size => size,
        };
        if size < 8 {
            return Ok(None);
        }
        let end = position.saturating_add(size);
        if end > length {
            return Ok(short(length, end));
        }
        position = end;
    }
    Ok((!has_index).then(|| "the index (moov) is missing".into()))
}
