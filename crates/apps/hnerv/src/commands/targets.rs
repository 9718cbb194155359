//! `hnerv targets`

use std::path::PathBuf;

use repr::ClipName;

/// Write a target cache: a clip's frames at decoder resolution, and the evaluators' outputs if evaluators are given.
///
/// `hnerv train --clip FILE` takes it in place of the clip, on machines without FFmpeg too.
#[derive(clap::Args)]
pub struct Arguments {
    /// The clip: HEVC, H.264 or AV1 in any common container, 8-bit 4:2:0.
    clip: PathBuf,
    /// The file to write.
    #[arg(short, long)]
    output: PathBuf,
    /// Which of the clip's video tracks, counted from 0 (attached pictures left out).
    #[arg(long, value_name = "N", default_value = "0")]
    track: usize,
    /// What archives call the clip [default: its file name without the extension].
    #[arg(long)]
    name: Option<ClipName>,
    /// Columns and rows of the decoder's frames.
    #[arg(long, default_value = "512x384", value_parser = parse_size)]
    size: (usize, usize),
    /// SegNet-style evaluator (ONNX).
    #[arg(long, requires = "posenet")]
    segnet: Option<PathBuf>,
    /// PoseNet-style evaluator (ONNX).
    #[arg(long, requires = "segnet")]
    posenet: Option<PathBuf>,
    /// Threads of the evaluators [default: all cores].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

/// `512x384` as (rows, columns).
fn parse_size(text: &str) -> Result<(usize, usize), String> {
    let side = |text: &str| text.parse().ok().filter(|side| (1..=repr::limits::SIDE).contains(side));
    let sides = text.split_once('x').and_then(|(width, height)| Some((side(height)?, side(width)?)));
    sides.ok_or_else(|| format!("must be COLUMNSxROWS, each 1 to {}", repr::limits::SIDE))
}

/// Runs the command.
#[cfg(feature = "ffmpeg")]
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    use anyhow::Context;

    use crate::footage;

    let Arguments { clip, output, track, name, size, segnet, posenet, threads } = arguments;
    let inputs = [Some(clip), segnet.as_ref(), posenet.as_ref()];
    output::keep_apart(output, inputs.into_iter().flatten())?;
    cli::watch_interrupts()?;
    let mut evaluators = footage::evaluators(segnet.as_deref().zip(posenet.as_deref()), *threads)?;
    let source = dataset::ClipSource { path: clip, track: *track, name: name.as_ref() };
    let (info, count) = dataset::convert(source, output, *size, footage::stack(&mut evaluators), &cli::interrupted)?;
    let bytes = std::fs::metadata(output).with_context(|| output.display().to_string())?.len();
    let (output, width, height) = (output.display(), info.width, info.height);
    cli::print(format_args!("{output}: {count} frames of {width}x{height}, {bytes} bytes\n"));
    Ok(())
}

/// Runs the command.
#[cfg(not(feature = "ffmpeg"))]
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { clip, output, track: _, name: _, .. } = arguments;
    let (clip, output) = (clip.display(), output.display());
    anyhow::bail!("{clip} cannot be decoded into {output}: this program was built without the feature ffmpeg")
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_are_columns_by_rows() {
        assert_eq!(parse_size("512x384"), Ok((384, 512)));
        for wrong in ["512", "x", "0x4", "512x384x2", "99999x2", "-1x2"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
