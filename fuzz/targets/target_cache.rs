//! The parser of target caches behind their hash, on frames of at most 64x64: the hash is mended, and so are larger sizes.

#![no_main]

use std::path::Path;

use dataset::Dataset;
use libfuzzer_sys::fuzz_target;

/// Bytes of magic and version, which the length of the clip's name follows.
const START: usize = 12;

fuzz_target!(|input: &[u8]| {
    let Some(file) = mended(input) else { return };
    if let Ok(dataset) = Dataset::parse(&file, Path::new("clip.targets")) {
        let (height, width) = dataset.size();
        assert_eq!(dataset.frames().len(), dataset.frame_count() * 3 * height * width);
    }
});

fn mended(input: &[u8]) -> Option<Vec<u8>> {
    let mut file = input.to_vec();
    let length = u32::from_le_bytes(*input.get(START..)?.first_chunk()?);
    // Behind the name, the size of the clip's file and that of its frames.
    let sizes = START.checked_add(4 + 8 + 8)?.checked_add(length as usize)?;
    for byte in file.get_mut(sizes..sizes.checked_add(8)?)?.chunks_exact_mut(4) {
        byte.copy_from_slice(&[byte[0] % 65, 0, 0, 0]);
    }
    file.extend(blake3::hash(&file).as_bytes());
    Some(file)
}
