//! Progress on stderr: a bar on a terminal, a line now and then otherwise.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

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
            if let Ok(style) =
                ProgressStyle::with_template("{prefix} [{wide_bar}] {pos}/{len} {msg} {elapsed}, {eta} left")
            {
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
                    let elapsed = self.started.elapsed().as_secs_f64();
                    let left = elapsed / done.max(1) as f64 * self.total.saturating_sub(done) as f64;
                    let (label, total) = (self.label, self.total);
                    eprintln!("{label} {done}/{total} {} ({elapsed:.0} s, {left:.0} s left)", message());
                }
            }
        }
    }

    /// Ends the bar and leaves one closing line.
    pub fn finish(self, message: impl std::fmt::Display) {
        if let Sink::Bar(bar) = self.sink {
            bar.finish_and_clear();
        }
        let (label, seconds) = (self.label, self.started.elapsed().as_secs_f64());
        eprintln!("{label}: {message} ({seconds:.1} s)");
    }
}
