//! What the three binaries share: arguments, exit codes, one-line errors, progress, Ctrl-C.
//!
//! Exit codes: 0 success; 2 anything the user can mend, with one line on stderr; 130 after Ctrl-C; 1 internal
//! ([`Internal`]). Results go to stdout, everything else to stderr.

mod interrupt;
mod progress;

use std::fmt;
use std::process::ExitCode;

pub use interrupt::{Interrupted, interrupted, unless_interrupted, watch_interrupts};
pub use progress::Progress;

/// An error that is the program's own fault rather than the user's: exit code 1.
#[derive(Debug)]
pub struct Internal(pub String);

impl fmt::Display for Internal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "internal: {}", self.0)
    }
}

impl std::error::Error for Internal {}

/// Parses the arguments and runs `command` on them; whatever fails becomes one line on stderr and an exit code.
pub fn run<A: clap::Parser>(command: impl FnOnce(A) -> anyhow::Result<()>) -> ExitCode {
    let arguments = match A::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if !error.use_stderr() => {
            // Help or version text on stdout; nobody is left to tell when stdout is closed.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{} (see --help)", one_line(&usage(&error)));
            return ExitCode::from(2);
        }
    };
    match command(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", one_line(&format!("{error:#}")));
            ExitCode::from(exit_code(&error))
        }
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<Interrupted>() {
        130
    } else if error.is::<Internal>() {
        1
    } else {
        2
    }
}

/// clap's message up to the usage block that follows it.
fn usage(error: &clap::Error) -> String {
    let text = error.to_string();
    text.split("\n\nUsage:").next().unwrap_or_default().replace("\n\nFor more information, try '--help'.", "")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_one_line() {
        assert_eq!(one_line("a\n  b\tc\n"), "a b c");
    }

    #[test]
    fn a_usage_error_keeps_what_was_wrong_and_drops_the_rest() {
        #[derive(clap::Parser, Debug)]
        struct Arguments {
            #[arg(long)]
            threads: usize,
        }
        let parse = |list: &[&str]| usage(&<Arguments as clap::Parser>::try_parse_from(list).unwrap_err());
        let text = one_line(&parse(&["x", "--threads", "many"]));
        assert!(text.contains("--threads") && text.contains("many") && !text.contains("Usage"), "{text}");
        let text = one_line(&parse(&["x"]));
        assert!(text.contains("--threads") && !text.contains("more information"), "{text}");
    }

    #[test]
    fn exit_codes_follow_the_kind_of_error() {
        assert_eq!(exit_code(&anyhow::anyhow!("a file is missing")), 2);
        assert_eq!(exit_code(&anyhow::Error::new(Interrupted)), 130);
        assert_eq!(exit_code(&anyhow::Error::new(Internal("x".into())).context("while training")), 1);
    }
}
