//! `hnerv tokens` as people and scripts use it: archives and back, one file out of many, a prior, the submission's zip, and
//! every input that is refused: exit code 2, one line, nothing written.

mod common;

use std::fs;
use std::path::PathBuf;

use common::Bench;

/// A bench with six segments below `in`, all of them called token.npy.
fn with_segments() -> Bench {
    let bench = Bench::new();
    (0..6).for_each(|seed| bench.write(&segment_name(seed), video(seed)));
    bench
}

/// Every file below a folder, by its path from there.
fn files(bench: &Bench, below: &str) -> Vec<(PathBuf, Vec<u8>)> {
    bench.entries(below).into_iter().filter_map(|(path, content)| Some((path, content?))).collect()
}

fn segment_name(seed: u32) -> String {
    format!("in/{}/segment{seed}/token.npy", seed % 2)
}

/// A .npy file with the given dictionary and data.
fn npy(dictionary: &str, data: &[u8]) -> Vec<u8> {
    let length = (dictionary.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], dictionary.as_bytes(), data].concat()
}

fn dictionary(descr: &str, fortran: &str, shape: &str) -> String {
    format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
}

/// Twenty frames of 8x16 tokens, each place flickering among three of its own.
fn video(seed: u32) -> Vec<u8> {
    let token = |i: u32| (i % 128 * 8 + (i + seed).wrapping_mul(2_654_435_761) % 3) as u16;
    let data: Vec<u8> = (0..20 * 128).flat_map(|i| token(i).to_le_bytes()).collect();
    npy(&dictionary("'<i2'", "False", "(20, 8, 16)"), &data)
}

#[test]
fn a_folder_comes_back_whatever_the_threads() {
    let bench = with_segments();
    let text = bench.succeeds("tokens compress in -o solid.bin --threads 1");
    let size = bench.read("solid.bin").len();
    let ratio = format!("ratio {:.4}", 6.0 * 20.0 * 128.0 * 1.25 / size as f64);
    assert!(text.contains("6 segments") && text.contains(&format!("{size} here")) && text.contains(&ratio), "{text}");
    bench.succeeds("tokens decompress solid.bin -o a");
    assert_eq!(files(&bench, "a"), files(&bench, "in"));

    bench.succeeds("tokens compress in -o one.bin --group 2 --threads 1");
    bench.succeeds("tokens compress in -o three.bin --group 2 --threads 3");
    assert_eq!(bench.read("one.bin"), bench.read("three.bin"));
    bench.succeeds(
        "tokens decompress three.bin -o b --threads 2 --only 0/segment2/token.npy --only 1/segment5/token.npy",
    );
    let two: Vec<(PathBuf, Vec<u8>)> = [2, 5].map(|seed| (segment_name(seed)[3..].into(), video(seed))).into();
    assert_eq!(files(&bench, "b"), two);
    bench.refuses("tokens decompress three.bin -o c --only token.npy", &["three.bin", "token.npy"]);
}

#[test]
fn paths_are_kept_and_must_not_meet() {
    let bench = with_segments();
    bench.succeeds("tokens compress ./in/0/segment0/token.npy in/1/segment1/token.npy -o x.bin");
    bench.succeeds("tokens decompress x.bin -o out");
    let names: Vec<_> = files(&bench, "out/in").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["0/segment0/token.npy", "1/segment1/token.npy"].map(PathBuf::from));
    bench.refuses("tokens compress in in -o y.bin", &["twice", "0/segment0/token.npy"]);
    let absolute = [0, 1].map(|seed| bench.path(&segment_name(seed)).display().to_string()).join(" ");
    bench.refuses(&format!("tokens compress {absolute} -o y.bin"), &["twice", "token.npy"]);
}

#[test]
fn a_prior_is_needed_again() {
    let bench = with_segments();
    bench.succeeds("tokens train in/0 -o prior.bin");
    let text = bench.succeeds("tokens compress in/1 -o x.bin --prior prior.bin");
    assert!(text.contains(&format!("with the prior's {} bytes", bench.read("prior.bin").len())), "{text}");
    bench.refuses("tokens decompress x.bin -o out", &["x.bin", "--prior"]);
    bench.succeeds("tokens decompress x.bin -o out --prior prior.bin");
    assert_eq!(files(&bench, "out"), files(&bench, "in/1"));
    bench.succeeds("tokens train in/1 -o other.bin");
    bench.refuses("tokens decompress x.bin -o out --prior other.bin", &["x.bin", "--prior"]);
    bench.refuses("tokens decompress x.bin -o out --prior x.bin", &["x.bin", "not a prior"]);
    bench.write("cut.bin", &bench.read("prior.bin")[..1000]);
    bench.refuses("tokens decompress x.bin -o out --prior cut.bin", &["cut.bin", "cut off"]);
}

#[test]
fn a_submission_restores_its_files() {
    let bench = with_segments();
    bench.write("decoder", "#!/bin/sh\n");
    let text = bench.succeeds("tokens submission in -o submission.zip --decoder decoder");
    let zip = bench.read("submission.zip");
    assert!(text.contains(&format!("{} bytes", zip.len())), "{text}");
    assert!(text.contains(&format!("Compression rate: {:.1}", 6.0 * 20.0 * 128.0 * 1.25 / zip.len() as f64)), "{text}");
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
    let names: Vec<_> = zip.file_names().map(str::to_string).collect();
    assert_eq!(names, ["decompress.py", "detokenize", "tokens.bin"]);
    let mut archive = Vec::new();
    std::io::copy(&mut zip.by_name("tokens.bin").unwrap(), &mut archive).unwrap();
    bench.write("tokens.bin", archive);
    bench.succeeds("tokens decompress tokens.bin -o out");
    assert_eq!(files(&bench, "out"), files(&bench, "in"));
    bench.refuses("tokens submission in -o other.zip --decoder nowhere", &["nowhere", "--decoder"]);
}

