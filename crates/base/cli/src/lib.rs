//! What the binaries share: arguments, exit codes, one-line errors, progress, signals.
//!
//! Exit codes: 0 success; 2 anything the user can mend, with one line on stderr; 130 after Ctrl-C; 1 internal
//! ([`Internal`], or a panic). Results go to stdout through [`print()`], everything else to stderr through [`say`]; neither ends a
//! command because nobody reads it.
//!
//! ```
//! let mut progress = cli::Progress::new("count", 3);
//! for done in 1..=3 {
//!     cli::unless_interrupted()?;
//!     progress.set(done, || format!("{done} of 3"));
//! }
//! progress.finish("counted");
//! # Ok::<(), cli::Interrupted>(())
//! ```

mod interrupt;
mod panics;
mod progress;
mod streams;

use std::fmt;
use std::process::ExitCode;

pub use interrupt::{Interrupted, interrupted, unless_interrupted, watch_interrupts};
pub use progress::Progress;
use streams::one_line;
pub use streams::{print, say};

/// An error that is the program's own fault rather than the user's: exit code 1.
#[derive(Debug)]
pub struct Internal(pub String);

impl fmt::Display for Internal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "internal: {}; this is a bug, please report it", self.0)
    }
}

impl std::error::Error for Internal {}

/// Parses the arguments and runs `command` on them; whatever fails becomes one line on stderr and an exit code.
pub fn run<A: clap::Parser>(command: impl FnOnce(A) -> anyhow::Result<()>) -> ExitCode {
    output::survive_size_limit();
    let work = || match A::try_parse() {
        Ok(arguments) => conclude(command(arguments)),
        Err(error) if !error.use_stderr() => {
            // Help or version.
            streams::keep(error.print());
            conclude(Ok(()))
        }
        Err(error) => {
            say(format_args!("{} (see --help)", one_line(&usage(&error))));
            2
        }
    };
    panics::caught(work).unwrap_or(1).into()
}

/// The exit code of a command that came to its end; an error is told.
fn conclude(result: anyhow::Result<()>) -> u8 {
    match result.and_then(|()| streams::delivered()) {
        Ok(()) => 0,
        Err(_) if output::reader_went_away() => 0,
        Err(error) => {
            say(format_args!("error: {}", one_line(&told(&error))));
            exit_code(&error)
        }
    }
}

/// An error and its causes. Many errors hold their cause in their own text: nothing is said twice.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            text += if text.is_empty() { "" } else { ": " };
            text += &cause;
        }
    }
    text
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<Interrupted>() {
        Interrupted::CODE
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_cause_is_told_once() {
        let cause = || std::io::Error::other("disk on fire");
        assert_eq!(told(&anyhow::Error::new(cause()).context("a.bin")), "a.bin: disk on fire");
        assert_eq!(told(&anyhow::Error::new(cause()).context("a.bin: disk on fire; run")), "a.bin: disk on fire; run");
    }

    #[test]
    fn exit_codes_follow_the_kind_of_error() {
        assert_eq!(exit_code(&anyhow::anyhow!("a file is missing")), 2);
        assert_eq!(exit_code(&anyhow::Error::new(Interrupted)), 130);
        assert_eq!(exit_code(&anyhow::Error::new(Internal("x".into())).context("while training")), 1);
    }
}
