//! A recipe that has been checked.

use std::path::{Path, PathBuf};

use repr::Architecture;

use crate::check;
use crate::error::RecipeError;
use crate::stage::TrainingStage;
use crate::tables::{ClipTable, EvaluatorsTable, RecipeTable, TrainingTable};

/// A whole recipe, valid: what is read from it needs no further check.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    table: RecipeTable,
    decoder: Architecture,
    /// At least one.
    stages: Vec<TrainingStage>,
}

/// A file that a recipe names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipeFile {
    /// The clip.
    Clip,
    /// One of the evaluators.
    Evaluator,
}

impl Recipe {
    /// Checks a recipe's tables; `path` names them in an error.
    pub fn new(table: RecipeTable, path: &Path) -> Result<Self, RecipeError> {
        let decoder = check::check(&table, path)?;
        let (batch, evaluators) = (table.training.batch, table.evaluators.as_ref());
        let stages = table.stage.iter().map(|stage| TrainingStage::of(stage, batch, evaluators)).collect();
        Ok(Self { table, decoder, stages })
    }

    /// The same with every path as `locate` says, which gets what lies there and how to get it.
    pub fn located<E>(
        mut self,
        locate: impl Fn(RecipeFile, &Path, Option<&str>) -> Result<PathBuf, E>,
    ) -> Result<Self, E> {
        let ClipTable { path, source, .. } = &mut self.table.clip;
        *path = locate(RecipeFile::Clip, path, source.as_deref())?;
        if let Some(EvaluatorsTable { segnet, posenet, source }) = &mut self.table.evaluators {
            for path in [segnet, posenet] {
                *path = locate(RecipeFile::Evaluator, path, source.as_deref())?;
            }
        }
        Ok(self)
    }

    /// What to represent.
    pub fn clip(&self) -> &ClipTable {
        &self.table.clip
    }

    /// What looks at the frames, if anything does: where a stage's loss asks, and then what the best checkpoint is chosen by.
    pub fn evaluators(&self) -> Option<&EvaluatorsTable> {
        self.table.evaluators.as_ref()
    }

    /// The decoder.
    pub fn decoder(&self) -> &Architecture {
        &self.decoder
    }

    /// What holds for the whole run.
    pub fn training(&self) -> &TrainingTable {
        &self.table.training
    }

    /// What happens one after the other; at least one stage.
    pub fn stages(&self) -> &[TrainingStage] {
        &self.stages
    }

    /// The tables, as a run folder and its report keep them.
    pub fn table(&self) -> &RecipeTable {
        &self.table
    }

    /// Epochs of all stages.
    pub fn epochs(&self) -> usize {
        self.stages.iter().map(|stage| stage.epochs.get()).sum()
    }

    /// The recipe as TOML: what a run folder keeps.
    pub fn to_toml(&self) -> Result<String, RecipeError> {
        toml::to_string(&self.table).map_err(|error| RecipeError::Unwritable(error.to_string()))
    }
}
