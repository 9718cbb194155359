//! The recipe of a run: a TOML file, every key of which is described here and in `configs/`.

use std::path::{Path, PathBuf};

use repr::{Architecture, ArchitectureError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

mod loss;

pub use loss::{LossConfig, PoseOver, RateConfig, RateModel, SegmentationConfig, SegmentationKind};

/// Rows and columns of what the evaluators see.
const EVALUATOR_SIZE: (usize, usize) = (perception::INPUT_HEIGHT, perception::INPUT_WIDTH);

/// A whole recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What to represent.
    pub clip: ClipConfig,
    /// What looks at the frames; needed by stages whose loss asks them, and then what the best checkpoint is chosen by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluators: Option<EvaluatorsConfig>,
    /// The layer table.
    pub decoder: Architecture,
    /// What holds for the whole run.
    #[serde(default)]
    pub training: TrainingConfig,
    /// What happens one after the other; each stage starts from the moving average that the one before left.
    pub stage: Vec<StageConfig>,
}

/// The clip of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipConfig {
    /// A video, or a target cache made by `hnerv targets`; relative to the config file.
    pub path: PathBuf,
    /// How to get the clip, shown when it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// The frozen networks of the metric, ONNX files; relative to the config file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluatorsConfig {
    /// Classifies the pixels of a pair's second frame.
    pub segnet: PathBuf,
    /// Estimates the motion between the two frames.
    pub posenet: PathBuf,
    /// How to get them, shown when one is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Settings of the whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Seed of the initial weights, latents and of the order of samples.
    pub seed: u64,
    /// Pairs in a step.
    pub batch: usize,
    /// Largest norm of the gradient of the decoder, and of the latents; 0 for no limit.
    pub gradient_clip: f64,
    /// Decay of the exponential moving average of the weights, per step.
    pub ema: f64,
    /// Standard deviation of the initial latents.
    pub latent_init: f64,
    /// Bits of the archive's weights, 2 to 8.
    pub bits: u8,
    /// Epochs between two evaluations of the quantized moving average; the best one is kept.
    pub evaluate_every: usize,
    /// Seconds between two checkpoints.
    pub checkpoint_seconds: u64,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            batch: 8,
            gradient_clip: 1.0,
            ema: 0.999,
            latent_init: 0.1,
            bits: 8,
            evaluate_every: 10,
            checkpoint_seconds: 120,
        }
    }
}

/// One stage of the curriculum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// Shown in progress and metrics.
    pub name: String,
    /// What of the state so far it begins with; the first stage begins with the initial weights.
    #[serde(default)]
    pub start: Start,
    /// Passes over all pairs.
    pub epochs: usize,
    /// Evaluations without a new best after which the stage ends early; 0 for never.
    #[serde(default)]
    pub patience: usize,
    /// Pairs in a step, instead of the run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// What is minimized.
    pub loss: LossConfig,
    /// What is trained.
    #[serde(default)]
    pub trains: Trains,
    /// Share of an epoch's draws that go to the pairs in proportion to their part in the score, 0 to 0.9; the others go to
    /// all pairs alike.
    #[serde(default)]
    pub adaptive: f64,
    /// Let the evaluators see frames as the metric does: enlarged to the clip's size, clamped, rounded and reduced again.
    /// Otherwise they see the decoder's frames, which must then have their size.
    #[serde(default = "yes")]
    pub round_trip: bool,
    /// AdamW's learning rate for the decoder, after the warm-up.
    pub learning_rate: f64,
    /// Learning rate of the latents, as a multiple of the decoder's.
    #[serde(default = "ten")]
    pub latent_rate: f64,
    /// Learning rate at the stage's end, as a share of `learning_rate`; the way there is a cosine.
    #[serde(default)]
    pub final_rate: f64,
    /// Epochs over which the learning rate rises linearly from zero.
    #[serde(default)]
    pub warm_up: f64,
    /// AdamW's decoupled weight decay.
    #[serde(default)]
    pub weight_decay: f64,
    /// Muon instead of AdamW for the weights of hidden convolutions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muon: Option<MuonConfig>,
    /// Train on weights and latents rounded to the archive's grid, gradients passing straight through.
    #[serde(default)]
    pub quantized: bool,
    /// With `quantized`: learn the step of each tensor's grid too, from the step it would have otherwise. Once learned, a
    /// step stays in use.
    #[serde(default)]
    pub learned_steps: bool,
}

