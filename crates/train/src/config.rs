//! The recipe of a run: a TOML file, every key of which is described here and in `configs/`.

use std::path::{Path, PathBuf};

use repr::{Architecture, ArchitectureError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A whole recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What to represent.
    pub clip: ClipConfig,
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
    /// Passes over all pairs.
    pub epochs: usize,
    /// What is minimized.
    pub loss: LossConfig,
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
    /// Train on weights and latents rounded to the archive's grid, gradients passing straight through.
    #[serde(default)]
    pub quantized: bool,
}

fn ten() -> f64 {
    10.0
}

/// Weights of the terms of the loss; all on RGB scaled to 0..1, at the decoder's resolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Mean absolute error.
    pub l1: f64,
    /// Mean squared error.
    pub mse: f64,
    /// One minus the structural similarity (Wang et al. 2004: Gaussian window of 11, sigma 1.5).
    pub ssim: f64,
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
    /// `stage.0.epochs=10`). The clip's path becomes relative to the working directory.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.into(), source })?;
        let mut config = Self::parse(&text, path, overrides)?;
        config.clip.path = path.parent().unwrap_or(Path::new("")).join(&config.clip.path);
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
            let rates = [
                ("learning_rate", stage.learning_rate),
                ("latent_rate", stage.latent_rate),
                ("final_rate", stage.final_rate),
                ("warm_up", stage.warm_up),
                ("weight_decay", stage.weight_decay),
                ("loss.l1", stage.loss.l1),
                ("loss.mse", stage.loss.mse),
                ("loss.ssim", stage.loss.ssim),
            ];
            for (name, value) in rates {
                check((0.0..=1e6).contains(&value), &key(name), &value, "0 to 1e6")?;
            }
            let sum = stage.loss.l1 + stage.loss.mse + stage.loss.ssim;
            check(sum > 0.0, &key("loss"), &"all zero", "a weight above 0 for l1, mse or ssim")?;
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
        assert!(change("batch = 2", "batch = 0").contains("training.batch is 0"));
        assert!(change("latent_dim = 4", "").contains("latent_dim"));
        assert!(!change("[clip]", "[clip").is_empty());
    }
}
