//! Where tests find their data: [`shared`] for the outside data, [`asset`] for what the project brings along,
//! [`onnxruntime`] for the library that `scripts/setup` installs. A test that goes without something says so through [`skip`].
//!
//! ```
//! assert!(testdata::asset("demo.mkv").is_file());
//! assert!(testdata::asset_of("metric/perception", "segnet.onnx").is_file());
//! ```

use std::env;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What a test may have to go without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The outside data; HNERV_REQUIRE_DATA=1 makes its absence a failure.
    Data,
    /// A GPU, or a driver that does the same in software; HNERV_REQUIRE_GPU=1 makes its absence a failure.
    Gpu,
    /// A program, a library or a file system of the machine.
    System,
}

impl Need {
    fn is_required(self) -> bool {
        let variable = match self {
            Self::Data => "HNERV_REQUIRE_DATA",
            Self::Gpu => "HNERV_REQUIRE_GPU",
            Self::System => return false,
        };
        env::var_os(variable).is_some_and(|value| value == "1")
    }
}

/// Says that the calling test, or a part of it, is left out: a line on stderr, and one in the file that HNERV_SKIPPED names, where
/// `scripts/test` counts (package and test, a tab, why). Panics where what is missing is required.
pub fn skip(need: Need, why: impl Display) {
    assert!(!need.is_required(), "required, but {why}");
    eprintln!("skipped: {why}");
    let Some(path) = env::var_os("HNERV_SKIPPED") else { return };
    let package = env::var("CARGO_PKG_NAME").unwrap_or_default();
    let thread = std::thread::current();
    let line = format!("{package} {}\t{why}\n", thread.name().unwrap_or_default());
    let file = File::options().create(true).append(true).open(&path);
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("HNERV_SKIPPED names a file");
}

/// The workspace root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// A file or folder of the outside data: `relative` under HNERV_DATA, by default `../shared` from the workspace root.
/// Nothing, and a [`skip`], where it is absent.
pub fn shared(relative: &str) -> Option<PathBuf> {
    let base = env::var_os("HNERV_DATA").map_or_else(|| root().join("../shared"), PathBuf::from);
    let path = base.join(relative);
    if path.exists() {
        return Some(path);
    }
    skip(Need::Data, format_args!("{} is absent (HNERV_DATA)", path.display()));
    None
}

/// A file or folder under the workspace's `assets`.
pub fn asset(relative: &str) -> PathBuf {
    root().join("assets").join(relative)
}

/// A file among the test assets of a crate, itself given by its folder under `crates`: tests of other crates use them too.
pub fn asset_of(package: &str, name: &str) -> PathBuf {
    root().join("crates").join(package).join("tests/assets").join(name)
}

/// The ONNX Runtime library: ORT_DYLIB_PATH, else `libonnxruntime.so`, with or without a version, in the workspace's
/// `.onnxruntime`. Nothing, and a [`skip`], where it is absent.
pub fn onnxruntime() -> Option<PathBuf> {
    if let Some(path) = env::var_os("ORT_DYLIB_PATH").map(PathBuf::from).filter(|path| path.is_file()) {
        return Some(path);
    }
    let folder = root().join(".onnxruntime");
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let library = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("libonnxruntime.so"))
    };
    let found = entries.map(|entry| entry.path()).filter(library).min();
    if found.is_none() {
        skip(Need::System, format_args!("{}/libonnxruntime.so is absent (ORT_DYLIB_PATH)", folder.display()));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const THIS: &str = "tests::what_is_required_and_absent_fails_and_the_rest_is_counted";
    const CHILD: &str = "TESTDATA_CHILD";

    /// Runs this test as a child that lacks something, with these variables; whether it passes.
    fn passes(lacking: &str, variables: &[(&str, &str)]) -> bool {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", THIS]).env(CHILD, lacking).envs(variables.iter().copied());
        command.output().unwrap().status.success()
    }

    #[test]
    fn what_is_required_and_absent_fails_and_the_rest_is_counted() {
        match env::var(CHILD).as_deref() {
            Ok("data") => return assert_eq!(shared("no such file"), None),
            Ok(_) => return skip(Need::Gpu, "no adapter"),
            Err(_) => {}
        }
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list");
        let skipped = ("HNERV_SKIPPED", list.to_str().unwrap());
        assert!(!passes("data", &[("HNERV_REQUIRE_DATA", "1"), skipped]));
        assert!(!passes("gpu", &[("HNERV_REQUIRE_GPU", "1"), skipped]));
        assert!(!list.exists());
        let off = [("HNERV_REQUIRE_DATA", "0"), ("HNERV_REQUIRE_GPU", "0"), skipped];
        assert!(passes("data", &off) && passes("gpu", &off));
        let lines = fs::read_to_string(&list).unwrap();
        assert_eq!(lines.lines().count(), 2, "{lines}");
        assert!(
            lines.contains("no such file") && lines.ends_with(&format!("testdata {THIS}\tno adapter\n")),
            "{lines}"
        );
    }

    #[test]
    fn the_workspace_root_holds_this_crate() {
        assert!(root().join("crates/base/testdata/Cargo.toml").is_file());
        assert!(asset("x").ends_with("assets/x"));
    }
}
