//! The binary from outside: files, bytes, exit codes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use repr::{
    Architecture, Clip, ClipName, Layer, LayerTable, QuantizedLatents, QuantizedTensor, Refine, Representation,
    RepresentationParts, Sidecar, Stage, Stem,
};
use tempfile::{TempDir, tempdir};

const FRAME: usize = 29 * 37 * 3;

/// A small network with arbitrary integers, for a clip of `frames` frames of 29x37.
fn representation(name: &str, frames: usize) -> Representation {
    let table = LayerTable::new(
        4,
        Stem::new(4, 3, 4),
        vec![Layer::Stage(Stage::new(6, 4, 3)), Layer::Refine(Refine { hidden: 3, dilation: 2, gain: 0.1 })],
    );
    let architecture = Architecture::new(table).unwrap();
    let integer = |seed: usize, j: usize| (31 * j + 7919 * seed + 7) * 2_654_435_761 % 65_536 / 256;
    let tensor = |(seed, p): (usize, &repr::Parameter)| QuantizedTensor {
        values: (0..p.len()).map(|j| integer(seed, j) as i16 - 128).collect(),
        bits: 8,
        steps: vec![1.0 / 128.0],
    };
    let parameters = architecture.parameters().iter().enumerate().map(tensor).collect();
    let clip = Clip::new(ClipName::new(name).unwrap(), frames, 29, 37).unwrap();
    let values = (0..4 * clip.samples()).map(|j| integer(99, j) as u8 as u16).collect();
    let latents = QuantizedLatents { minimum: vec![-1.0; 4], step: vec![1.0 / 128.0; 4], values };
    let sidecar = Sidecar::default();
    Representation::new(RepresentationParts { architecture, clip, parameters, latents, sidecar, maps: None }).unwrap()
}

fn archive(name: &str, frames: usize) -> Vec<u8> {
    archive::encode(&representation(name, frames))
}

/// A folder with `archive.bin`: clip `drive` of 21 frames, 10 pairs and an odd last frame.
fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("archive.bin"), archive("drive", 21)).unwrap();
    folder
}

fn inflate(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_inflate")).args(arguments).current_dir(folder).output().unwrap()
}

fn succeeds(folder: &Path, arguments: &[&str]) {
    let output = inflate(folder, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty() && stderr.contains("frames of 37x29"), "{arguments:?}: {stderr}");
}

/// Checks exit code 2 and one line on stderr that has all of `parts`.
fn refused(output: &Output, parts: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(parts.iter().all(|part| stderr.contains(part)) && output.stdout.is_empty(), "{stderr}");
}

/// Every file below a folder, relative to it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut list: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect();
    list.sort();
    list
}

#[test]
fn the_same_bytes_for_any_number_of_threads() {
    let folder = folder();
    let raw = |threads: &str| {
        let out = format!("out/{threads}");
        succeeds(folder.path(), &["archive.bin", &out, "--threads", threads]);
        fs::read(folder.path().join(out).join("drive.raw")).unwrap()
    };
    let one = raw("1");
    assert_eq!(one.len(), 21 * FRAME);
    assert!(one.chunks(FRAME).take(20).collect::<std::collections::HashSet<_>>().len() == 20, "frames differ");
    for threads in ["2", "3", "8"] {
        assert!(raw(threads) == one, "{threads} threads");
    }
    assert_eq!(one[20 * FRAME..], one[19 * FRAME..20 * FRAME], "the odd last frame repeats the one before");
}

#[test]
fn even_and_single_frame_clips_have_their_frame_count() {
    let folder = tempdir().unwrap();
    for frames in [1, 2, 6] {
        fs::write(folder.path().join("a.bin"), archive("a", frames)).unwrap();
        succeeds(folder.path(), &["a.bin", "out"]);
        assert_eq!(fs::metadata(folder.path().join("out/a.raw")).unwrap().len(), (frames * FRAME) as u64);
    }
}

