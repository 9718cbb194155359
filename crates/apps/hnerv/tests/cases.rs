//! Files that strangers' programs made and that failed once: the folder `cases` of the outside data. Its expected.json says what
//! is right of each; the keys of an entry say what kind of case it is. A new file there, with its entry, is a new test.
#![cfg(feature = "ffmpeg")]

#[allow(dead_code, reason = "shared with tests that ask more of it")]
mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::Bench;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// What says something of the others.
const NO_CASES: [&str; 3] = ["README.md", "expected.json", "tiny.toml"];

#[test]
fn every_case_comes_out_right() {
    let Some(root) = testdata::shared("cases") else { return };
    let text = fs::read(root.join("expected.json")).unwrap();
    let expected: Map<String, Value> = serde_json::from_slice(&text).unwrap();
    let named: BTreeSet<String> = expected.keys().cloned().collect();
    assert_eq!(files(&root), named, "the files in {}, and those that expected.json names", root.display());
    for (name, case) in &expected {
        let path = root.join(name);
        let case = case.as_object().unwrap();
        let keys: Vec<&str> = case.keys().map(String::as_str).collect();
        match keys[..] {
            ["frames", "height", "sha256_rgb", "width"] => decodes(&path, case),
            ["refused"] => is_refused(&path, case["refused"].as_str().unwrap()),
            ["shape"] => holds_tokens(&path, &case["shape"]),
            ["trains"] => trains(&root, &path, case["trains"].as_bool().unwrap()),
            _ => panic!("{name}: no kind of case has the keys {keys:?}"),
        }
    }
}

/// All files below a folder but those that are no cases, by their path from there.
fn files(root: &Path) -> BTreeSet<String> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![root.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().into());
            }
        }
    }
    NO_CASES.iter().for_each(|name| _ = found.remove(*name));
    found
}

/// A clip gives the frames of the official path.
fn decodes(path: &Path, case: &Map<String, Value>) {
    let bench = Bench::new();
    let mut command = bench.command("frames");
    command.arg(path).arg("out.raw");
    bench.succeeds_command(command);
    let raw = bench.read("out.raw");
    let [frames, height, width] = ["frames", "height", "width"].map(|key| case[key].as_u64().unwrap());
    assert_eq!(raw.len() as u64, frames * height * width * 3, "{}", path.display());
    let hash: String = Sha256::digest(&raw).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, case["sha256_rgb"].as_str().unwrap(), "{}", path.display());
}

/// The command that the file is for ends with a line that holds `word`.
fn is_refused(path: &Path, word: &str) {
    let bench = Bench::new();
    let mut command = match path.extension().and_then(|extension| extension.to_str()) {
        Some("npy") => bench.command("tokens compress -o out"),
        Some("toml") => bench.command("train --out out"),
        _ => bench.command("targets -o out"),
    };
    command.arg(path);
    bench.refuses_command(command, &[word]);
}

/// A .npy file is read as NumPy reads it, and comes back.
fn holds_tokens(path: &Path, shape: &Value) {
    let bytes = fs::read(path).unwrap();
    let npy = tokens::Npy::parse(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let shape: Vec<usize> = shape.as_array().unwrap().iter().map(|side| side.as_u64().unwrap() as usize).collect();
    assert_eq!(npy.tokens().len(), shape.iter().product::<usize>(), "{}", path.display());
    let (rows, columns) = npy.grid();
    match shape[..] {
        [_, height, width] => assert_eq!((rows, columns), (height, width), "{}", path.display()),
        _ => assert_eq!(rows * columns, shape[1], "{}", path.display()),
    }
    let bench = Bench::new();
    let mut command = bench.command("tokens compress -o out.bin");
    command.arg(path);
    bench.succeeds_command(command);
    bench.succeeds("tokens decompress out.bin -o out");
    assert_eq!(bench.read(&format!("out/{}", path.file_name().unwrap().to_str().unwrap())), bytes);
}

/// An evaluator, as SegNet or else as PoseNet, moves what is trained for it alone.
fn trains(root: &Path, path: &Path, expected: bool) {
    if testdata::onnxruntime().is_none() {
        return;
    }
    let segnet = ("{segmentation={kind=\"softplus\"}}", path, &*testdata::asset("posenet-demo.onnx"));
    let posenet = ("{pose=1.0}", &*testdata::asset("segnet-demo.onnx"), path);
    let archive = |(loss, segnet, posenet): (&str, &Path, &Path), rate: f64| {
        let bench = Bench::new();
        let mut command = bench.command("train --out run --set stage.0.epochs=1");
        command.arg(root.join("tiny.toml"));
        for (key, value) in [("segnet", segnet), ("posenet", posenet)] {
            command.arg("--set").arg(format!("evaluators.{key}={:?}", value.canonicalize().unwrap()));
        }
        command.args(["--set", &format!("stage.0.loss={loss}"), "--set", &format!("stage.0.learning_rate={rate:?}")]);
        let output = command.env("HNERV_CACHE", bench.path("cache")).output().unwrap();
        match output.status.code() {
            Some(0) => Ok(bench.read("run/archive.bin")),
            _ => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    };
    let moved = |role| Ok::<_, String>(archive(role, 3e-3)? != archive(role, 0.0)?);
    let outcome = moved(segnet).or_else(|first| moved(posenet).map_err(|second| first + &second));
    assert_eq!(outcome, Ok(expected), "{}", path.display());
}
