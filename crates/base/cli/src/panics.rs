//! A panic is a bug of this program, and told like any other error: one line, exit code 1.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::streams::{one_line, say};

/// Runs `work`; a panic in it, or in a thread that it waits for, is told in one line. RUST_BACKTRACE asks for more.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    let ordinary = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if std::env::var_os("RUST_BACKTRACE").is_some() {
            ordinary(info);
        }
        tell(info);
    }));
    panic::catch_unwind(AssertUnwindSafe(work))
}

/// The first one alone: those that wait for the thread panic in their turn.
fn tell(info: &PanicHookInfo<'_>) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if TOLD.swap(true, Ordering::SeqCst) {
        return;
    }
    let what = one_line(info.payload_as_str().unwrap_or("no words"));
    let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
    say(format_args!("error: internal: {what}{place}; this is a bug, please report it"));
}
