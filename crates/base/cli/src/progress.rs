//! Progress on stderr: a bar on a terminal, a line now and then otherwise.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::streams::say;

/// Time between two lines where stderr is not a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Progress of one long job.
pub struct Progress {
    label: &'static str,
    total: u64,
    started: Instant,
    sink: Sink,
}

enum Sink {
    Bar(ProgressBar),
    Lines { last: Instant },
}

impl Progress {
    /// A job of `total` steps; `label` is a verb such as `decode`.
    pub fn new(label: &'static str, total: u64) -> Self {
        let sink = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total);
            if let Ok(style) = ProgressStyle::with_template("{prefix} [{wide_bar}] {pos}/{len} {msg}") {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_prefix(label);
            Sink::Bar(bar)
        } else {
            Sink::Lines { last: Instant::now() }
        };
        Self { label, total, started: Instant::now(), sink }
    }

    /// `done` steps are done; `message` says what else is worth knowing now.
    pub fn set(&mut self, done: u64, message: impl Fn() -> String) {
        match &mut self.sink {
            Sink::Bar(bar) => {
                bar.set_message(message());
                bar.set_position(done);
            }
            Sink::Lines { last } => {
                if last.elapsed() >= LINE_INTERVAL {
                    *last = Instant::now();
                    say(format_args!("{} {done}/{} {}", self.label, self.total, message()));
                }
            }
        }
    }

    /// A line of its own, above the bar where there is one.
    pub fn line(&self, text: &str) {
        match &self.sink {
            Sink::Bar(bar) => bar.println(text),
            Sink::Lines { .. } => say(text),
        }
    }

    /// Ends the bar and leaves one closing line.
    pub fn finish(self, message: impl std::fmt::Display) {
        if let Sink::Bar(bar) = self.sink {
            bar.finish_and_clear();
        }
        let (label, seconds) = (self.label, self.started.elapsed().as_secs_f64());
        say(format_args!("{label}: {message} ({seconds:.1} s)"));
    }
}
