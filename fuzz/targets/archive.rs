//! The archive's parser behind its checksum: whatever the input's version, length and checksum are, they are mended.

#![no_main]

use libfuzzer_sys::fuzz_target;

/// Bytes of magic and version.
const START: usize = 5;
/// Parameters, latent values and pixels of class maps beyond which an input is left alone: one at the limits takes half a minute.
const LARGEST: usize = 1 << 13;

fuzz_target!(|input: &[u8]| {
    let Some(archive) = mended(input) else { return };
    if archive::header(&archive).is_ok_and(|(architecture, clip)| {
        let stem = architecture.table().stem;
        let pixels = if stem.classes > 0 { stem.height * stem.width } else { 0 };
        let of_samples = (architecture.latent_dim() + pixels) * clip.samples();
        architecture.graph().parameter_count() + of_samples > LARGEST
    }) {
        return;
    }
    if let Ok(representation) = archive::decode(&archive) {
        let again = archive::encode(&representation);
        assert_eq!(archive::decode(&again).as_ref(), Ok(&representation));
        archive::budget(&again).expect("what can be read has a budget");
    }
});

/// An archive of the input's version and of what lies between its length and its checksum.
fn mended(input: &[u8]) -> Option<Vec<u8>> {
    let rest = input.get(START..)?;
    let digits = rest.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let content = rest.get(digits..rest.len().checked_sub(4)?)?;
    let mut archive = b"HNRV".to_vec();
    archive.push(input[START - 1]);
    let mut length = content.len();
    while length >= 0x80 {
        archive.push(length as u8 | 0x80);
        length >>= 7;
    }
    archive.push(length as u8);
    archive.extend_from_slice(content);
    let checksum = crc32fast::hash(&archive);
    archive.extend_from_slice(&checksum.to_le_bytes());
    Some(archive)
}
