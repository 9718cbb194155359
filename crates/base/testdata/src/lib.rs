//! Where tests find their data: [`shared`] for the outside data, [`asset`] for what the project brings along,
//! [`onnxruntime`] for the library that `scripts/setup` installs. What may be absent is named on stderr, so that a test
//! that skips says why.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The workspace root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// A file or folder of the outside data: `relative` under HNERV_DATA, by default `../shared` from the workspace root.
/// Nothing, and a line on stderr, where it is absent.
pub fn shared(relative: &str) -> Option<PathBuf> {
    let base = env::var_os("HNERV_DATA").map_or_else(|| root().join("../shared"), PathBuf::from);
    let path = base.join(relative);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is absent (HNERV_DATA)", path.display());
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
/// `.onnxruntime`. Nothing, and a line on stderr, where it is absent.
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
        eprintln!("skipped: {}/libonnxruntime.so is absent (ORT_DYLIB_PATH)", folder.display());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_root_holds_this_crate_and_absent_data_is_none() {
        assert!(root().join("crates/base/testdata/Cargo.toml").is_file());
        assert!(asset("x").ends_with("assets/x"));
        assert_eq!(shared("no such file"), None);
    }
}
