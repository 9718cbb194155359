//! Milliseconds of training steps: `step BATCH`.
//!
//! Trains the reference architecture on synthetic frames of 384x512 with mean absolute error, through [`run::run`] as
//! `hnerv train` does. For each line on standard input, makes as many steps as it says and prints their mean. A step is
//! everything from one status to the next: dataset, forward, loss, backward, gradient clipping, AdamW, moving average.

use std::io::BufRead;
use std::num::NonZeroU64;
use std::time::Instant;

use anyhow::{Context, Result};
use dataset::{Dataset, DatasetInfo};
use evaluate::Evaluation;
use frames::RgbFrame;
use metric::PerceptionStack;
use recipe::Recipe;
use recipe::tables::{ClipTable, LossTable, RecipeTable, StageTable, TrainingTable};
use report::RunFolder;
use repr::{Architecture, Clip, LayerTable};
use run::{Device, Job, Observer, Status};

/// As in `hnerv`.
#[global_allocator]
static ALLOCATOR: allocator::MiMalloc = allocator::MiMalloc;

/// Steps of an epoch: enough that what happens between epochs is rare.
const STEPS: usize = 8;

/// Makes the steps that standard input asks for.
#[derive(Default)]
struct Timer {
    started: Option<Instant>,
    asked: usize,
    left: usize,
    done: bool,
}

impl Timer {
    /// Reads the next request; its end ends the run.
    fn wait(&mut self) {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        self.asked = read.ok().and_then(|_| line.trim().parse().ok()).unwrap_or(0);
        self.left = self.asked;
        self.done = self.asked == 0;
        self.started = Some(Instant::now());
    }
}

impl Observer for Timer {
    fn begins(&mut self, _: &Clip) {}

    fn note(&mut self, _: &str) {}

    fn status(&mut self, _: &Status<'_>) {
        self.left = self.left.saturating_sub(1);
        if let (0, Some(started)) = (self.left, self.started) {
            println!("{}", 1e3 * started.elapsed().as_secs_f64() / self.asked as f64);
            self.wait();
        }
    }

    fn evaluated(&mut self, _: usize, _: &Evaluation, _: bool) {}

    fn interrupted(&self) -> bool {
        self.done
    }
}

fn main() -> Result<()> {
    allocator::keep_pages();
    let batch = std::env::args().nth(1).context("usage: step BATCH")?.parse()?;
    let decoder = LayerTable::reference(36, 28);
    let (height, width) = Architecture::new(decoder.clone())?.output_size();
    let name = "noise".parse()?;
    let info = DatasetInfo { name, clip_bytes: NonZeroU64::MIN, clip_height: height, clip_width: width, height, width };
    let mut dataset = Dataset::new(info)?;
    for frame in 0..2 * STEPS * batch {
        let value = |i: usize| ((i / 3 * 7 + i % 3 * 50 + frame * 13) % 251) as u8;
        dataset.push(&RgbFrame::new(width, height, (0..3 * width * height).map(value).collect())?)?;
    }
    let training =
        TrainingTable { batch, evaluate_every: 1_000_000, checkpoint_seconds: 1_000_000, ..TrainingTable::default() };
    let stage =
        StageTable { epochs: 1_000_000, ..StageTable::new("pixels", LossTable { l1: 1.0, ..LossTable::default() }) };
    let clip = ClipTable::new("noise");
    let representation = Default::default();
    let table = RecipeTable { clip, evaluators: None, representation, decoder, training, stage: vec![stage] };
    let folder = tempfile::tempdir()?;
    let mut timer = Timer::default();
    timer.wait();
    let recipe = Recipe::new(table, std::path::Path::new("step"))?;
    let folder = RunFolder::new(folder.path().join("run"));
    let mut load = |_: Option<&mut dyn PerceptionStack>| Ok(dataset.clone());
    let job = Job { recipe: &recipe, load: &mut load, evaluators: None, folder: &folder, resume: false };
    run::run(Device::Cpu, job, &mut timer)?;
    Ok(())
}