#[test]
fn what_is_no_token_video_is_refused_by_name() {
    let bench = with_segments();
    let bad = |name: &str, content: Vec<u8>, words: &[&str]| {
        bench.write(name, content);
        bench.refuses(&format!("tokens compress in {name} -o x.bin"), &[&[name], words].concat());
    };
    let i2 = |shape: &str, data: &[u8]| npy(&dictionary("'<i2'", "False", shape), data);
    bad("empty.npy", Vec::new(), &["empty"]);
    bad("text.npy", b"hello".into(), &["not a .npy"]);
    bad("cut.npy", video(0)[..500].into(), &["cut off"]);
    bad("longer.npy", [video(0), vec![0]].concat(), &["has grown"]);
    bad("float.npy", npy(&dictionary("'<f4'", "False", "(1, 1)"), &[0; 4]), &["<f4", "integers"]);
    bad("object.npy", npy(&dictionary("'|O'", "False", "(1, 1)"), &[0; 8]), &["|O", "integers"]);
    bad("fortran.npy", npy(&dictionary("'<i2'", "True", "(1, 1)"), &[0; 2]), &["Fortran", "ascontiguousarray"]);
    bad("shape.npy", i2("(2,)", &[0; 4]), &["(2,)"]);
    bad("negative.npy", i2("(1, 2)", &[1, 0, 255, 255]), &["-1", "index 1"]);
    bad("large.npy", npy(&dictionary("'<i4'", "False", "(1, 1)"), &[0, 0, 1, 0]), &["65536", "65535"]);
    bad("hostile.npy", i2("(268435456, 1, 1)", &[]), &["536870912"]);
    fs::create_dir(bench.path("hollow")).unwrap();
    bench.refuses("tokens compress hollow -o x.bin", &["hollow"]);
    bench.refuses("tokens compress nowhere -o x.bin", &["nowhere"]);
}

#[test]
fn damage_is_noticed_before_anything_is_written() {
    let bench = with_segments();
    bench.succeeds("tokens compress in -o x.bin --group 2");
    let archive = bench.read("x.bin");
    bench.write("cut.bin", &archive[..archive.len() - 9]);
    let mut changed = archive.clone();
    changed[archive.len() / 2] ^= 1;
    bench.write("changed.bin", changed);
    bench.write("newer.bin", [&archive[..4], &[9], &archive[5..]].concat());
    bench.refuses("tokens decompress cut.bin -o out", &["cut.bin", "damaged or cut off"]);
    bench.refuses("tokens decompress changed.bin -o out", &["changed.bin", "damaged or cut off"]);
    bench.refuses("tokens decompress newer.bin -o out", &["newer.bin", "version 9"]);
    bench.refuses(&format!("tokens decompress {} -o out", segment_name(0)), &["token.npy", "not an archive"]);
    bench.refuses("tokens decompress nowhere.bin -o out", &["nowhere.bin"]);
    bench.refuses("tokens compress in -o in", &["in:", "folder"]);
}

#[test]
fn an_input_is_not_overwritten() {
    let bench = with_segments();
    bench.succeeds("tokens train in -o prior.bin");
    bench.succeeds("tokens compress in -o x.bin --prior prior.bin");
    bench.write("detokenize", "#!/bin/sh\n");
    let segment = segment_name(3);
    for output in [segment.as_str(), "prior.bin"] {
        let words = [output, "would overwrite the input"];
        bench.refuses(&format!("tokens compress in -o {output} --prior prior.bin"), &words);
        bench.refuses(&format!("tokens submission in -o {output} --prior prior.bin --decoder detokenize"), &words);
    }
    bench.refuses(&format!("tokens train in -o {segment}"), &[&segment, "would overwrite the input"]);
    bench.refuses("tokens submission in -o detokenize --decoder detokenize", &["detokenize", "would overwrite"]);
    // An archive that lies where one of its files is to be restored.
    for name in ["x.bin", "prior.bin"] {
        bench.write(&format!("{name}.d/keep"), "");
        fs::create_dir_all(bench.path(&format!("{name}.d/1/segment5"))).unwrap();
        let link = bench.path(&format!("{name}.d/1/segment5/token.npy"));
        std::os::unix::fs::symlink(bench.path(name), link).unwrap();
        let command = format!("tokens decompress x.bin -o {name}.d --prior prior.bin");
        bench.refuses(&command, &[name, "would overwrite the input"]);
    }
    bench.succeeds("tokens decompress x.bin -o x.bin.d --prior prior.bin --only 0/segment2/token.npy");
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_the_work() {
    let bench = with_segments();
    bench.write("detokenize", "#!/bin/sh\n");
    // Were the segments read first, this one would be refused.
    bench.write("in/cut.npy", "cut");
    bench.write("file", "in the way");
    for command in ["compress in -o", "train in -o", "submission in --decoder detokenize -o"] {
        bench.refuses(&format!("tokens {command} file/out"), &["file", "choose another place"]);
    }
}
