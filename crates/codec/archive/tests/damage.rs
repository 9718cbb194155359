//! Damaged, foreign and hostile bytes are refused with a word.

mod common;

use archive::{ArchiveError, budget, decode, encode, header};
use common::{later, small};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};

/// Bytes before the length.
const START: usize = 5;

fn number(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// An archive with this content, its length and checksum right.
fn mended(version: u8, content: &[u8]) -> Vec<u8> {
    let mut archive = [b"HNRV".as_slice(), &[version], &number(content.len()), content].concat();
    archive.extend_from_slice(&crc32fast::hash(&archive).to_le_bytes());
    archive
}

/// What lies between length and checksum.
fn content(archive: &[u8]) -> &[u8] {
    let length = archive[START..].iter().position(|byte| byte < &0x80).unwrap() + 1;
    &archive[START + length..archive.len() - 4]
}

#[test]
fn every_cut_and_every_addition_is_refused() {
    let archive = encode(&small());
    for length in 0..archive.len() {
        let expected = || if length < 4 { ArchiveError::NotAnArchive } else { ArchiveError::Damaged };
        assert_eq!(decode(&archive[..length]), Err(expected()), "cut at {length}");
        assert_eq!(budget(&archive[..length]), Err(expected()));
        assert_eq!(header(&archive[..length]), Err(expected()));
    }
    for garbage in [&b"\0"[..], b"\xff\xff", &archive] {
        assert_eq!(decode(&[&archive, garbage].concat()), Err(ArchiveError::Damaged));
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let archive = encode(&small());
    for bit in 0..archive.len() * 8 {
        let mut flipped = archive.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let expected = match bit / 8 {
            0..4 => ArchiveError::NotAnArchive,
            // Bit 0 makes it a 3, which the checksum refuses.
            4 if flipped[4] != 3 => ArchiveError::Version { found: flipped[4] },
            _ => ArchiveError::Damaged,
        };
        assert_eq!(decode(&flipped), Err(expected), "bit {bit}");
    }
}

#[test]
fn messages_say_what_to_do() {
    let mut archive = encode(&small());
    assert_eq!(decode(b"PK\x03\x04 a zip file").unwrap_err().to_string(), "not an hnerv archive");
    archive[4] = 7;
    let version = decode(&archive).unwrap_err().to_string();
    assert_eq!(version, "archive version 7, this program reads 2 to 3: update it");
    archive[4] = 2;
    archive[40] ^= 1;
    assert!(decode(&archive).unwrap_err().to_string().ends_with("copy it again"));
}

#[test]
fn an_archive_that_says_too_much_is_refused_before_it_is_read() {
    /// What a header says: of the decoder latent dimensions, stem channels, rows, columns and no layers; of the clip frames,
    /// rows, columns and its name.
    #[derive(Clone, Copy)]
    struct Header {
        decoder: [usize; 4],
        clip: [usize; 3],
        name: &'static str,
    }
    let change = |change: fn(&mut Header)| {
        let mut header = Header { decoder: [2, 1, 2, 2], clip: [13, 8, 10], name: "clip" };
        change(&mut header);
        // What no `encode` writes, before a payload of nothing.
        let numbers = [&header.decoder[..], &[0], &header.clip, &[header.name.len()]].concat();
        let mut content: Vec<u8> = numbers.into_iter().flat_map(number).collect();
        content.extend(header.name.bytes());
        decode(&mended(2, &content)).unwrap_err().to_string()
    };
    assert!(change(|_| ()).contains("payload"));
    assert!(change(|h| h.decoder[1] = 1 << 31).contains("stem.channels"));
    assert!(change(|h| h.decoder[2] = 4097).contains("stem.height"));
    assert!(change(|h| (h.decoder[0], h.decoder[1]) = (1024, 512)).contains("payload"));
    assert!(change(|h| (h.decoder[2], h.decoder[3]) = (4096, 4096)).contains("parameters"));
    assert!(change(|h| h.clip[0] = 1_000_001).contains("frames"));
    assert!(change(|h| (h.decoder[0], h.clip[0]) = (1024, 1_000_000)).contains("latent values"));
    assert!(change(|h| h.name = "a/b").contains("name"));
}

#[test]
fn a_table_has_one_version() {
    for (representation, version) in [(small(), 2), (later(), 3)] {
        let archive = encode(&representation);
        assert_eq!(archive[4], version);
        assert_eq!(decode(&archive), Ok(representation));
    }
    // The old table as the new version writes it: without flags, a stage's factor, kernel, flags and channels.
    let old = encode(&small());
    let old = content(&old);
    assert_eq!(old[..7], [2, 1, 2, 2, 2, 4, 2], "two layers, the first a 3x3 stage x2 of 2 channels");
    let new = [&[2, 1, 2, 2, 0, 2, 2, 3, 0, 2], &old[7..]].concat();
    let message = decode(&mended(3, &new)).unwrap_err().to_string();
    assert!(message.contains("another version"), "{message}");
    // Unknown flags, of the table and of a layer.
    for at in [4, 8] {
        let mut new = new.clone();
        new[at] = 8;
        assert!(decode(&mended(3, &new)).unwrap_err().to_string().contains("a flag is unknown"));
    }
    // A factor of 5 in the old form.
    let five = [&[2, 1, 2, 2, 2, 10, 2], &old[7..]].concat();
    assert!(decode(&mended(2, &five)).unwrap_err().to_string().contains("another version"));
}

#[test]
fn whatever_stands_behind_a_right_checksum_is_read_or_refused() {
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let wholes = [small(), later()].map(|representation| encode(&representation));
    let mut read = [0, 0];
    for round in 0..20_000 {
        let whole = &wholes[round % 2];
        let mut bytes = content(whole).to_vec();
        for _ in 0..rng.random_range(1..5) {
            let at = rng.random_range(0..bytes.len());
            match rng.random_range(0..5) {
                0 => bytes[at] = rng.random_range(0..=255),
                1 => bytes[at] ^= 1 << rng.random_range(0..8),
                2 => bytes.insert(at, rng.random_range(0..=255)),
                3 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at + 1),
            }
        }
        match decode(&mended(whole[4], &bytes)) {
            Ok(representation) => {
                read[round % 2] += 1;
                assert_eq!(decode(&encode(&representation)), Ok(representation));
            }
            Err(ArchiveError::Malformed { offset, .. }) => assert!(offset <= bytes.len() + START + 5),
            Err(ArchiveError::Representation(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(
        read.iter().all(|&read| read > 5) && read[0] > 30,
        "only {read:?} of the mutations reached the end of the payload"
    );
}
