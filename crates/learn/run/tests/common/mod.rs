//! A small moving scene and a small recipe, for runs that take seconds.

#![allow(dead_code, reason = "each test file uses its share")]

use std::num::NonZeroU64;

use dataset::{Dataset, DatasetInfo};
use evaluate::Evaluation;
use frames::RgbFrame;
use metric::PerceptionStack;
use recipe::Recipe;
use recipe::tables::{ClipTable, LossTable, RecipeTable, StageTable, TrainingTable};
use report::RunFolder;
use repr::{Clip, Layer, LayerTable, Refine, Stage, Stem};
use run::{Device, Job, Observer, Outcome, RunError, Status};

pub const HEIGHT: usize = 48;
pub const WIDTH: usize = 64;

/// A bright square that moves over a gradient; odd frame count on request.
pub fn scene(frames: usize) -> Dataset {
    scene_of("scene", frames)
}

/// The scene under another name.
pub fn scene_of(name: &str, frames: usize) -> Dataset {
    let info = DatasetInfo {
        name: name.parse().unwrap(),
        clip_bytes: NonZeroU64::new(100_000).unwrap(),
        clip_height: HEIGHT,
        clip_width: WIDTH,
        height: HEIGHT,
        width: WIDTH,
    };
    let mut dataset = Dataset::new(info).unwrap();
    for t in 0..frames {
        let pixel = |i: usize| {
            let (y, x) = (i / WIDTH, i % WIDTH);
            let inside = (10..26).contains(&y) && (4 + t..20 + t).contains(&x);
            if inside { [230, 200, 60] } else { [(x * 3) as u8, (y * 4) as u8, 90] }
        };
        let data = (0..HEIGHT * WIDTH).flat_map(pixel).collect();
        dataset.push(&RgbFrame::new(WIDTH, HEIGHT, data).unwrap()).unwrap();
    }
    dataset
}

/// Every kind of layer, three epochs, the last one quantized.
pub fn recipe() -> RecipeTable {
    let stage = |channels, upscale, kernel| Layer::Stage(Stage::new(channels, upscale, kernel));
    let decoder = LayerTable::new(
        5,
        Stem::new(8, 6, 8),
        vec![
            stage(8, 2, 3),
            stage(6, 2, 3),
            Layer::Refine(Refine { hidden: 3, dilation: 2, gain: 0.1 }),
            stage(6, 1, 1),
            stage(4, 2, 3),
        ],
    );
    let pixels = StageTable {
        epochs: 4,
        learning_rate: 1e-2,
        final_rate: 0.1,
        warm_up: 1.0,
        ..StageTable::new("pixels", LossTable { l1: 1.0, mse: 0.5, ssim: 0.1, ..Default::default() })
    };
    let int8 = StageTable { name: "int8".into(), epochs: 2, learning_rate: 1e-3, quantized: true, ..pixels.clone() };
    RecipeTable {
        clip: ClipTable::new("scene.mkv"),
        evaluators: None,
        representation: Default::default(),
        decoder,
        training: TrainingTable { batch: 2, evaluate_every: 2, ..Default::default() },
        stage: vec![pixels, int8],
    }
}

/// The recipe of some tables.
pub fn checked(table: &RecipeTable) -> Recipe {
    Recipe::new(table.clone(), std::path::Path::new("recipe.toml")).unwrap()
}

/// Runs a recipe on a device.
pub fn run_on(
    device: Device,
    table: &RecipeTable,
    dataset: &Dataset,
    evaluators: Option<&mut dyn PerceptionStack>,
    folder: &RunFolder,
    resume: bool,
    watch: &mut Watch,
) -> Result<Outcome, RunError> {
    run::run(
        device,
        Job {
            recipe: &checked(table),
            load: &mut |_| Ok(dataset.clone()),
            evaluators: evaluators.map(|stack| stack as &mut dyn PerceptionStack),
            folder,
            resume,
        },
        watch,
    )
}

/// Interrupts after a number of steps, and remembers the losses.
#[derive(Default)]
pub struct Watch {
    pub steps: usize,
    pub stop_after: Option<usize>,
    pub losses: Vec<f64>,
    pub evaluations: Vec<f64>,
    pub notes: Vec<String>,
}

impl Watch {
    pub fn stop_after(steps: usize) -> Self {
        Self { stop_after: Some(steps), ..Default::default() }
    }
}

impl Observer for Watch {
    fn begins(&mut self, _: &Clip) {}

    fn note(&mut self, line: &str) {
        self.notes.push(line.into());
    }

    fn status(&mut self, status: &Status<'_>) {
        self.steps += 1;
        self.losses.push(status.loss);
    }

    fn evaluated(&mut self, _: usize, evaluation: &Evaluation, _: bool) {
        self.evaluations.push(evaluation.psnr);
    }

    fn interrupted(&self) -> bool {
        self.stop_after.is_some_and(|steps| self.steps >= steps)
    }
}
