//! Why a recipe cannot be used.

use std::path::PathBuf;

use repr::ArchitectureError;
use thiserror::Error;

/// Why a recipe cannot be used; each names the file and what to change.
#[derive(Debug, Error)]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("config {path}: {source}; check the path")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no UTF-8 text, as TOML must be.
    #[error("config {path}: not UTF-8 text (is it UTF-16?); save it as UTF-8")]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// Not TOML, an unknown key, a wrong type, or a missing key.
    #[error("config {path}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// A `--set` that names nothing.
    #[error("--set {assignment}: {message}")]
    Override {
        /// As given.
        assignment: String,
        /// What is wrong.
        message: String,
    },
    /// A value outside its range.
    #[error("config {path}: {key} is {value}, must be {range}")]
    OutOfRange {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// What is allowed.
        range: &'static str,
    },
    /// An impossible layer table.
    #[error("config {path}: [decoder]: {source}")]
    Architecture {
        /// The file.
        path: PathBuf,
        /// What is impossible.
        source: ArchitectureError,
    },
    /// The recipe cannot be written as TOML.
    #[error("the recipe cannot be written as TOML: {0}")]
    Unwritable(String),
}
