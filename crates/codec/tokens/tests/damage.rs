//! No archive that was cut or changed is decoded, and none makes the decoder panic.

use std::sync::LazyLock;

use proptest::prelude::*;
use tokens::{Archive, Npy, Options, Prior, Segment, TokensError, decode, encode, mend, train};

/// Six frames of 3x4 tokens.
fn segment(name: &str, seed: u16) -> Segment {
    let mut file = b"\x93NUMPY\x01\x00\x46\x00{'descr': '<i2', 'fortran_order': False, 'shape': (6, 3, 4), }".to_vec();
    file.resize(79, b' ');
    file.push(b'\n');
    file.extend((0..72).flat_map(|i: u16| (i.wrapping_mul(seed) % 300).to_le_bytes()));
    Segment { name: name.into(), npy: Npy::parse(&file).unwrap() }
}

/// Two segments.
fn archive() -> Vec<u8> {
    encode(&[segment("a/token.npy", 7), segment("b/token.npy", 5)], &Options::DEFAULT).unwrap()
}

#[test]
fn every_cut_and_every_changed_byte_is_noticed_before_decoding() {
    let archive = archive();
    assert!(Archive::open(&archive, None).is_ok());
    for length in 0..archive.len() {
        assert!(Archive::open(&archive[..length], None).is_err(), "cut to {length}");
    }
    for i in 0..archive.len() {
        for bit in 0..8 {
            let mut changed = archive.clone();
            changed[i] ^= 1 << bit;
            assert!(Archive::open(&changed, None).is_err(), "byte {i}, bit {bit}");
        }
    }
    assert!(Archive::open(&[archive.as_slice(), &[0]].concat(), None).is_err());
}

#[test]
fn other_files_and_versions_are_named() {
    assert!(matches!(Archive::open(b"", None), Err(TokensError::NotAnArchive)));
    assert!(matches!(Archive::open(b"PK\x03\x04", None), Err(TokensError::NotAnArchive)));
    let mut newer = archive();
    newer[4] = 9;
    assert!(matches!(Archive::open(&newer, None), Err(TokensError::Version { found: 9 })));
}

#[test]
fn a_mended_archive_is_the_archive() {
    let archive = archive();
    assert_eq!(mend(&archive), Some(archive));
}

/// Learned from one segment.
static PRIOR: LazyLock<Vec<u8>> =
    LazyLock::new(|| train(1, &|_| Ok::<_, TokensError>(segment("a.npy", 7)), false, &|_| ()).unwrap());

/// The same prior with a checksum that fits.
fn mend_prior(mut prior: Vec<u8>) -> Vec<u8> {
    let body = prior.len().saturating_sub(4);
    let checksum = crc32fast::hash(&prior[..body]);
    prior[body..].copy_from_slice(&checksum.to_le_bytes());
    prior
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_prior_is_refused_or_codes_without_loss(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let segment = segment("a.npy", 7);
        let mut prior = PRIOR.clone();
        for (at, byte) in changes {
            let at = at.index(prior.len());
            prior[at] = byte;
        }
        if let Ok(prior) = Prior::read(&mend_prior(prior)) {
            let options = Options { prior: Some(&prior), ..Options::DEFAULT };
            if let Ok(archive) = encode(std::slice::from_ref(&segment), &options) {
                prop_assert_eq!(&decode(&archive, Some(&prior)).unwrap()[0].1, &segment.npy.to_bytes());
            }
        }
    }

    #[test]
    fn behind_mended_checksums_damage_is_an_error_or_harmless(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in 0usize..4,
    ) {
        let mut archive = archive();
        for (at, byte) in changes {
            // The footer stays, or there would be nothing to mend.
            let at = at.index(archive.len() - 60);
            archive[at] = byte;
        }
        let middle = archive.len() / 3;
        archive.drain(middle..middle + cut);
        if let Some(mended) = mend(&archive) {
            let _ = decode(&mended, None);
        }
    }
}
