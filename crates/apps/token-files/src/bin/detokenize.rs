//! The `detokenize` command: an archive of tokens back into its files. Small and free of other libraries, for places that only
//! decode, such as a submission to the commaVQ compression challenge.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use token_files::{TokenFilesError, extract, read};
use tokens::{Archive, Prior};

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

fn run(archive: &Path, folder: &Path, prior: Option<&Path>) -> Result<(), TokenFilesError> {
    let prior = prior.map(|path| Ok::<_, TokenFilesError>(Prior::read(&read(path)?)?)).transpose()?;
    extract(&Archive::open(&read(archive)?, prior.as_ref())?, folder, &|_| true, &|| ())
}
