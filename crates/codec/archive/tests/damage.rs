//! Damaged, foreign and hostile bytes are refused with a word.

mod common;

use archive::{ArchiveError, budget, decode, encode, encode_beside, encode_maps, header};
use common::{later, semantic, small};
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
    for archive in [small(), semantic()].map(|representation| encode(&representation)) {
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
}

#[test]
fn every_changed_byte_is_refused() {
    for archive in [small(), semantic()].map(|representation| encode(&representation)) {
        for (at, change) in (0..archive.len()).flat_map(|at| (1..=255).map(move |change| (at, change))) {
            let mut changed = archive.clone();
            changed[at] ^= change;
            let expected = match at {
                0..4 => ArchiveError::NotAnArchive,
                4 if !archive::VERSIONS.contains(&changed[4]) => ArchiveError::Version { found: changed[4] },
                _ => ArchiveError::Damaged,
            };
            assert_eq!(decode(&changed), Err(expected), "byte {at} ^ {change}");
        }
    }
}

#[test]
fn messages_say_what_to_do() {
    let mut archive = encode(&small());
    assert_eq!(decode(b"PK\x03\x04 a zip file").unwrap_err().to_string(), "not an hnerv archive");
    archive[4] = 7;
    let version = decode(&archive).unwrap_err().to_string();
    assert_eq!(version, "archive version 7, this program reads 2 to 4: update it");
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

/// What a header of version 4 says: of the decoder latent dimensions, stem channels, rows, columns, flags and classes; of the carrier
/// coefficients, rows, columns, channels and bits; of its layers their numbers; of the clip frames.
#[derive(Clone)]
struct Semantic {
    decoder: [usize; 6],
    carrier: Vec<usize>,
    layers: Vec<Vec<usize>>,
    frames: usize,
}

// Flags: the latent is an image, it stands for one frame, there are class maps, there is a carrier.
const IMAGE: usize = 1;
const SINGLE: usize = 2;
const MAPPED: usize = 8;
const CARRIED: usize = 16;

impl Semantic {
    /// One that can be, with a residual block.
    fn new() -> Self {
        let decoder = [3, 2, 5, 7, MAPPED | CARRIED, 3];
        Self { decoder, carrier: vec![2, 2, 3, 1, 10], layers: vec![vec![16, 2, 3, 1, 0]], frames: 13 }
    }

    /// What no `encode` writes, with `maps` of so many bytes before a payload of nothing.
    fn archive(&self, maps: usize) -> Vec<u8> {
        let layers = [vec![self.layers.len()], self.layers.concat()].concat();
        let numbers = [&self.decoder[..], &self.carrier, &layers, &[self.frames, 8, 10, 4]].concat();
        let mut content: Vec<u8> = numbers.into_iter().flat_map(number).collect();
        content.extend(b"clip");
        content.extend(number(maps));
        mended(4, &content)
    }

    /// Why one of them with a change is refused, and that it is so as soon as its header is read.
    fn refused(change: &dyn Fn(&mut Self)) -> String {
        let mut changed = Self::new();
        change(&mut changed);
        let archive = changed.archive(0);
        let refused = header(&archive).unwrap_err();
        assert_eq!(decode(&archive).as_ref(), Err(&refused));
        assert_eq!(budget(&archive), Err(header(&archive).unwrap_err()));
        refused.to_string()
    }
}

#[test]
fn impossible_class_maps_carriers_and_blocks_are_refused_by_their_header() {
    let archive = Semantic::new().archive(0);
    assert!(header(&archive).is_ok());
    assert!(decode(&archive).unwrap_err().to_string().contains("the payload is no encoder's"));
    let refused = |change: &dyn Fn(&mut Semantic)| Semantic::refused(change);

    let vast = refused(&|s| (s.decoder[1], s.decoder[2], s.decoder[3], s.frames) = (1, 4096, 4096, 120_000));
    assert!(vast.contains("60000 class maps of 4096x4096") && vast.contains("pixels in all"), "{vast}");
    assert!(refused(&|s| s.decoder[2] = 1_000_000).contains("stem.height"));
    assert!(refused(&|s| s.decoder[3] = u32::MAX as usize).contains("stem.width"));
    assert!(refused(&|s| s.decoder[5] = 0).contains("class maps of no class"));
    assert!(refused(&|s| s.decoder[5] = 256).contains("stem.classes is 256"));
    assert!(refused(&|s| s.decoder[4] |= 32).contains("a flag is unknown"));
    assert!(refused(&|s| s.decoder[4] |= IMAGE).contains("stem.linear"));
    assert!(refused(&|s| s.decoder[4] |= SINGLE).contains("frames"));

    assert!(refused(&|s| s.carrier[0] = 1_000_000).contains("carrier.coefficients is 1000000"));
    assert!(refused(&|s| (s.decoder[0], s.carrier[0]) = (1_000_001, 1_000_000)).contains("latent_dim is 1000001"));
    for coefficients in [0, 3, 4] {
        assert!(refused(&|s| s.carrier[0] = coefficients).contains("carrier.coefficients"));
    }
    let vast = |s: &mut Semantic| (s.decoder[0], s.carrier) = (1024, vec![1023, 4096, 4096, 3, 12]);
    assert!(refused(&vast).contains("parameters"));
    assert!(refused(&|s| s.carrier[1] = 4097).contains("carrier.height"));
    assert!(refused(&|s| s.carrier[2] = 0).contains("carrier.width"));
    assert!(refused(&|s| s.carrier[3] = 2).contains("carrier.channels"));
    for bits in [0, 7, 13, 255] {
        assert!(refused(&|s| s.carrier[4] = bits).contains("carrier.bits"));
    }
    assert!(refused(&|s| s.carrier[4] = 256).contains("bits"));

    assert!(refused(&|s| s.layers[0][1] = 513).contains("layers[0].hidden"));
    assert!(refused(&|s| s.layers[0][2] = 7).contains("layers[0].kernel"));
    assert!(refused(&|s| s.layers[0][3] = 9).contains("layers[0].dilation"));
    assert!(refused(&|s| s.layers[0][4] = 2).contains("a flag is unknown"));
    assert!(refused(&|s| s.layers[0][0] = 15).contains("upscale"));
    assert!(refused(&|s| s.layers = vec![vec![16, 2, 3, 1, 0]; 33]).contains("too many layers"));

    // Longer than what is there.
    for length in [1, 1_000, u32::MAX as usize] {
        let early = Semantic::new().archive(length);
        assert!(header(&early).unwrap_err().to_string().contains("ends early"));
    }
    // A carrier without class maps: no number of classes then.
    let table = [3, 2, 5, 7, CARRIED, 2, 2, 3, 1, 10, 0, 13, 8, 10, 1].map(|number| number as u8);
    for version in [3, 4] {
        let refused = header(&mended(version, &[&table[..], b"c"].concat())).unwrap_err().to_string();
        assert!(refused.contains("another version"), "{refused}");
    }
    // Class maps in an archive of a version that had none.
    let mut older = encode(&semantic());
    older[4] = 3;
    let refused = header(&mended(3, content(&older))).unwrap_err().to_string();
    assert!(refused.contains("another version"), "{refused}");
}

#[test]
fn class_maps_that_no_encoder_writes_are_refused() {
    let representation = semantic();
    let maps = encode_maps(&representation);
    let refused = |maps: &[u8]| {
        let archive = encode_beside(&representation, maps);
        assert!(header(&archive).is_ok());
        let found = match decode(&archive) {
            Ok(other) => return assert_eq!(decode(&encode(&other)), Ok(other)),
            Err(found) => found,
        };
        let ArchiveError::Malformed { offset, what: "the class maps are no encoder's" } = found else {
            panic!("{found}")
        };
        assert_eq!(archive[offset..][..maps.len()], *maps);
    };
    for length in 0..maps.len() {
        refused(&maps[..length]);
    }
    for garbage in [&b"\0"[..], b"\0\0\0\0", b"\xff\xff", &maps] {
        refused(&[&maps[..], garbage].concat());
    }
    for (at, change) in (0..maps.len()).flat_map(|at| [1, 2, 16, 128, 255].map(|change| (at, change))) {
        let mut changed = maps.clone();
        changed[at] ^= change;
        refused(&changed);
    }
    // The same few bytes for maps as large as can be.
    let archive = encode(&representation);
    let small = content(&archive);
    assert_eq!(small[2..4], [6, 9]);
    let vast = [&small[..2], &number(4096), &number(2048), &small[4..]].concat();
    let refused = decode(&mended(4, &vast)).unwrap_err().to_string();
    assert!(refused.contains("the class maps are no encoder's"), "{refused}");
}

#[test]
fn a_table_has_one_version() {
    for (representation, version) in [(small(), 2), (later(), 3), (semantic(), 4)] {
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
        new[at] = 32;
        assert!(decode(&mended(3, &new)).unwrap_err().to_string().contains("a flag is unknown"));
    }
    // A factor of 5 in the old form.
    let five = [&[2, 1, 2, 2, 2, 10, 2], &old[7..]].concat();
    assert!(decode(&mended(2, &five)).unwrap_err().to_string().contains("another version"));
}

#[test]
fn whatever_stands_behind_a_right_checksum_is_read_or_refused() {
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let wholes = [small(), later(), semantic()].map(|representation| encode(&representation));
    let mut read = [0; 3];
    for round in 0..18_000 {
        let whole = &wholes[round % 3];
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
                read[round % 3] += 1;
                assert_eq!(decode(&encode(&representation)), Ok(representation));
            }
            Err(ArchiveError::Malformed { offset, .. }) => assert!(offset <= bytes.len() + START + 5),
            Err(ArchiveError::Representation(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(
        read.iter().all(|&read| read > 3) && read[0] > 15,
        "only {read:?} of the mutations reached the end of the payload"
    );
}