#[test]
fn pairs_are_a_slice_of_the_whole() {
    let folder = folder();
    succeeds(folder.path(), &["archive.bin", "whole"]);
    let whole = fs::read(folder.path().join("whole/drive.raw")).unwrap();
    for (a, b) in [(0, 1), (3, 7), (9, 10), (0, 10)] {
        succeeds(folder.path(), &["archive.bin", "part", "--pairs", &format!("{a}..{b}"), "--threads", "2"]);
        let part = fs::read(folder.path().join("part/drive.raw")).unwrap();
        assert!(part == whole[2 * a * FRAME..2 * b * FRAME], "{a}..{b}");
    }
    for range in ["0..11", "10..11"] {
        refused(&inflate(folder.path(), &["archive.bin", "none", "--pairs", range]), &[range, "10 pairs"]);
    }
    for range in ["4..4", "5..4", "1", "a..b", "-1..3", "..", "1..99999999999999999999999"] {
        refused(&inflate(folder.path(), &["archive.bin", "none", &format!("--pairs={range}")]), &["--pairs"]);
    }
    assert!(!folder.path().join("none").exists());
}

#[test]
fn names_choose_archives_of_a_folder() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("data/sub")).unwrap();
    fs::write(at("data/0.bin"), archive("anything", 3)).unwrap();
    fs::write(at("data/sub/b.c.bin"), archive("anything", 4)).unwrap();
    fs::write(at("names"), "0.mkv\n\nsub/b.c.mkv\n").unwrap();
    succeeds(folder.path(), &["data", "new/out", "--names", "names"]);
    assert_eq!(files(&at("new")), [at("new/out/0.raw"), at("new/out/sub/b.c.raw")]);
    assert_eq!(fs::metadata(at("new/out/0.raw")).unwrap().len(), 3 * FRAME as u64);

    fs::write(at("one"), "clip.hevc").unwrap();
    succeeds(folder.path(), &["data/0.bin", "single", "--names", "one"]);
    assert_eq!(files(&at("single")), [at("single/clip.raw")]);

    refused(&inflate(folder.path(), &["data", "x"]), &["data is a folder", "--names"]);
    refused(&inflate(folder.path(), &["data/0.bin", "x", "--names", "names"]), &["2 names", "folder"]);
    refused(&inflate(folder.path(), &["data", "x", "--names", "absent"]), &["absent"]);
    refused(&inflate(folder.path(), &["data", "x", "--names", "data/0.bin"]), &["data/0.bin"]);
    for (list, part) in
        [("", "no name"), ("../data/0.mkv", "line 1"), ("0.mkv\n/data/0.mkv", "line 2"), ("1.mkv", "1.bin")]
    {
        fs::write(at("bad"), list).unwrap();
        refused(&inflate(folder.path(), &["data", "x", "--names", "bad"]), &[part]);
    }
    // A bad archive late in the list is found before the first frame is written.
    fs::write(at("data/cut.bin"), &archive("anything", 3)[..50]).unwrap();
    fs::write(at("bad"), "0.mkv\ncut.mkv").unwrap();
    refused(&inflate(folder.path(), &["data", "x", "--names", "bad"]), &["cut.bin"]);
    assert!(!at("x").exists());
}

#[test]
fn a_bad_archive_is_refused_and_leaves_nothing() {
    let folder = tempdir().unwrap();
    let good = archive("drive", 5);
    let path = folder.path().join("bad.bin");
    let check = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        refused(&inflate(folder.path(), &["bad.bin", "out"]), &["bad.bin: "]);
    };
    check(b"");
    check(b"not an archive at all");
    for cut in (0..good.len()).step_by(good.len() / 7) {
        check(&good[..cut]);
        let mut flipped = good.clone();
        flipped[cut] ^= 4;
        check(&flipped);
    }
    check(&[&good[..], b"more"].concat());
    fs::File::create(&path).unwrap().set_len((64 << 20) + 1).unwrap();
    refused(&inflate(folder.path(), &["bad.bin", "out"]), &["bad.bin has over 64 MiB"]);
    refused(&inflate(folder.path(), &["absent.bin", "out"]), &["absent.bin", "No such file"]);
    assert!(!folder.path().join("out").exists());
}

