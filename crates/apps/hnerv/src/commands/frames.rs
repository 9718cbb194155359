//! `hnerv frames`

use std::path::PathBuf;

/// Write the challenge's exact RGB frames of a clip: uint8, frame after frame, row-major, R, G, B, no header.
#[derive(clap::Args)]
pub struct Arguments {
    /// The clip: HEVC, H.264 or AV1 in any common container, 8-bit 4:2:0.
    clip: PathBuf,
    /// The file to write.
    output: PathBuf,
    /// Which of the clip's video tracks, counted from 0 (attached pictures left out).
    #[arg(long, value_name = "N", default_value = "0")]
    track: usize,
}

/// Runs the command.
#[cfg(feature = "ffmpeg")]
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    use frames::RawWriter;
    use output::OutputFile;

    let output = OutputFile::create_apart(&arguments.output, [&arguments.clip])?;
    let clip = video::Clip::open(&arguments.clip, arguments.track)?;
    let (width, height) = (clip.width(), clip.height());
    let mut writer = RawWriter::new(output, width, height)?;
    let mut count = 0;
    for frame in clip {
        writer.write(&frame?)?;
        count += 1;
    }
    writer.into_inner().commit()?;
    cli::print(format_args!("{}: {count} frames of {width}x{height}\n", arguments.output.display()));
    Ok(())
}

/// Runs the command.
#[cfg(not(feature = "ffmpeg"))]
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { clip, output, track: _ } = arguments;
    let (clip, output) = (clip.display(), output.display());
    anyhow::bail!("{clip} cannot be decoded into {output}: this program was built without the feature ffmpeg")
}
