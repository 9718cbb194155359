//! Whatever goes in comes out: any tokens, any integers that hold them, any grouping, with a prior and without.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use tokens::{Archive, Npy, Options, Prior, Segment, TokensError, decode, encode, train};

/// The .npy file of an array, as NumPy writes it.
fn npy(descr: &str, shape: &[usize], tokens: &[u16]) -> Vec<u8> {
    let dimensions: Vec<_> = shape.iter().map(usize::to_string).collect();
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", dimensions.join(", "));
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let length = (text.len() + 11).next_multiple_of(64) - 10;
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(format!("{text:<width$}\n", width = length - 1).into_bytes());
    let size: usize = descr[2..].parse().unwrap();
    for &token in tokens {
        let value = u64::from(token).to_be_bytes();
        let value = &value[8 - size..];
        if descr.starts_with('>') { bytes.extend(value) } else { bytes.extend(value.iter().rev()) }
    }
    bytes
}

fn segment(name: &str, file: &[u8]) -> Segment {
    Segment { name: name.into(), npy: Npy::parse(file).unwrap() }
}

fn group(group: usize) -> Options<'static> {
    Options { group: NonZeroUsize::new(group).unwrap(), ..Options::DEFAULT }
}

/// A made-up video: each place flickers among a few tokens of its own, sometimes anything comes.
fn video(frames: usize, seed: u32) -> Vec<u16> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut random = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 10) % below
    };
    let token = |i: usize| {
        let place = (i % 128) as u32;
        (if random(4) == 0 { random(1024) } else { place * 8 + random(3) }) as u16
    };
    (0..frames * 128).map(token).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_tokens_come_back(
        bits in 0u32..=16, frames in 0usize..12, height in 1usize..6, width in 1usize..6, per_group in 1usize..4,
        files in 1usize..4, seed in prop::collection::vec(any::<u16>(), 12 * 36),
    ) {
        let mask = ((1u32 << bits) - 1) as u16;
        let shape = [frames, height, width];
        let contents: Vec<_> = (0..files)
            .map(|file| {
                let values = seed.iter().skip(file).cycle().take(frames * height * width);
                npy("<i8", &shape, &values.map(|value| value & mask).collect::<Vec<_>>())
            })
            .collect();
        let segments: Vec<_> = contents.iter().enumerate().map(|(i, file)| segment(&format!("{i}/token.npy"), file)).collect();
        let archive = encode(&segments, &group(per_group)).unwrap();
        let restored: Vec<_> = decode(&archive, None).unwrap().into_iter().map(|(_, file)| file).collect();
        prop_assert_eq!(restored, contents);
    }

    #[test]
    fn repeated_and_switching_tokens_come_back(
        period in 1usize..40, low in any::<u16>(), high in any::<u16>(), switch in 0usize..2000,
    ) {
        // What a model is surest of until it is not: long runs, then the opposite.
        let tokens: Vec<u16> = (0..2000).map(|i| if (i < switch) == (i % period == 0) { low } else { high }).collect();
        for shape in [[20, 10, 10], [2000, 1, 1], [1, 1, 2000]] {
            let file = npy("<u2", &shape, &tokens);
            let archive = encode(&[segment("a.npy", &file)], &Options::DEFAULT).unwrap();
            prop_assert_eq!(&decode(&archive, None).unwrap(), &[("a.npy".to_string(), file)]);
        }
    }
}

#[test]
fn every_integer_type_and_shape_comes_back() {
    let tokens: Vec<u16> = (0..256).map(|i| (i * 37 % 128) as u16).collect();
    for descr in ["|u1", "|i1", "<i2", ">i2", "<u2", "<i4", "<u4", ">i4", "<i8", "<u8", ">u8"] {
        for shape in [vec![2, 8, 16], vec![2, 128], vec![16, 16], vec![256, 1, 1], vec![0, 8, 16]] {
            let count = shape.iter().product();
            let file = npy(descr, &shape, &tokens[..count]);
            let archive = encode(&[segment("a.npy", &file)], &Options::DEFAULT).unwrap();
            assert_eq!(decode(&archive, None).unwrap(), [("a.npy".into(), file)], "{descr} {shape:?}");
        }
    }
}

#[test]
fn a_constant_video_takes_next_to_nothing() {
    let file = npy("<i2", &[1200, 8, 16], &[777; 1200 * 128]);
    let archive = encode(&[segment("a.npy", &file)], &Options::DEFAULT).unwrap();
    assert!(archive.len() < 200, "{} bytes", archive.len());
    assert_eq!(decode(&archive, None).unwrap()[0].1, file);
}

