//! Words to stderr, results to stdout, whoever reads them and for as long as they do.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

/// What first went wrong on stdout.
static FAILURE: Mutex<Option<io::Error>> = Mutex::new(None);

/// A line on stderr. Where nobody can read it, it is dropped: what was being done goes on.
pub fn say(line: impl Display) {
    // In one piece, so that lines of several threads or programs do not mix.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// A command's result on stdout, as it is. What goes wrong is told when the command has come to its end and its files are whole:
/// [`run`](crate::run) sees to that. A reader that went away has seen what it wanted.
pub fn print(text: impl Display) {
    let mut stdout = io::stdout().lock();
    keep(stdout.write_all(text.to_string().as_bytes()).and_then(|()| stdout.flush()));
}

/// Remembers how writing to stdout went.
pub(crate) fn keep(written: io::Result<()>) {
    if let Err(error) = written {
        FAILURE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

/// Whether all results got out, or met a reader that did not want them.
pub(crate) fn delivered() -> anyhow::Result<()> {
    match FAILURE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            anyhow::bail!("standard output: cannot write: {error}; send it to a place that takes it")
        }
        _ => Ok(()),
    }
}

/// A text of several lines as one.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_one_line() {
        assert_eq!(one_line("a\n  b\tc\n"), "a b c");
    }
}
