//! Finding and loading the ONNX Runtime library.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::LoadDynamicError;
use ort::environment::Environment;
use ort::logging::LogLevel;
use thiserror::Error;

use crate::message::one_line;

/// File name of the library, as `scripts/setup` puts it into [`FOLDER`].
const LIBRARY: &str = "libonnxruntime.so";
/// Folder of the library, beside the program or in a folder above it.
const FOLDER: &str = ".onnxruntime";
/// Names under which a system's package may have it.
const SYSTEM_NAMES: [&str; 2] = [LIBRARY, "libonnxruntime.so.1"];

/// Why ONNX Runtime cannot be used.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// No library anywhere.
    #[error(
        "the ONNX Runtime library was not found: ORT_DYLIB_PATH is not set, no folder from the program's upwards has \
         {FOLDER}/{LIBRARY}, the system has none; run scripts/setup"
    )]
    Missing,
    /// The library is not there, is no such library, or too old.
    #[error("{}: cannot be used as the ONNX Runtime library: {detail}; run scripts/setup{}", path.display(), other_way(*from_variable))]
    Unusable {
        /// The library.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
        /// Whether ORT_DYLIB_PATH named it.
        from_variable: bool,
    },
    /// The library was loaded but cannot start.
    #[error("ONNX Runtime does not start: {0}")]
    Start(String),
}

fn other_way(from_variable: bool) -> &'static str {
    if from_variable { " and unset ORT_DYLIB_PATH, or point it to another" } else { "" }
}

/// The process's one environment; ONNX Runtime allows no second.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// The environment, with the library looked for on the first call: ORT_DYLIB_PATH; `.onnxruntime/` beside the program and
/// in the folders above it; the system.
pub(crate) fn environment() -> Result<Environment, RuntimeError> {
    start(|| match env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        Some(path) => load(Path::new(&path), true),
        None => match installed() {
            Some(path) => load(&path, false),
            None => SYSTEM_NAMES
                .iter()
                .map(|name| load(Path::new(name), false))
                .find(|loaded| !matches!(loaded, Err(RuntimeError::Missing)))
                .unwrap_or(Err(RuntimeError::Missing)),
        },
    })
}

/// Loads the library at `path` rather than looking for one. The first library that was loaded in a process stays.
pub fn use_library(path: &Path) -> Result<(), RuntimeError> {
    start(|| load(path, false)).map(drop)
}

fn start(
    load: impl FnOnce() -> Result<ort::environment::EnvironmentBuilder, RuntimeError>,
) -> Result<Environment, RuntimeError> {
    let mut slot = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*slot {
        return Ok(environment.clone());
    }
    // Errors come back as values; what the library itself would print to stderr only repeats them.
    let silent = Arc::new(|_: LogLevel, _: &str, _: &str, _: &str, _: &str| {});
    let builder = load()?.with_name("perception").with_telemetry(false).with_logger(silent);
    let environment = builder.build().map_err(|error| RuntimeError::Start(one_line(&error)))?;
    environment.set_log_level(LogLevel::Fatal);
    Ok(slot.insert(environment).clone())
}

/// The library in the nearest `.onnxruntime/` from the program's folder upwards.
fn installed() -> Option<PathBuf> {
    let program = env::current_exe().and_then(|path| path.canonicalize()).ok()?;
    program.ancestors().skip(1).map(|folder| folder.join(FOLDER).join(LIBRARY)).find(|path| path.exists())
}

/// Loads `path`; a bare name is left to the system's loader.
fn load(path: &Path, from_variable: bool) -> Result<ort::environment::EnvironmentBuilder, RuntimeError> {
    let bare = !from_variable && path.parent().is_some_and(|folder| folder.as_os_str().is_empty());
    let full = if bare { path.into() } else { std::path::absolute(path).unwrap_or_else(|_| path.into()) };
    ort::init_from(&full).map_err(|error| {
        let detail = match &error {
            LoadDynamicError::Dlopen { .. } if bare => return RuntimeError::Missing,
            LoadDynamicError::Dlopen { .. } if !full.exists() => "no such file".into(),
            LoadDynamicError::Dlopen { error, .. } => one_line(error),
            LoadDynamicError::MissingApi { .. } => "it is another library".into(),
            LoadDynamicError::BadVersion { version_str, .. } => {
                format!("it is version {version_str}, at least 1.{} is needed", ort::MINOR_VERSION)
            }
            LoadDynamicError::InvalidVersionString => "it does not say its version".into(),
        };
        RuntimeError::Unusable { path: path.into(), detail, from_variable }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_library_is_an_error_that_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("libonnxruntime.so");
        let message = load(&absent, true).err().unwrap().to_string();
        assert!(message.contains("no such file") && message.contains("ORT_DYLIB_PATH"), "{message}");
        assert!(message.contains("scripts/setup"), "{message}");
        std::fs::write(&absent, b"not a library").unwrap();
        let message = load(&absent, false).err().unwrap().to_string();
        assert!(message.contains("libonnxruntime.so") && message.contains("scripts/setup"), "{message}");
        assert!(!message.contains('\n') && !message.contains("ORT_DYLIB_PATH"), "{message}");
        let other = load(Path::new("libm.so.6"), false).err().unwrap().to_string();
        assert!(other.contains("another library"), "{other}");
        assert!(matches!(load(Path::new("libno-such-library.so"), false), Err(RuntimeError::Missing)));
    }
}
