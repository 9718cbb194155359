//! What has to be known of H.264 before its decoder is started.

/// Type of a NAL unit that holds a slice of an IDR picture (ITU-T H.264, table 7-1).
const IDR: u8 = 5;

/// Whether an access unit holds an IDR picture, which nothing before it is needed for. `extradata` tells how NAL units
/// are parted: by start codes, or, behind an avcC box (ISO/IEC 14496-15), by their lengths.
pub(crate) fn is_idr(unit: &[u8], extradata: &[u8]) -> bool {
    let [1, _, _, _, lengths, ..] = extradata else {
        return unit.windows(4).any(|bytes| matches!(bytes, [0, 0, 1, head] if head & 0x1f == IDR));
    };
    let length_size = usize::from(lengths & 3) + 1;
    let mut rest = unit;
    while let Some((length, content)) = rest.split_at_checked(length_size) {
        let length = length.iter().fold(0, |value, &byte| value << 8 | usize::from(byte));
        match content.first() {
            Some(head) if head & 0x1f == IDR => return true,
            _ => rest = content.get(length..).unwrap_or_default(),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_idr;

    #[test]
    fn idr_pictures_are_found_however_nal_units_are_parted() {
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
            assert_eq!(is_idr(unit, extradata), expected, "{unit:x?}");
        }
    }
}
