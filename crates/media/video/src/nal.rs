//! NAL units of H.264 and HEVC, as far as they must be looked at before a decoder is started.

use ffmpeg::codec::Id;
use ffmpeg_next as ffmpeg;

/// Whether an access unit holds a picture that decoding can start from without anything that was before: of H.264 an IDR picture
/// (ITU-T H.264, table 7-1), of HEVC an IRAP picture (ITU-T H.265, table 7-1). `extradata` tells how NAL units are parted: by start
/// codes, or, behind an avcC or hvcC box (ISO/IEC 14496-15), by their lengths.
pub(crate) fn is_start(codec: Id, unit: &[u8], extradata: &[u8]) -> bool {
    let (is_start, lengths): (fn(u8) -> bool, _) = match codec {
        Id::H264 => (|head| head & 0x1f == 5, extradata.get(4)),
        Id::HEVC => (|head| (16..24).contains(&(head >> 1 & 0x3f)), extradata.get(21)),
        _ => return true,
    };
    let (Some(1), Some(lengths)) = (extradata.first(), lengths) else {
        return unit.windows(4).any(|bytes| matches!(bytes, [0, 0, 1, head] if is_start(*head)));
    };
    let length_size = usize::from(lengths & 3) + 1;
    let mut rest = unit;
    while let Some((length, content)) = rest.split_at_checked(length_size) {
        let length = length.iter().fold(0, |value, &byte| value << 8 | usize::from(byte));
        match content.first() {
            Some(&head) if is_start(head) => return true,
            _ => rest = content.get(length..).unwrap_or_default(),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_to_start_from_are_found_however_nal_units_are_parted() {
        let cases: [(&[u8], &[u8], bool); 8] = [
            (&[0, 0, 0, 1, 0x67, 9, 0, 0, 1, 0x65, 9], &[], true),
            (&[0, 0, 0, 1, 0x06, 9, 0, 0, 1, 0x41, 0x65], &[0, 0, 1, 0x67], false),
            (&[0, 0, 0, 2, 0x06, 9, 0, 0, 0, 1, 0x25], &[1, 0, 0, 0, 0xff], true),
            (&[0, 0, 0, 2, 0x06, 0x65, 0, 0, 0, 1, 0x41], &[1, 0, 0, 0, 0xff], false),
            (&[0, 2, 0x06, 9, 0, 1, 0x65], &[1, 0, 0, 0, 0xfd], true),
            // Nothing, a length beyond the end, and one beyond all.
            (&[], &[1, 0, 0, 0, 0xff], false),
            (&[0, 0, 0, 9, 0x06, 9], &[1, 0, 0, 0, 0xff], false),
            (&[0xff, 0xff, 0xff, 0xff, 0x06], &[1, 0, 0, 0, 0xff], false),
        ];
        for (unit, extradata, expected) in cases {
            assert_eq!(is_start(Id::H264, unit, extradata), expected, "{unit:x?}");
        }
        // CRA, IDR, and a trailing picture behind parameter sets.
        for (head, expected) in [(0x2a, true), (0x26, true), (0x02, false)] {
            assert_eq!(is_start(Id::HEVC, &[0, 0, 1, 0x40, 1, 0, 0, 1, head, 1], &[]), expected);
            let hvcc = [[1; 21].as_slice(), &[0xf1]].concat();
            assert_eq!(is_start(Id::HEVC, &[0, 2, 0x40, 1, 0, 2, head, 1], &hvcc), expected);
        }
        assert!(is_start(Id::AV1, &[], &[]));
    }
}
