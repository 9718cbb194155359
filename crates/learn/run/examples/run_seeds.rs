//! Writes what fuzzing starts from: `run_seeds FOLDER` fills FOLDER/checkpoint and FOLDER/target_cache with small files.

use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use dataset::{Dataset, DatasetInfo, DatasetWriter};
use evaluate::Evaluation;
use frames::RgbFrame;
use metric::PerceptionStack;
use recipe::Recipe;
use report::RunFolder;
use repr::ClipName;
use run::{Device, Job, Observer, Status};

const RECIPE: &str = r#"
    clip = { path = "clip.mkv" }
    decoder = { latent_dim = 1, stem = { channels = 1, height = 4, width = 6 }, layers = [{ kind = "stage", channels = 1 }] }
    training = { batch = 2 }
    [[stage]]
    name = "grid"
    epochs = 2
    learning_rate = 1e-2
    quantized = true
    learned_steps = true
    loss = { l1 = 1.0 }
"#;

/// Bytes of the hash at the end of a target cache.
const HASH: usize = 32;

struct Silent;

impl Observer for Silent {
    fn status(&mut self, _: &Status<'_>) {}
    fn evaluated(&mut self, _: usize, _: &Evaluation, _: bool) {}
    fn interrupted(&self) -> bool {
        false
    }
}

fn main() -> Result<()> {
    let folder: PathBuf = std::env::args_os().nth(1).context("usage: run_seeds FOLDER")?.into();
    let (height, width) = (8, 12);
    let clip_bytes = NonZeroU64::new(1000).context("not zero")?;
    let info =
        DatasetInfo { name: ClipName::new("clip")?, clip_bytes, clip_height: height, clip_width: width, height, width };
    let mut dataset = Dataset::new(info.clone())?;
    let cache = folder.join("target_cache/small");
    fs::create_dir_all(folder.join("target_cache"))?;
    fs::create_dir_all(folder.join("checkpoint"))?;
    let mut writer = DatasetWriter::create(&cache, &info)?;
    for i in 0..4 {
        let frame = RgbFrame::new(width, height, (0..3 * width * height).map(|at| (at * i) as u8).collect())?;
        dataset.push(&frame)?;
        writer.push(&frame)?;
    }
    writer.finish(None)?;
    // The fuzzer's target adds the hash itself.
    let bytes = fs::read(&cache)?;
    fs::write(&cache, &bytes[..bytes.len() - HASH])?;

    let place = tempfile::tempdir()?;
    let run = RunFolder::new(place.path().join("run"));
    let recipe = Recipe::parse(RECIPE, Path::new("recipe.toml"), &[])?;
    let mut load = |_: Option<&mut dyn PerceptionStack>| Ok(dataset.clone());
    let job = Job { recipe: &recipe, load: &mut load, evaluators: None, folder: &run, resume: false };
    run::run(Device::Cpu, job, &mut Silent)?;
    fs::copy(run.last(), folder.join("checkpoint/last"))?;
    fs::copy(run.best(), folder.join("checkpoint/best"))?;
    Ok(())
}
