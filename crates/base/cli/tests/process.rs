//! What a command does when nobody reads it, when it is signalled, when it fails: this program runs itself as such a command.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use cli::{Internal, interrupted, print, say, unless_interrupted, watch_interrupts};

/// Names the command that is to be run.
const COMMAND: &str = "CLI_TEST_COMMAND";

fn main() -> ExitCode {
    if let Ok(name) = env::var(COMMAND) {
        return cli::run(|_: Arguments| command(&name));
    }
    results_meet_a_reader_that_went_away_or_a_full_disk();
    lines_that_nobody_reads_are_dropped();
    an_error_is_one_line_and_a_code();
    signals_ask_to_stop();
    signals_that_were_ignored_at_the_start_stay_ignored();
    ExitCode::SUCCESS
}

#[derive(clap::Parser)]
struct Arguments {}

fn command(name: &str) -> anyhow::Result<()> {
    match name {
        "results" => (0..3000).for_each(|number| print(format_args!("result {number}\n"))),
        "words" => (0..3000).for_each(|number| say(format_args!("word {number}"))),
        "fails" => anyhow::bail!("a file\nis missing"),
        "internal" => return Err(anyhow::Error::new(Internal("one is two".into())).context("while counting")),
        "panics" => panic!("at the\ndisco"),
        "worker panics" => thread::scope(|scope| {
            scope.spawn(|| panic!("below"));
        }),
        "waits" => {
            watch_interrupts()?;
            say("ready");
            let started = Instant::now();
            while !interrupted() && started.elapsed() < Duration::from_secs(1) {
                thread::sleep(Duration::from_millis(5));
            }
            unless_interrupted()?;
        }
        "hangs" => {
            watch_interrupts()?;
            say("ready");
            thread::sleep(Duration::from_secs(60));
        }
        name => anyhow::bail!("no command {name}"),
    }
    Ok(())
}

/// This program as a command, behind what a shell does before.
fn behind(shell: &str, name: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell} exec \"$0\"")]).arg(env::current_exe().unwrap()).env(COMMAND, name);
    command.env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    command
}

fn run(name: &str) -> Output {
    behind("", name).output().unwrap()
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

fn results_meet_a_reader_that_went_away_or_a_full_disk() {
    let mut child = behind("", "results").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.code() == Some(0) && output.stderr.is_empty(), "{output:?}");

    let output = behind("", "results").stdout(full()).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && errors.lines().count() == 1, "{errors}");
    assert!(errors.starts_with("error: standard output: cannot write: No space left"), "{errors}");
    let folder = tempfile::tempdir().unwrap();
    let limited = folder.path().join("results");
    let output = behind("ulimit -f 2;", "results").stdout(File::create(&limited).unwrap()).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && errors.contains("cannot write: File too large"), "{errors}");
    let mut help = Command::new(env::current_exe().unwrap());
    assert_eq!(help.arg("--help").env(COMMAND, "x").stdout(full()).output().unwrap().status.code(), Some(2));
    assert_eq!(String::from_utf8(run("results").stdout).unwrap().lines().last(), Some("result 2999"));
}

fn lines_that_nobody_reads_are_dropped() {
    for name in ["words", "fails", "panics", "worker panics"] {
        let code = run(name).status.code();
        assert_eq!(behind("", name).stderr(full()).status().unwrap().code(), code, "{name}");
        assert_eq!(behind("exec 2>&-;", name).status().unwrap().code(), code, "{name}");
        let mut child = behind("", name).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stderr.take());
        assert_eq!(child.wait().unwrap().code(), code, "{name}");
    }
}

fn an_error_is_one_line_and_a_code() {
    for (name, code, words) in [
        ("words", 0, "word 2999"),
        ("fails", 2, "error: a file is missing"),
        ("internal", 1, "error: while counting: internal: one is two; this is a bug, please report it"),
        ("panics", 1, "error: internal: at the disco at "),
        ("worker panics", 1, "error: internal: below at "),
    ] {
        let output = run(name);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{name}: {errors}");
        assert!(errors.lines().last().unwrap().starts_with(words), "{name}: {errors}");
        assert!(code == 0 || errors.lines().count() == 1, "{name}: {errors}");
    }
}

/// What comes of a command that gets signals once it is ready.
fn signalled(shell: &str, name: &str, signals: &[&str]) -> Option<i32> {
    let mut child = behind(shell, name).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    for signal in signals {
        assert!(Command::new("kill").arg(signal).arg(child.id().to_string()).status().unwrap().success());
        thread::sleep(Duration::from_millis(50));
    }
    child.wait().unwrap().code()
}

fn signals_ask_to_stop() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        assert_eq!(signalled("", "waits", &[signal]), Some(130), "{signal}");
    }
    assert_eq!(signalled("", "hangs", &["-TERM", "-TERM", "-HUP", "-INT"]), Some(130));
}

fn signals_that_were_ignored_at_the_start_stay_ignored() {
    assert_eq!(signalled("trap '' HUP;", "waits", &["-HUP", "-HUP"]), Some(0));
    assert_eq!(signalled("trap '' INT HUP;", "waits", &["-INT", "-INT", "-HUP"]), Some(0));
    assert_eq!(signalled("trap '' INT HUP;", "waits", &["-HUP", "-TERM"]), Some(130));
}
