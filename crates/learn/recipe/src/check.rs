//! What a recipe may hold.

use std::fmt::Display;
use std::path::Path;

use repr::Architecture;

use crate::error::RecipeError;
use crate::stage::SSIM_WINDOW;
use crate::tables::{RecipeTable, RepresentationKind, StageTable, Trains};

/// Rows and columns of what the evaluators see.
const EVALUATOR_SIZE: (usize, usize) = (metric::INPUT_HEIGHT, metric::INPUT_WIDTH);

/// Every value lies in its range and fits the others; returns the decoder. `path` names the file in an error.
pub(crate) fn check(table: &RecipeTable, path: &Path) -> Result<Architecture, RecipeError> {
    let file = File(path);
    let impossible = |source| RecipeError::Architecture { path: path.into(), source };
    let decoder = Architecture::new(table.decoder.clone()).map_err(impossible)?;
    let (classes, semantic) = (table.decoder.stem.classes, table.representation.kind == RepresentationKind::Semantic);
    let key = "representation.kind";
    file.check(semantic || classes == 0, key, &"latent", "\"semantic\", as decoder.stem has classes")?;
    file.check(
        !semantic || classes > 0,
        "decoder.stem.classes",
        &classes,
        "1 to 255, those of SegNet, for class maps",
    )?;
    let size = format!("{}x{}", table.decoder.stem.height, table.decoder.stem.width);
    let fits = (table.decoder.stem.height, table.decoder.stem.width) == EVALUATOR_SIZE;
    file.check(!semantic || fits, "the size of decoder.stem", &size, "384x512, the size of SegNet's class maps")?;
    let found = !semantic || table.evaluators.is_some();
    file.check(found, "evaluators", &"absent", "a table with segnet and posenet, as class maps come from SegNet")?;
    let t = &table.training;
    file.check((1..=256).contains(&t.batch), "training.batch", &t.batch, "1 to 256")?;
    file.check((0.0..=1e6).contains(&t.gradient_clip), "training.gradient_clip", &t.gradient_clip, "0 to 1e6")?;
    file.check((0.0..1.0).contains(&t.ema), "training.ema", &t.ema, "at least 0 and below 1")?;
    file.check((0.0..=100.0).contains(&t.latent_init), "training.latent_init", &t.latent_init, "0 to 100")?;
    file.check((repr::MIN_BITS..=repr::MAX_BITS).contains(&t.bits), "training.bits", &t.bits, "2 to 8")?;
    file.check(t.evaluate_every > 0, "training.evaluate_every", &t.evaluate_every, "at least 1")?;
    file.check(!table.stage.is_empty(), "stage", &"an empty list", "at least one [[stage]]")?;
    for (index, stage) in table.stage.iter().enumerate() {
        file.stage(table, &decoder, index, stage)?;
    }
    Ok(decoder)
}

/// The file that errors name.
struct File<'a>(&'a Path);

impl File<'_> {
    fn check(&self, good: bool, key: &str, value: &dyn Display, range: &'static str) -> Result<(), RecipeError> {
        if good {
            return Ok(());
        }
        Err(RecipeError::OutOfRange { path: self.0.into(), key: key.into(), value: value.to_string(), range })
    }

    fn stage(
        &self,
        table: &RecipeTable,
        decoder: &Architecture,
        index: usize,
        stage: &StageTable,
    ) -> Result<(), RecipeError> {
        let check = |good: bool, name: &str, value: &dyn Display, range: &'static str| {
            self.check(good, &format!("stage.{index}.{name}"), value, range)
        };
        check((1..=1_000_000).contains(&stage.epochs), "epochs", &stage.epochs, "1 to 1000000")?;
        let batch = stage.batch.unwrap_or(table.training.batch);
        check((1..=256).contains(&batch), "batch", &batch, "1 to 256")?;
        let loss = &stage.loss;
        let mut factors = vec![
            ("learning_rate", stage.learning_rate),
            ("latent_rate", stage.latent_rate),
            ("final_rate", stage.final_rate),
            ("warm_up", stage.warm_up),
            ("weight_decay", stage.weight_decay),
        ];
        factors.extend(loss.factors());
        if let Some(muon) = &stage.muon {
            factors.push(("muon.learning_rate", muon.learning_rate));
            factors.push(("muon.weight_decay", muon.weight_decay));
            check((0.0..1.0).contains(&muon.momentum), "muon.momentum", &muon.momentum, "at least 0, below 1")?;
        }
        for (name, value) in factors {
            check((0.0..=1e6).contains(&value), name, &value, "0 to 1e6")?;
        }
        let fits = stage.warm_up <= stage.epochs as f64;
        check(fits, "warm_up", &stage.warm_up, "at most the stage's epochs")?;
        let (rows, columns) = decoder.output_size();
        let fits = loss.ssim == 0.0 || rows.min(columns) >= SSIM_WINDOW;
        check(fits, "loss.ssim", &loss.ssim, "0, as the decoder's frames are smaller than its window of 11x11 pixels")?;
        for (name, value) in loss.widths() {
            check((1e-3..=1e3).contains(&value), name, &value, "0.001 to 1000")?;
        }
        let refresh = loss.rate.map_or(1, |rate| rate.refresh);
        check((1..=1_000_000).contains(&refresh), "loss.rate.refresh", &refresh, "1 to 1000000")?;
        let fits = stage.quantized || !stage.learned_steps;
        check(fits, "learned_steps", &true, "false, or quantized true beside it")?;
        check((0.0..=0.9).contains(&stage.adaptive), "adaptive", &stage.adaptive, "0 to 0.9")?;
        let fits = stage.adaptive == 0.0 || loss.asks_evaluators();
        check(fits, "adaptive", &stage.adaptive, "0, as the stage's loss does not ask the evaluators")?;
        let fits = stage.trains != Trains::Latents || !stage.learned_steps && loss.rate.is_none();
        check(fits, "trains", &"latents", "all beside learned_steps and loss.rate, which are the decoder's")?;
        let fits = matches!(stage.trains, Trains::All | Trains::Latents) || decoder.coefficients() > 0;
        check(fits, "trains", &"renderer or carrier", "all or latents, as the decoder has no carrier")?;
        let any = loss.has_pixels() || loss.asks_evaluators();
        check(any, "loss", &"all zero", "a weight above 0 for l1, mse, ssim, pose or segmentation")?;
        let found = table.evaluators.is_some() || !loss.asks_evaluators();
        let range = "a table with segnet and posenet, as a stage's loss asks them";
        self.check(found, "evaluators", &"absent", range)?;
        let size = decoder.output_size();
        let fits = stage.round_trip || !loss.asks_evaluators() || size == EVALUATOR_SIZE;
        check(fits, "round_trip", &false, "true, as the decoder's frames do not have the evaluators' size")
    }
}
