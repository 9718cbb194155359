//! `hnerv tokens submission`

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use output::OutputFile;
use token_files::read;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::coding::{Coding, Input};

/// Name of the decoder in the zip, and of the binary that becomes it.
const DECODER: &str = "detokenize";
/// Name of the archive in the zip.
const ARCHIVE: &str = "tokens.bin";
/// Name of the prior in the zip.
const PRIOR: &str = "prior.bin";
/// What the challenge runs: OUTPUT_DIR says where the files go, by default beside the script.
const SCRIPT: &str = r#"import os
import subprocess
from pathlib import Path

here = Path(__file__).resolve().parent
decoder = here / "detokenize"
decoder.chmod(0o755)
files = [here / name for name in ("tokens.bin", "prior.bin")]
archive, *prior = [path for path in files if path.exists()]
subprocess.run([decoder, archive, os.environ.get("OUTPUT_DIR", here), *prior], check=True)
"#;

/// Make the zip that the commaVQ compression challenge takes: archive, prior, decoder, decompress.py.
///
/// Name the files as `evaluate.py` expects them: the data set's `json.file_name` of each segment.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    input: Input,
    /// The zip to write.
    #[arg(short, long)]
    output: PathBuf,
    #[command(flatten)]
    coding: Coding,
    /// The decoder, an x86-64 Linux binary [default: detokenize beside this program].
    #[arg(long)]
    decoder: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let decoder_path = decoder_path(arguments.decoder.as_deref())?;
    let decoder = read(&decoder_path)?;
    let files = arguments.input.files()?;
    let prior = arguments.coding.prior()?;
    let inputs = files.iter().map(|file| &file.path).chain(prior.as_ref().map(|prior| &prior.path));
    let mut out = OutputFile::create_apart(&arguments.output, inputs.chain([&decoder_path]))?;
    let mut archive = Vec::new();
    let summary = arguments.coding.compress(&files, prior.as_ref(), &mut archive)?;

    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let deflated =
        SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).compression_level(Some(9));
    // What is entropy-coded already only grows by deflating.
    let stored =
        SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(archive.len() >> 32 > 0);
    let mut add = |name, bytes: &[u8], options: SimpleFileOptions, mode| -> anyhow::Result<()> {
        zip.start_file(name, options.unix_permissions(mode))?;
        Ok(zip.write_all(bytes)?)
    };
    add("decompress.py", SCRIPT.as_bytes(), deflated, 0o755)?;
    add(DECODER, &decoder, deflated, 0o755)?;
    add(ARCHIVE, &archive, stored, 0o644)?;
    if let Some(prior) = &prior {
        add(PRIOR, &read(&prior.path)?, stored, 0o644)?;
    }
    let bytes = zip.finish()?.into_inner();
    out.append(&bytes)?;
    out.commit()?;

    let rate = tokens::packed_bytes(summary.tokens) / bytes.len() as f64;
    let parts =
        [("archive", archive.len()), ("prior", prior.map_or(0, |prior| prior.bytes)), ("decoder", decoder.len())];
    let parts = parts.map(|(name, bytes)| format!("{name} {bytes}")).join(", ");
    cli::print(format_args!(
        "{}: {} segments, {} bytes ({parts} before deflating)\nCompression rate: {rate:.1} ({rate:.4}; the archive alone {:.4})\n",
        arguments.output.display(),
        summary.segments,
        bytes.len(),
        summary.rate(0),
    ));
    Ok(())
}

/// Where the decoder lies: as `given`, or beside this program.
fn decoder_path(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let path: PathBuf = match given {
        Some(path) => path.into(),
        None => {
            std::env::current_exe().context("cannot find this program's folder; use --decoder")?.with_file_name(DECODER)
        }
    };
    if !path.is_file() {
        bail!(
            "{}: the decoder is absent; build it with `cargo build --release -p token-files`, or use --decoder",
            path.display()
        );
    }
    Ok(path)
}
