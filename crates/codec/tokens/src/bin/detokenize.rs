//! The `detokenize` command: an archive of tokens back into its files. Small and free of other libraries, for places that only
//! decode, such as a submission to the commaVQ compression challenge.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tokens::{Archive, Prior, TokensError};

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (archive, folder, prior) = match arguments.as_slice() {
        [archive, folder] => (archive, folder, None),
        [archive, folder, prior] => (archive, folder, Some(prior.as_path())),
        _ => {
            eprintln!("usage: detokenize ARCHIVE FOLDER [PRIOR]");
            return ExitCode::from(2);
        }
    };
    match run(archive, folder, prior) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}: {error}", archive.display());
            ExitCode::from(2)
        }
    }
}

fn run(archive: &Path, folder: &Path, prior: Option<&Path>) -> Result<(), TokensError> {
    let prior = prior.map(|path| Prior::read(&read(path)?)).transpose()?;
    Archive::open(&read(archive)?, prior.as_ref())?.extract_to(folder, &|_| true, &|| ())
}

fn read(path: &Path) -> Result<Vec<u8>, TokensError> {
    std::fs::read(path).map_err(|cause| TokensError::Read { path: path.into(), cause })
}
