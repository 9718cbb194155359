//! Any bytes as a token archive, with checksums mended so that they reach the decoder. What it accepts must survive writing
//! and reading.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tokens::{Archive, Entry, Npy, Options, Segment, decode, encode, mend};

/// Tokens beyond which an input is left alone: a short archive may well say that millions follow, and mean it.
const LARGEST: usize = 1 << 12;

fuzz_target!(|bytes: &[u8]| {
    let Some(mended) = mend(bytes) else { return };
    let Ok(archive) = Archive::open(&mended, None) else { return };
    if archive.entries().map(Entry::tokens).sum::<usize>() > LARGEST {
        return;
    }
    let Ok(files) = decode(&mended, None) else { return };
    let segment = |(name, npy): &(String, Vec<u8>)| Segment {
        name: name.clone(),
        npy: Npy::parse(npy).expect("what was decoded is a .npy file"),
    };
    let segments: Vec<Segment> = files.iter().map(segment).collect();
    let again = encode(&segments, &Options::DEFAULT).expect("what was read can be written");
    assert_eq!(decode(&again, None).expect("what was written can be read"), files);
});
