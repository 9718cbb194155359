//! Any text as a recipe, what follows a zero byte as one `--set`: refused, or the same recipe when written and read again.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use recipe::Recipe;

fuzz_target!(|input: &str| {
    let path = Path::new("recipe.toml");
    let (text, overrides) = match input.split_once('\0') {
        Some((text, assignment)) => (text, vec![assignment.to_string()]),
        None => (input, Vec::new()),
    };
    if let Ok(recipe) = Recipe::parse(text, path, &overrides) {
        let written = recipe.to_toml().expect("what was read can be written");
        assert_eq!(Recipe::parse(&written, path, &[]).expect("what was written can be read"), recipe);
    }
});
