//! From a TOML file and `--set` flags to a recipe.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::error::RecipeError;
use crate::recipe::Recipe;
use crate::tables::RecipeTable;

/// Largest recipe that is read.
const MAX_BYTES: u64 = 1 << 20;

impl Recipe {
    /// Reads and checks the recipe in `path`; `overrides` are `key=value` with dotted keys (`training.batch=4`,
    /// `stage.0.epochs=10`). Paths become relative to the working directory.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, RecipeError> {
        Self::new(RecipeTable::read(path, overrides)?, path)
    }

    /// The recipe in `text`, as [`read`](Self::read) gives it for a file at `path`; nothing is looked for there.
    pub fn parse(text: &str, path: &Path, overrides: &[String]) -> Result<Self, RecipeError> {
        Self::new(RecipeTable::parse(text, path, overrides)?, path)
    }
}

impl RecipeTable {
    /// As [`Recipe::read`], unchecked: for who has more to say than `overrides` can.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, RecipeError> {
        Self::parse(&read_text(path)?, path, overrides)
    }

    fn parse(text: &str, path: &Path, overrides: &[String]) -> Result<Self, RecipeError> {
        let mut table = parse(text, path, overrides)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        table.clip.path = folder.join(&table.clip.path);
        if let Some(evaluators) = &mut table.evaluators {
            evaluators.segnet = folder.join(&evaluators.segnet);
            evaluators.posenet = folder.join(&evaluators.posenet);
        }
        Ok(table)
    }
}

/// The text of the recipe in `path`, unchecked.
pub fn read_text(path: &Path) -> Result<String, RecipeError> {
    let unreadable = |source| RecipeError::Unreadable { path: path.into(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(unreadable(io::Error::other("larger than any recipe")));
    }
    String::from_utf8(bytes).map_err(|_| RecipeError::NotText { path: path.into() })
}

fn parse(text: &str, path: &Path, overrides: &[String]) -> Result<RecipeTable, RecipeError> {
    let syntax = |error: toml::de::Error| RecipeError::Syntax { path: path.into(), message: explain(text, &error) };
    if overrides.is_empty() {
        return toml::from_str(text).map_err(syntax);
    }
    let mut value = toml::Value::Table(toml::from_str(text).map_err(syntax)?);
    for assignment in overrides {
        assign(&mut value, assignment)
            .map_err(|message| RecipeError::Override { assignment: assignment.clone(), message })?;
    }
    value.try_into().map_err(syntax)
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

    fn parse(text: &str, overrides: &[&str]) -> Result<Recipe, String> {
        let overrides: Vec<String> = overrides.iter().map(|s| s.to_string()).collect();
        let path = Path::new("r.toml");
        super::parse(text, path, &overrides).and_then(|table| Recipe::new(table, path)).map_err(|e| e.to_string())
    }

    #[test]
    fn a_recipe_survives_writing_and_reading() {
        let recipe = parse(RECIPE, &[]).unwrap();
        assert_eq!(recipe.training().ema, 0.999);
        assert_eq!(parse(&recipe.to_toml().unwrap(), &[]).unwrap(), recipe);
    }

    #[test]
    fn a_clip_s_track_and_name_are_kept() {
        let recipe = parse(RECIPE, &["clip.track=1", "clip.name=road.one"]).unwrap();
        assert_eq!((recipe.clip().track, recipe.clip().name.as_ref().unwrap().as_str()), (1, "road.one"));
        assert_eq!(parse(&recipe.to_toml().unwrap(), &[]).unwrap(), recipe);
        assert!(!parse(RECIPE, &[]).unwrap().to_toml().unwrap().contains("track"));
        let message = parse(&RECIPE.replace("[clip]", "[clip]\nname = \"a/b\""), &[]).unwrap_err();
        assert!(message.contains("line 3") && message.contains("plain file name"), "{message}");
        assert!(parse(RECIPE, &["clip.track=-1"]).is_err());
    }

    #[test]
    fn overrides_reach_nested_keys_and_lists() {
        let recipe =
            parse(RECIPE, &["training.batch=5", "stage.0.epochs=7", "clip.path=other.mkv", "stage.0.loss.ssim=0.5"])
                .unwrap();
        assert_eq!((recipe.training().batch, recipe.stages()[0].epochs.get()), (5, 7));
        assert_eq!(recipe.clip().path, Path::new("other.mkv"));
        assert_eq!(recipe.table().stage[0].loss.ssim, 0.5);
        assert!(parse(RECIPE, &["stage.3.epochs=7"]).unwrap_err().contains("no entry 3"));
        let more = ["name=more", "epochs=7", "loss.mse=1", "learning_rate=1e-4"].map(|key| format!("stage.1.{key}"));
        let recipe = parse(RECIPE, &more.each_ref().map(String::as_str)).unwrap();
        assert_eq!(
            (recipe.stages().len(), recipe.stages()[1].epochs.get(), recipe.table().stage[1].loss.mse),
            (2, 7, 1.0)
        );
        assert!(parse(RECIPE, &more[..2].iter().map(String::as_str).collect::<Vec<_>>()).is_err());
        assert!(parse(RECIPE, &["training.bach=7"]).unwrap_err().contains("`batch`"));
        assert!(parse(RECIPE, &["training"]).unwrap_err().contains("key=value"));
    }

    #[test]
    fn structural_similarity_needs_frames_that_hold_its_window() {
        // The stage doubles the stem's rows and columns.
        for (height, width, fits) in [(6, 8, true), (5, 8, false), (8, 5, false)] {
            let size = format!("height = {height}, width = {width}");
            let text = RECIPE.replace("height = 6, width = 8", &size).replace("l1 = 1.0", "l1 = 1.0, ssim = 0.1");
            let found = parse(&text, &[]);
            assert_eq!(found.is_ok(), fits, "{size}");
            assert!(
                found
                    .err()
                    .is_none_or(|message| message.contains("stage.0.loss.ssim is 0.1") && message.contains("11x11"))
            );
            assert!(parse(&text, &["stage.0.loss.ssim=0"]).is_ok());
        }
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
        assert!(change("learning_rate", "warm_up = 3.5\nlearning_rate").contains("stage.0.warm_up is 3.5"));
        assert!(parse(&RECIPE.replace("learning_rate", "warm_up = 3\nlearning_rate"), &[]).is_ok());
        assert!(change("batch = 2", "batch = 0").contains("training.batch is 0"));
        assert!(change("latent_dim = 4", "").contains("latent_dim"));
        assert!(!change("[clip]", "[clip").is_empty());
    }
}
