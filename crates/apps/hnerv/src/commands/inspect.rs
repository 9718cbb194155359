//! `hnerv inspect`

use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use archive::Budget;

/// Largest archive that is read.
const MAX_BYTES: u64 = 64 << 20;

/// Show where every byte of an archive goes: section, tensor, bits per weight.
#[derive(clap::Args)]
pub struct Arguments {
    /// The archive.
    archive: PathBuf,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let path = &arguments.archive;
    let bytes = read(path)?;
    cli::print(if arguments.json { json(path, &bytes)? } else { table(&path.display().to_string(), &bytes)? });
    Ok(())
}

/// The bytes of an archive, ours or foreign.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let context = || format!("{}: cannot read; check the path", path.display());
    let file = std::fs::File::open(path).with_context(context)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).with_context(context)?;
    if bytes.len() as u64 > MAX_BYTES {
        bail!("{}: larger than any archive ({} MiB); is it the right file?", path.display(), MAX_BYTES >> 20);
    }
    Ok(bytes)
}

/// The budget of an archive as a table; `name` says which archive in an error.
pub fn table(name: &str, bytes: &[u8]) -> anyhow::Result<String> {
    let (architecture, clip) = archive::header(bytes).with_context(|| name.to_string())?;
    let Budget { bytes: total, shares } = archive::budget(bytes).with_context(|| name.to_string())?;
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "{}: {} frames of {}x{}, decoder {} parameters, {:.2} GFLOP a pair, latents of {}\n",
        clip.name(),
        clip.frames(),
        clip.width(),
        clip.height(),
        architecture.graph().parameter_count(),
        architecture.flops() as f64 / 1e9,
        architecture.latent_dim(),
    );
    let _ = writeln!(
        text,
        "{:<18} {:>4} {:>9} {:>11} {:>10} {:>7} {:>10}",
        "part", "bits", "values", "bits/value", "bytes", "share", "entropy"
    );
    for share in &shares {
        let percent = 100.0 * share.bytes / total.max(1) as f64;
        let _ = if share.values == 0 {
            writeln!(text, "{:<18} {:>4} {:>9} {:>11} {:>10.1} {percent:>6.1}%", share.name, "", "", "", share.bytes)
        } else {
            writeln!(
                text,
                "{:<18} {:>4} {:>9} {:>11.3} {:>10.1} {percent:>6.1}% {:>10.1}",
                share.name,
                share.bits,
                share.values,
                share.bits_per_value(),
                share.bytes,
                share.entropy_bytes,
            )
        };
    }
    let _ = writeln!(text, "{:<18} {:>4} {:>9} {:>11} {total:>10}", "total", "", "", "");
    Ok(text)
}

fn json(path: &Path, bytes: &[u8]) -> anyhow::Result<String> {
    let context = || path.display().to_string();
    let (architecture, clip) = archive::header(bytes).with_context(context)?;
    let budget = archive::budget(bytes).with_context(context)?;
    let mut value = serde_json::json!({
        "clip": {
            "name": clip.name().as_str(),
            "frames": clip.frames(),
            "height": clip.height(),
            "width": clip.width(),
        },
        "architecture": architecture,
        "parameters": architecture.graph().parameter_count(),
        "flop_per_pair": architecture.flops(),
        "budget": budget,
    });
    for (row, share) in value["budget"]["shares"].as_array_mut().into_iter().flatten().zip(&budget.shares) {
        row["bits_per_value"] = share.bits_per_value().into();
        row["share"] = (share.bytes / budget.bytes.max(1) as f64).into();
    }
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}
