//! Which archives are asked for.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use repr::Representation;

/// Largest archive that is read; a one-minute clip takes a fifth of a megabyte.
const MAX_ARCHIVE: u64 = 64 << 20;
/// Largest list of names that is read.
const MAX_NAMES: u64 = 1 << 20;

/// One archive to decode.
pub struct Job {
    /// The archive's file.
    pub source: PathBuf,
    /// Its content.
    pub representation: Representation,
    /// Output file without `.raw`, relative to the output folder.
    pub base: String,
}

/// The archive at `path`, or those in it that the list at `names` asks for.
pub fn jobs(path: &Path, names: Option<&Path>) -> Result<Vec<Job>> {
    let Some(names) = names else {
        ensure!(!path.is_dir(), "{} is a folder: give --names FILE to choose archives in it", path.display());
        let representation = read_archive(path)?;
        let base = representation.clip.name().to_string();
        return Ok(vec![Job { source: path.into(), representation, base }]);
    };
    let list = read(names, MAX_NAMES, "a list of names")?;
    let list = String::from_utf8(list).ok().with_context(|| format!("{} is not UTF-8 text", names.display()))?;
    let bases = list.lines().enumerate().filter(|(_, line)| !line.is_empty());
    let at = |number: usize| format!("{} line {}", names.display(), number + 1);
    let bases = bases.map(|(number, line)| base(line).with_context(|| at(number))).collect::<Result<Vec<_>>>()?;
    ensure!(!bases.is_empty(), "{} holds no name: write one a line", names.display());
    if path.is_dir() {
        let job = |base: &str| {
            let source = path.join(format!("{base}.bin"));
            Ok(Job { representation: read_archive(&source)?, source, base: base.into() })
        };
        return bases.into_iter().map(job).collect();
    }
    let [base] = bases[..] else {
        bail!("{} is one archive, {} holds {} names: give a folder", path.display(), names.display(), bases.len());
    };
    Ok(vec![Job { source: path.into(), representation: read_archive(path)?, base: base.into() }])
}

/// `${line%.*}` of a shell: the line without its last dot and what follows it.
fn base(line: &str) -> Result<&str> {
    let base = line.rsplit_once('.').map_or(line, |(base, _)| base);
    let stays_inside = |part| matches!(part, Component::Normal(_));
    ensure!(
        !base.is_empty() && !base.ends_with('/') && Path::new(base).components().all(stays_inside),
        "{line:?} gives {base:?}, which is no path inside a folder"
    );
    Ok(base)
}

fn read_archive(path: &Path) -> Result<Representation> {
    let bytes = read(path, MAX_ARCHIVE, "an archive")?;
    archive::decode(&bytes).with_context(|| path.display().to_string())
}

/// Reads a file of at most `limit` bytes.
fn read(path: &Path, limit: u64, what: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    read.with_context(|| format!("cannot read {}, {what} is expected there", path.display()))?;
    ensure!(bytes.len() as u64 <= limit, "{} has over {} MiB, too much for {what}", path.display(), limit >> 20);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_what_a_shell_makes_of_the_line() {
        for (line, expected) in [("0.mkv", "0"), ("0", "0"), ("a/b.c.mkv", "a/b.c"), ("0.mkv\r", "0"), ("a.b/c", "a")] {
            assert_eq!(base(line).unwrap(), expected);
        }
        for line in ["/etc/x.mkv", "../x.mkv", "a/../../x.mkv", ".mkv", "./x.mkv", "a/.mkv", "...", ".."] {
            assert!(base(line).is_err(), "{line}");
        }
    }
}