#[test]
fn noise_grows_little() {
    // Upper bits of a linear congruential generator of 64 bits (Knuth): nothing here can be learned.
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 48) as u16
    };
    let noise: Vec<u16> = (0..20_000).map(|_| random()).collect();
    let file = npy("<u2", &[10, 2000], &noise);
    let archive = encode(&[segment("a.npy", &file)], &Options::DEFAULT).unwrap();
    assert!(archive.len() < 40_200, "{} bytes", archive.len());
    assert_eq!(decode(&archive, None).unwrap()[0].1, file);
}

#[test]
fn segments_learn_from_those_before_them() {
    let files: Vec<_> = (0..4).map(|seed| npy("<i2", &[40, 8, 16], &video(40, seed))).collect();
    let segments: Vec<_> = files.iter().enumerate().map(|(i, file)| segment(&format!("{i}.npy"), file)).collect();
    let solid = encode(&segments, &group(4)).unwrap();
    let single = encode(&segments, &group(1)).unwrap();
    assert!(solid.len() * 100 < single.len() * 93, "{} {}", solid.len(), single.len());

    // One out of the middle, from either.
    for bytes in [&solid, &single] {
        let archive = Archive::open(bytes, None).unwrap();
        let found = std::sync::Mutex::new(Vec::new());
        let sink = |entry: &tokens::Entry, file| -> Result<(), TokensError> {
            found.lock().unwrap().push((entry.name().to_string(), file));
            Ok(())
        };
        archive.extract(&|entry| entry.name() == "2.npy", &sink).unwrap();
        assert_eq!(found.into_inner().unwrap(), [("2.npy".to_string(), files[2].clone())]);
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let segments: Vec<_> =
        (0..5).map(|i| segment(&format!("{i}.npy"), &npy("<i2", &[8, 8, 16], &video(8, i)))).collect();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| encode(&segments, &group(2)).unwrap())
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn a_prior_helps_and_is_asked_for() {
    let load = |seed: u32| {
        Ok::<_, TokensError>(segment(&format!("{seed}.npy"), &npy("<i2", &[100, 8, 16], &video(100, seed))))
    };
    let unseen = load(9).unwrap();
    let without = encode(std::slice::from_ref(&unseen), &Options::DEFAULT).unwrap();
    let mut sizes = vec![without.len()];
    for counts in [false, true] {
        let file = train(3, &|i| load(i as u32), counts, &|_| ()).unwrap();
        let prior = Prior::read(&file).unwrap();
        let options = Options { prior: Some(&prior), ..Options::DEFAULT };
        let archive = encode(std::slice::from_ref(&unseen), &options).unwrap();
        sizes.push(archive.len());
        assert_eq!(decode(&archive, Some(&prior)).unwrap()[0].1, unseen.npy.to_bytes());
        assert!(matches!(decode(&archive, None), Err(TokensError::PriorNeeded { .. })));
        assert_eq!(decode(&without, Some(&prior)).unwrap()[0].1, unseen.npy.to_bytes());

        let beyond = segment("a.npy", &npy("<u2", &[1, 1, 1], &[1024]));
        assert!(matches!(encode(&[beyond], &options), Err(TokensError::BeyondPrior { token: 1024, limit: 1024 })));
        for cut in [0, 3, 4, 20, file.len() / 2, file.len() - 1] {
            assert!(Prior::read(&file[..cut]).is_err(), "{cut}");
        }
        let mut changed = file;
        changed[40] ^= 1;
        assert!(matches!(Prior::read(&changed), Err(TokensError::PriorDamaged)));
    }
    assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2], "{sizes:?}");
}

#[test]
fn names_that_leave_the_folder_or_meet_are_refused() {
    let file = npy("<i2", &[1, 1, 1], &[1]);
    let names = |names: &[&str]| {
        encode(&names.iter().map(|name| segment(name, &file)).collect::<Vec<_>>(), &Options::DEFAULT).map(|_| ())
    };
    for name in ["", "/a.npy", "../a.npy", "a/../../b.npy", "a//b.npy", "./a.npy", "a/", "a\\b.npy", "a\0.npy", ".."] {
        assert!(matches!(names(&[name]), Err(TokensError::Name { .. })), "{name:?}");
    }
    for pair in [["a.npy", "a.npy"], ["a", "a/b.npy"], ["a/b/c.npy", "a/b"]] {
        assert!(matches!(names(&pair), Err(TokensError::Duplicate { .. })), "{pair:?}");
    }
    names(&["a/token.npy", "b/token.npy", "a/b..npy"]).unwrap();
}

#[test]
fn a_real_segment_keeps_its_ratio() {
    let Some(path) = testdata::shared("tokens/tokens.npy") else { return };
    let file = std::fs::read(path).unwrap();
    let archive = encode(&[segment("token.npy", &file)], &Options::DEFAULT).unwrap();
    let ratio = 192_000.0 / archive.len() as f64;
    assert!(ratio > 1.9, "{ratio}");
    assert_eq!(decode(&archive, None).unwrap(), [("token.npy".into(), file)]);
}
