//! The recipe of a run: a TOML file, read once into a valid type.
//!
//! - [`tables`]: the file's tables and keys as they are written, nothing checked. They say what every key means and what it is
//!   when it is absent.
//! - [`Recipe`]: what comes out of the check, its [`TrainingStage`]s with it. Whoever holds one asks nothing again: numbers lie in
//!   their ranges, and a stage has terms that ask evaluators only where the recipe names evaluators.
//! - [`read_text`]: the file as text, as a run folder compares it.
//! - [`RecipeError`]: one line that names the file, the key and what it must be.
//!
//! ```
//! use recipe::Recipe;
//!
//! let path = testdata::root().join("configs/quick.toml");
//! let recipe = Recipe::read(&path, &["training.batch=3".into(), "stage.0.epochs=7".into()])?;
//! assert_eq!((recipe.training().batch, recipe.stages()[0].epochs.get()), (3, 7));
//!
//! let refusal = Recipe::read(&path, &["training.bach=3".into()]).unwrap_err().to_string();
//! assert!(refusal.contains("`batch`"));
//! # Ok::<(), recipe::RecipeError>(())
//! ```

mod check;
mod error;
mod read;
mod recipe;
mod stage;
pub mod tables;

pub use error::RecipeError;
pub use read::read_text;
pub use recipe::{Recipe, RecipeFile};
pub use stage::{
    Grid, Loss, Muon, PerceptionTerms, PixelTerms, PoseTerm, RateTerm, Rates, SSIM_WINDOW, SegmentationTerm,
    TrainingStage,
};
pub use tables::{PoseOver, RateModel, SegmentationKind, Start, Trains};