impl StageConfig {
    /// One epoch of `loss` at a learning rate of 1e-3, all else as a recipe that does not name it.
    pub fn new(name: &str, loss: LossConfig) -> Self {
        Self {
            name: name.into(),
            start: Start::Average,
            epochs: 1,
            patience: 0,
            batch: None,
            loss,
            trains: Trains::All,
            adaptive: 0.0,
            round_trip: yes(),
            learning_rate: 1e-3,
            latent_rate: ten(),
            final_rate: 0.0,
            warm_up: 0.0,
            weight_decay: 0.0,
            muon: None,
            quantized: false,
            learned_steps: false,
        }
    }
}

/// What a stage begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// The moving average that the stage before left.
    #[default]
    Average,
    /// The weights that the stage before left.
    Weights,
    /// The best checkpoint so far.
    Best,
}

/// What a stage trains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trains {
    /// The decoder and the latents.
    #[default]
    All,
    /// The latents, for a decoder that stays as it is.
    Latents,
}

/// Muon: orthogonalized momentum (Jordan et al. 2024, five Newton-Schulz steps, Nesterov), its rate scaled by
/// sqrt(max(1, rows / columns)). It follows the stage's schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MuonConfig {
    /// Learning rate, after the warm-up; 0 for AdamW after all.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    #[serde(default)]
    pub weight_decay: f64,
    /// Decay of the momentum.
    #[serde(default = "muon_momentum")]
    pub momentum: f64,
}

fn ten() -> f64 {
    10.0
}

fn yes() -> bool {
    true
}

fn muon_momentum() -> f64 {
    0.95
}

/// Why a recipe cannot be used; each names the file and what to change.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("config {path}: {source}; check the path")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
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
}

impl Config {
    /// Reads and checks the recipe in `path`; `overrides` are `key=value` with dotted keys (`training.batch=4`,
    /// `stage.0.epochs=10`). Paths become relative to the working directory.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.into(), source })?;
        let mut config = Self::parse(&text, path, overrides)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        config.clip.path = folder.join(&config.clip.path);
        if let Some(evaluators) = &mut config.evaluators {
            evaluators.segnet = folder.join(&evaluators.segnet);
            evaluators.posenet = folder.join(&evaluators.posenet);
        }
        Ok(config)
    }

    fn parse(text: &str, path: &Path, overrides: &[String]) -> Result<Self, ConfigError> {
        let syntax = |error: toml::de::Error| ConfigError::Syntax { path: path.into(), message: explain(text, &error) };
        let config: Self = if overrides.is_empty() {
            toml::from_str(text).map_err(syntax)?
        } else {
            let mut value = toml::Value::Table(toml::from_str(text).map_err(syntax)?);
            for assignment in overrides {
                assign(&mut value, assignment)
                    .map_err(|message| ConfigError::Override { assignment: assignment.clone(), message })?;
            }
            value.try_into().map_err(syntax)?
        };
        config.validate(path)?;
        Ok(config)
    }

    /// The recipe as TOML: what a run folder keeps.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    fn validate(&self, path: &Path) -> Result<(), ConfigError> {
        let path = || path.to_path_buf();
        self.decoder.validate().map_err(|source| ConfigError::Architecture { path: path(), source })?;
        let check = |good: bool, key: &str, value: &dyn std::fmt::Display, range: &'static str| {
            if good {
                return Ok(());
            }
            Err(ConfigError::OutOfRange { path: path(), key: key.into(), value: value.to_string(), range })
        };
        let t = &self.training;
        check((1..=256).contains(&t.batch), "training.batch", &t.batch, "1 to 256")?;
        check((0.0..=1e6).contains(&t.gradient_clip), "training.gradient_clip", &t.gradient_clip, "0 to 1e6")?;
        check((0.0..1.0).contains(&t.ema), "training.ema", &t.ema, "at least 0 and below 1")?;
        check((0.0..=100.0).contains(&t.latent_init), "training.latent_init", &t.latent_init, "0 to 100")?;
        check((repr::MIN_BITS..=repr::MAX_BITS).contains(&t.bits), "training.bits", &t.bits, "2 to 8")?;
        check(t.evaluate_every > 0, "training.evaluate_every", &t.evaluate_every, "at least 1")?;
        check(!self.stage.is_empty(), "stage", &"an empty list", "at least one [[stage]]")?;
        for (i, stage) in self.stage.iter().enumerate() {
            let key = |name: &str| format!("stage.{i}.{name}");
            check((1..=1_000_000).contains(&stage.epochs), &key("epochs"), &stage.epochs, "1 to 1000000")?;
            let batch = stage.batch.unwrap_or(t.batch);
            check((1..=256).contains(&batch), &key("batch"), &batch, "1 to 256")?;
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
                check(
                    (0.0..1.0).contains(&muon.momentum),
                    &key("muon.momentum"),
                    &muon.momentum,
                    "at least 0, below 1",
                )?;
            }
            for (name, value) in factors {
                check((0.0..=1e6).contains(&value), &key(name), &value, "0 to 1e6")?;
            }
            for (name, value) in loss.widths() {
                check((1e-3..=1e3).contains(&value), &key(name), &value, "0.001 to 1000")?;
            }
            let refresh = loss.rate.map_or(1, |rate| rate.refresh);
            check((1..=1_000_000).contains(&refresh), &key("loss.rate.refresh"), &refresh, "1 to 1000000")?;
            let fits = stage.quantized || !stage.learned_steps;
            check(fits, &key("learned_steps"), &true, "false, or quantized true beside it")?;
            check((0.0..=0.9).contains(&stage.adaptive), &key("adaptive"), &stage.adaptive, "0 to 0.9")?;
            let fits = stage.adaptive == 0.0 || loss.asks_evaluators();
            check(fits, &key("adaptive"), &stage.adaptive, "0, as the stage's loss does not ask the evaluators")?;
            let fits = stage.trains == Trains::All || !stage.learned_steps && loss.rate.is_none();
            check(fits, &key("trains"), &"latents", "all beside learned_steps and loss.rate, which are the decoder's")?;
            let any = loss.has_pixels() || loss.asks_evaluators();
            check(any, &key("loss"), &"all zero", "a weight above 0 for l1, mse, ssim, pose or segmentation")?;
            let found = self.evaluators.is_some() || !loss.asks_evaluators();
            check(found, "evaluators", &"absent", "a table with segnet and posenet, as a stage's loss asks them")?;
            let size = self.decoder.output_size();
            let fits = stage.round_trip || !loss.asks_evaluators() || size == EVALUATOR_SIZE;
            check(fits, &key("round_trip"), &false, "true, as the decoder's frames do not have the evaluators' size")?;
        }
        Ok(())
    }

    /// Epochs of all stages.
    pub fn epochs(&self) -> usize {
        self.stage.iter().map(|stage| stage.epochs).sum()
    }
}

