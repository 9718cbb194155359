//! Ctrl-C, SIGTERM and SIGHUP: they ask the command to stop where it can be resumed; a second Ctrl-C ends it at once.

use std::ffi::c_int;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The command stopped because of Ctrl-C, SIGTERM or SIGHUP: exit code 130.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// From here on a signal only sets [`interrupted`]; for commands that have something to save. Those that were ignored when the
/// program started stay ignored: `nohup` does that to SIGHUP, a shell without job control to SIGINT of what it puts in the background.
pub fn watch_interrupts() -> io::Result<()> {
    let ignored = ignored();
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if ignored >> (signal - 1) & 1 == 1 {
            continue;
        }
        // Not the others: `timeout` and a terminal that closes send theirs twice.
        if signal == SIGINT {
            flag::register_conditional_shutdown(signal, c_int::from(Interrupted::CODE), &INTERRUPTED)?;
        }
        flag::register(signal, &INTERRUPTED)?;
    }
    Ok(())
}

impl Interrupted {
    /// The exit code.
    pub const CODE: u8 = 130;
}

/// The signals that this process ignores, signal n in bit n - 1; where the system does not tell (it is no Linux), none.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// True once a signal has asked to stop.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// An error once a signal has asked to stop; for work that leaves nothing to be resumed.
pub fn unless_interrupted() -> Result<(), Interrupted> {
    if interrupted() { Err(Interrupted) } else { Ok(()) }
}
