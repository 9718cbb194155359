//! Archives of every version are read forever, to the frames that they gave when they were written (docs/archive-format.md, Versions).

use decoder::{Decoder, DecoderError};
use sha2::{Digest, Sha256};

/// Each version with the start of the SHA-256 of all frames of its sample.
const SAMPLES: [(u8, &str); 3] = [(2, "a0beece2abf1b657"), (3, "ccc1c3696c74f9de"), (4, "2e920d889f1c4a2b")];

fn sample(version: u8) -> Vec<u8> {
    std::fs::read(testdata::asset_of("codec/archive", &format!("version-{version}.bin"))).unwrap()
}

#[test]
fn a_sample_of_each_version_gives_its_frames_and_is_written_again_as_it_was() {
    assert!(SAMPLES.iter().map(|sample| sample.0).eq(archive::VERSIONS), "a new version needs a sample");
    for (version, expected) in SAMPLES {
        let bytes = sample(version);
        assert_eq!(bytes[4], version);
        let representation = archive::decode(&bytes).unwrap();
        assert_eq!(archive::encode(&representation), bytes, "version {version}");
        let mut hash = Sha256::new();
        let sink = |_, frames: &[frames::RgbFrame; 2]| {
            frames.iter().for_each(|frame| hash.update(frame.data()));
            Ok::<(), DecoderError>(())
        };
        Decoder::new(&representation).decode_all(0..representation.clip.samples(), 1, sink).unwrap();
        let found: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, expected, "version {version}");
    }
}

#[test]
fn a_version_from_the_future_is_named() {
    let mut bytes = sample(2);
    let newest = *archive::VERSIONS.end();
    bytes[4] = newest + 1;
    let message = archive::decode(&bytes).unwrap_err().to_string();
    let [found, known] = [newest + 1, newest].map(|version| version.to_string());
    assert!(message.contains(&found) && message.contains(&known) && message.contains("update"), "{message}");
}