/// One line on what is wrong and where; for an unknown key also the nearest known one.
fn explain(text: &str, error: &toml::de::Error) -> String {
    let mut message = error.message().to_string();
    if let Some((_, rest)) = message.split_once("unknown field `").or_else(|| message.split_once("unknown variant `")) {
        let mut quoted = rest.split('`').step_by(2);
        let unknown = quoted.next().unwrap_or_default().to_string();
        let known: Vec<&str> = rest.split('`').skip(2).step_by(2).collect();
        let nearest = known.iter().min_by_key(|name| strsim::osa_distance(&unknown, name));
        if let Some(nearest) = nearest {
            message = format!("unknown key `{unknown}`, did you mean `{nearest}`? (known here: {})", known.join(", "));
        }
    }
    match error.span() {
        Some(span) => {
            let line = text.get(..span.start).unwrap_or_default().matches('\n').count() + 1;
            format!("line {line}: {message}")
        }
        None => message,
    }
}

/// Puts the value of `a.b.0.c=value` in its place. The value is TOML, or a string where it is not.
fn assign(root: &mut toml::Value, assignment: &str) -> Result<(), String> {
    let (path, text) = assignment.split_once('=').ok_or("must be key=value")?;
    let value = text
        .parse::<toml::Value>()
        .or_else(|_| {
            toml::from_str::<toml::Table>(&format!("v = {text}"))
                .map(|mut t| t.remove("v").unwrap_or(toml::Value::String(text.into())))
        })
        .unwrap_or_else(|_| toml::Value::String(text.into()));
    let mut place = root;
    let mut keys = path.split('.').peekable();
    while let Some(key) = keys.next() {
        let last = keys.peek().is_none();
        place = match place {
            toml::Value::Table(table) if last => {
                table.insert(key.into(), value);
                return Ok(());
            }
            toml::Value::Table(table) => table.entry(key).or_insert_with(|| toml::Value::Table(toml::Table::new())),
            toml::Value::Array(list) => {
                let length = list.len();
                let index: usize = key.parse().map_err(|_| format!("`{key}` must be a number: {path} is in a list"))?;
                // The one behind the last is a new one.
                if index == length && !last {
                    list.push(toml::Value::Table(toml::Table::new()));
                }
                let entry = list.get_mut(index).ok_or(format!("there is no entry {index}, the list has {length}"))?;
                if last {
                    *entry = value;
                    return Ok(());
                }
                entry
            }
            _ => return Err(format!("`{key}` is below a plain value")),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: &str = r#"
[clip]
path = "clip.mkv"

[decoder]
latent_dim = 4
stem = { channels = 4, height = 6, width = 8 }
layers = [
    { kind = "stage", channels = 4 },
    { kind = "refine", hidden = 2 },
]

[training]
batch = 2

[[stage]]
name = "pixels"
epochs = 3
loss = { l1 = 1.0 }
learning_rate = 1e-3
"#;

    fn parse(text: &str, overrides: &[&str]) -> Result<Config, String> {
        let overrides: Vec<String> = overrides.iter().map(|s| s.to_string()).collect();
        Config::parse(text, Path::new("r.toml"), &overrides).map_err(|e| e.to_string())
    }

    #[test]
    fn a_recipe_survives_writing_and_reading() {
        let config = parse(RECIPE, &[]).unwrap();
        assert_eq!(config.training.ema, 0.999);
        assert_eq!(parse(&config.to_toml().unwrap(), &[]).unwrap(), config);
    }

    #[test]
    fn overrides_reach_nested_keys_and_lists() {
        let config =
            parse(RECIPE, &["training.batch=5", "stage.0.epochs=7", "clip.path=other.mkv", "stage.0.loss.ssim=0.5"])
                .unwrap();
        assert_eq!((config.training.batch, config.stage[0].epochs), (5, 7));
        assert_eq!(config.clip.path, Path::new("other.mkv"));
        assert_eq!(config.stage[0].loss.ssim, 0.5);
        assert!(parse(RECIPE, &["stage.3.epochs=7"]).unwrap_err().contains("no entry 3"));
        let more = ["name=more", "epochs=7", "loss.mse=1", "learning_rate=1e-4"].map(|key| format!("stage.1.{key}"));
        let config = parse(RECIPE, &more.each_ref().map(String::as_str)).unwrap();
        assert_eq!((config.stage.len(), config.stage[1].epochs, config.stage[1].loss.mse), (2, 7, 1.0));
        assert!(parse(RECIPE, &more[..2].iter().map(String::as_str).collect::<Vec<_>>()).is_err());
        assert!(parse(RECIPE, &["training.bach=7"]).unwrap_err().contains("`batch`"));
        assert!(parse(RECIPE, &["training"]).unwrap_err().contains("key=value"));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let change = |from: &str, to: &str| parse(&RECIPE.replace(from, to), &[]).unwrap_err();
        let message = change("epochs = 3", "epochz = 3");
        assert!(message.contains("line 18") && message.contains("did you mean `epochs`"), "{message}");
        let message = change("batch = 2", "batch = \"two\"");
        assert!(message.contains("line 14") && message.contains("invalid type"), "{message}");
        let message = change("hidden = 2", "hiden = 2");
        assert!(message.contains("`hidden`"), "{message}");
        let message = change("kind = \"stage\"", "kind = \"stages\"");
        assert!(message.contains("`stage`"), "{message}");
        let message = change("channels = 4 }", "channels = 4, upscale = 99 }");
        assert!(message.contains("layers[0].upscale is 99"), "{message}");
        assert!(change("l1 = 1.0", "l1 = 0.0").contains("stage.0.loss"));
        assert!(change("learning_rate", "adaptive = 0.5\nlearning_rate").contains("stage.0.adaptive is 0.5"));
        assert!(change("learning_rate", "adaptive = 1.0\nlearning_rate").contains("0 to 0.9"));
        let latents = "trains = \"latents\"\nquantized = true\nlearned_steps = true\nlearning_rate";
        assert!(change("learning_rate", latents).contains("stage.0.trains is latents"));
        assert!(change("batch = 2", "batch = 0").contains("training.batch is 0"));
        assert!(change("latent_dim = 4", "").contains("latent_dim"));
        assert!(!change("[clip]", "[clip").is_empty());
    }
}
