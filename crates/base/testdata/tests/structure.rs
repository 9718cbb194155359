//! The structure that ARCHITECTURE.md describes, held to: wings, what may be used where, no file too long.

use std::fs;
use std::path::{Path, PathBuf};

use testdata::root;
use toml::Table;

/// The wings, in their order: a crate uses only crates of its own wing above it, and of wings above its own.
const WINGS: [&str; 7] = ["base", "media", "compute", "codec", "metric", "learn", "apps"];

/// Libraries that are heavy or have one home, and the crates that may use them.
const HOMES: [(&str, &[&str]); 9] = [
    ("burn-", &["ops", "onnx-burn", "engine", "run"]),
    ("ffmpeg-next", &["video"]),
    ("ort", &["perception"]),
    ("toml", &["recipe"]),
    ("plotters", &["report"]),
    ("image", &["report"]),
    ("safetensors", &["run"]),
    ("signal-hook", &["output", "cli"]),
    ("clap", &["cli", "hnerv", "inflate", "score"]),
];

/// Base crates that touch files, clocks or signals: bytes go into a codec and bytes or frames come out, nothing else.
const NOT_IN_CODECS: [&str; 2] = ["output", "cli"];

/// Most lines of a library file, its unit tests not counted.
const LONGEST: usize = 500;

/// A crate of the workspace.
struct Package {
    name: String,
    wing: String,
    folder: PathBuf,
    /// What it links: the crates named under dependencies and build-dependencies.
    links: Vec<String>,
}

fn manifest(path: &Path) -> Table {
    fs::read_to_string(path).unwrap().parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn packages() -> Vec<Package> {
    let mut found = Vec::new();
    for wing in WINGS {
        for entry in fs::read_dir(root().join("crates").join(wing)).unwrap() {
            let folder = entry.unwrap().path();
            let table = manifest(&folder.join("Cargo.toml"));
            let tables =
                ["dependencies", "build-dependencies"].into_iter().filter_map(|key| table.get(key)?.as_table());
            let links = tables.flat_map(|table| table.keys().cloned()).collect();
            let name = table["package"]["name"].as_str().unwrap().into();
            found.push(Package { name, wing: wing.into(), folder, links });
        }
    }
    found
}

/// The workspace's own libraries in the order in which its manifest lists them.
fn order() -> Vec<String> {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let own = text.lines().filter(|line| line.contains("path = \"crates/"));
    own.filter_map(|line| Some(line.split_once(" = ")?.0.to_string())).collect()
}

#[test]
fn a_crate_uses_only_what_lies_above_it() {
    let (packages, order) = (packages(), order());
    let wing = |name: &str| packages.iter().find(|package| package.name == name).map(|package| package.wing.as_str());
    let wings: Vec<usize> =
        order.iter().map(|name| WINGS.iter().position(|known| wing(name) == Some(known)).unwrap()).collect();
    assert!(wings.is_sorted(), "the workspace's manifest lists crates wing by wing: {order:?}");
    let mut checked = 0;
    for package in &packages {
        // Binaries that nobody can link are not listed: everything lies above them.
        let place = order.iter().position(|name| *name == package.name).unwrap_or(order.len());
        for used in package.links.iter().filter(|name| wing(name).is_some()) {
            let at = order.iter().position(|name| name == used);
            assert!(at.is_some_and(|at| at < place), "{} must not use {used}", package.name);
            let files = package.wing == "codec" && NOT_IN_CODECS.contains(&used.as_str());
            assert!(!files, "{} must not use {used}: codecs know no files, clocks or signals", package.name);
            checked += 1;
        }
        for (library, homes) in HOMES {
            let uses = |name: &String| name == library || library.ends_with('-') && name.starts_with(library);
            let used = package.links.iter().any(uses);
            assert!(!used || homes.contains(&package.name.as_str()), "{} must not use {library}", package.name);
        }
    }
    assert!(checked > 60, "only {checked} arrows were found");
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Files of tests alone.
fn is_test(file: &Path) -> bool {
    file.iter().any(|part| part == "tests" || part == "tests.rs")
}

/// All files of libraries and binaries that are no tests.
fn library_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    packages().iter().for_each(|package| sources(&package.folder.join("src"), &mut files));
    files.retain(|file| !is_test(file));
    assert!(files.len() > 150, "only {} files were found", files.len());
    files
}

/// A file's text without what is compiled for tests alone, by convention its last part.
fn library_part(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

#[test]
fn no_library_file_is_too_long() {
    for file in library_files() {
        let lines = library_part(&fs::read_to_string(&file).unwrap()).lines().count();
        assert!(lines <= LONGEST, "{}: {lines} lines, at most {LONGEST}", file.display());
    }
}

#[test]
fn words_and_results_go_through_cli() {
    // These panic where nobody reads any more. What tests link may say why it skips.
    let macros = ["print!(", "println!(", "eprint!(", "eprintln!(", "dbg!("];
    for file in library_files().iter().filter(|file| !file.iter().any(|part| part == "testdata")) {
        let text = fs::read_to_string(file).unwrap();
        let code = library_part(&text).lines().filter(|line| !line.trim_start().starts_with("//"));
        let said = code.filter(|line| macros.iter().any(|name| line.contains(name))).count();
        assert_eq!(said, 0, "{}: cli::say and cli::print take what is said", file.display());
    }
}

#[test]
fn every_librarys_front_page_has_an_example_that_runs() {
    let libraries = packages().into_iter().map(|package| package.folder.join("src/lib.rs"));
    let libraries: Vec<PathBuf> = libraries.filter(|file| file.exists()).collect();
    assert!(libraries.len() > 20, "only {} libraries were found", libraries.len());
    for file in libraries {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.lines().any(|line| line == "//! ```"), "{}: no example on its front page", file.display());
    }
}

#[test]
fn a_test_is_left_out_through_testdata_alone() {
    for package in packages().iter().filter(|package| package.name != "testdata") {
        let mut files = Vec::new();
        sources(&package.folder, &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            assert!(!text.contains("println!(\"skipped"), "{}: say it through testdata::skip", file.display());
        }
    }
}

#[test]
fn scripts_ask_cargo_where_it_builds() {
    let mut checked = 0;
    for folder in ["scripts", "eval", "eval/bench", ".ci"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let file = entry.unwrap().path();
            if !file.is_file() {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            assert!(!text.contains("target/release"), "{}: use `built` of scripts/lib.sh", file.display());
            checked += 1;
        }
    }
    assert!(checked > 15, "only {checked} files were found");
}
