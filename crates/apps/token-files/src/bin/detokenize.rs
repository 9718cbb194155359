//! The `detokenize` command: an archive of tokens back into its files. Small and free of other libraries, for places that only
//! decode, such as a submission to the commaVQ compression challenge.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use token_files::{TokenFilesError, extract, keep_apart, read};
use tokens::{Archive, Prior};

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (archive, folder, prior) = match arguments.as_slice() {
        [archive, folder] => (archive, folder, None),
        [archive, folder, prior] => (archive, folder, Some(prior.as_path())),
        _ => {
            say("usage: detokenize ARCHIVE FOLDER [PRIOR]");
            return ExitCode::from(2);
        }
    };
    // A panic has told its words already; it is this program's own fault.
    match std::panic::catch_unwind(|| run(archive, folder, prior)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(1),
        Ok(Err(error)) => {
            say(format_args!("error: {error}"));
            ExitCode::from(2)
        }
    }
}

fn run(archive: &Path, folder: &Path, prior: Option<&Path>) -> Result<(), String> {
    let given = prior;
    let prior = match prior {
        Some(path) => Some(read(path).and_then(|bytes| Ok(Prior::read(&bytes)?)).map_err(of(path))?),
        None => None,
    };
    let bytes = read(archive).map_err(of(archive))?;
    let restored = Archive::open(&bytes, prior.as_ref()).map_err(TokenFilesError::from);
    let restored = restored.and_then(|opened| {
        keep_apart(&opened, folder, &|_| true, [Some(archive), given].into_iter().flatten())?;
        extract(&opened, folder, &|_| true, &|| ())
    });
    restored.map_err(of(archive))
}

/// What is wrong, with the file at fault: errors of the tokens themselves do not know it.
fn of(path: &Path) -> impl Fn(TokenFilesError) -> String {
    move |error| match error {
        TokenFilesError::Tokens(cause) => format!("{}: {cause}", path.display()),
        other => other.to_string(),
    }
}

/// A line on stderr, dropped where nobody can read it: `cli::say` without all that comes with it.
fn say(line: impl Display) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