#[test]
fn a_place_that_cannot_be_written_is_refused_and_leaves_nothing() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    refused(&inflate(folder.path(), &["archive.bin", "archive.bin"]), &["archive.bin"]);
    refused(&inflate(folder.path(), &["archive.bin", "archive.bin/out"]), &["archive.bin/out"]);
    refused(&inflate(folder.path(), &["archive.bin", "/proc/none"]), &["/proc/none"]);
    fs::create_dir_all(at("taken/drive.raw")).unwrap();
    refused(&inflate(folder.path(), &["archive.bin", "taken"]), &["taken/drive.raw", "folder"]);

    // A full disk: a device that is always full, then a limit on the file size.
    fs::create_dir(at("full")).unwrap();
    symlink("/dev/full", at("full/drive.raw")).unwrap();
    refused(&inflate(folder.path(), &["archive.bin", "full"]), &["full/drive.raw", "No space left"]);
    fs::create_dir(at("limited")).unwrap();
    fs::write(at("limited/drive.raw"), "as it was").unwrap();
    let script = format!("ulimit -f 16; exec {} archive.bin limited", env!("CARGO_BIN_EXE_inflate"));
    let output = Command::new("bash").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
    refused(&output, &["limited/drive.raw", "too large"]);
    assert_eq!(files(&at("limited")), [at("limited/drive.raw")]);
    assert_eq!(fs::read(at("limited/drive.raw")).unwrap(), b"as it was");
}

#[test]
fn wrong_arguments_are_one_line() {
    let folder = folder();
    refused(&inflate(folder.path(), &[]), &["ARCHIVE"]);
    refused(&inflate(folder.path(), &["archive.bin", "out", "--threads", "0"]), &["--threads"]);
    refused(&inflate(folder.path(), &["archive.bin", "out", "--fast"]), &["--fast"]);
    assert!(inflate(folder.path(), &["--help"]).status.success());
}

#[test]
fn an_archive_is_not_overwritten_by_its_frames() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bytes = archive("drive", 4);
    fs::create_dir(at("data")).unwrap();
    fs::write(at("drive.raw"), &bytes).unwrap();
    fs::write(at("data/a.bin"), &bytes).unwrap();
    fs::write(at("data/b.bin"), &bytes).unwrap();
    fs::write(at("list"), "a.mkv\nb.mkv\n").unwrap();
    fs::hard_link(at("data/b.bin"), at("b.raw")).unwrap();
    fs::create_dir(at("linked")).unwrap();
    symlink("../list", at("linked/a.raw")).unwrap();
    let before = files(folder.path());
    refused(&inflate(folder.path(), &["drive.raw", "."]), &["drive.raw", "would overwrite the input"]);
    refused(&inflate(folder.path(), &["data", ".", "--names", "list"]), &["b.raw", "data/b.bin"]);
    refused(&inflate(folder.path(), &["data", "linked", "--names", "list"]), &["linked/a.raw", "the input list"]);
    assert_eq!(files(folder.path()), before);
    assert_eq!(fs::read(at("drive.raw")).unwrap(), bytes);
}

#[test]
fn pairs_that_an_archive_has_not_are_refused_before_the_first_frame() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("a.bin"), archive("a", 8)).unwrap();
    fs::write(folder.path().join("b.bin"), archive("b", 4)).unwrap();
    fs::write(folder.path().join("list"), "a\nb\n").unwrap();
    refused(&inflate(folder.path(), &[".", "out", "--names", "list", "--pairs", "0..3"]), &["b.bin", "2 pairs"]);
    assert!(!folder.path().join("out").exists());
}
