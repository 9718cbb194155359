//! What SegNet sees in the second frames of a clip: `clip_maps CLIP SEGNET.onnx POSENET.onnx FILE` writes the class maps through
//! the metric's own chain, one byte a pixel, map after map, 384 rows of 512 columns each.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use dataset::{ClipSource, Dataset};
use metric::{INPUT_HEIGHT, INPUT_WIDTH};
use perception::Evaluators;

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [clip, segnet, posenet, file] = arguments.as_slice() else {
        bail!("usage: clip_maps CLIP SEGNET.onnx POSENET.onnx FILE")
    };
    let mut evaluators = Evaluators::load(segnet, posenet, 2)?;
    let source = ClipSource { path: clip, track: 0, name: None };
    let dataset = Dataset::load(source, (INPUT_HEIGHT, INPUT_WIDTH), Some(&mut evaluators), &|| false)?;
    let maps = dataset.originals().unwrap_or_default().iter().flat_map(|original| &original.classes);
    let bytes: Vec<u8> = maps.copied().collect();
    fs::write(file, bytes).with_context(|| file.display().to_string())
}
