//! Commands among other processes: signals that were ignored before, readers that go away, other commands in the same folder.
#![cfg(feature = "ffmpeg")]

mod common;

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::Bench;

/// A bench with a clip of 12 frames of 64x48 and a recipe for it.
fn with_clip(epochs: usize) -> Bench {
    let bench = Bench::new();
    fs::copy(testdata::asset_of("media/video", "hevc.mkv"), bench.path("clip.mkv")).unwrap();
    let recipe = format!(
        r#"
clip = {{ path = "clip.mkv" }}
decoder = {{ latent_dim = 2, stem = {{ channels = 2, height = 24, width = 32 }}, layers = [
    {{ kind = "stage", channels = 2 }},
] }}

[[stage]]
name = "pixels"
epochs = {epochs}
loss = {{ l1 = 1.0 }}
learning_rate = 1e-2
"#
    );
    bench.write("recipe.toml", recipe);
    bench
}

/// Starts a training behind what a shell does before, and waits until its first epoch has ended.
fn training(bench: &Bench, before: &str, stderr: Stdio) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{before} exec \"$0\" train recipe.toml --out run"), env!("CARGO_BIN_EXE_hnerv")]);
    let mut child = command.current_dir(bench.path(".")).stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
    let started = Instant::now();
    while fs::metadata(bench.path("run/metrics.jsonl")).map_or(0, |file| file.len()) == 0 {
        assert!(started.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none());
        sleep(Duration::from_millis(5));
    }
    child
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").arg(name).arg(child.id().to_string()).status().unwrap().success());
}

#[test]
fn a_training_that_ignores_signals_outlives_its_terminal() {
    let bench = with_clip(200);
    let mut child = training(&bench, "trap '' INT HUP;", Stdio::null());
    ["-HUP", "-INT", "-HUP"].map(|name| signal(&child, name));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(bench.path("run/archive.bin").exists());
}

#[test]
fn a_training_whose_terminal_closes_leaves_a_checkpoint() {
    let bench = with_clip(100_000);
    let mut child = training(&bench, "", Stdio::null());
    // The shell and the system each send one.
    ["-HUP", "-HUP"].map(|name| signal(&child, name));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(bench.path("run/checkpoints/last.safetensors").exists());
}

#[test]
fn a_training_whose_words_nobody_reads_goes_on() {
    let bench = with_clip(200);
    let mut child = training(&bench, "", Stdio::piped());
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    for place in ["2>/dev/full", "2>&-"] {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec \"$0\" encode run -o out.bin {place}"), env!("CARGO_BIN_EXE_hnerv")]);
        assert!(command.current_dir(bench.path(".")).stdout(Stdio::null()).status().unwrap().success());
    }
    let refused = bench.command("encode nowhere -o x.bin").stderr(File::create("/dev/full").unwrap()).status();
    assert_eq!(refused.unwrap().code(), Some(2));
}

#[test]
fn results_that_nobody_takes_leave_whole_files() {
    let bench = with_clip(2);
    bench.succeeds("train recipe.toml --out run");
    let archive = bench.read("run/archive.bin");
    for command in ["encode run -o out.bin", "encode run -o out.bin --lambda 50 --original clip.mkv"] {
        let mut child = bench.command(command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        fs::remove_file(bench.path("out.bin")).unwrap();
        // A full disk is told; the archive is whole all the same.
        let full = bench.command(command).stdout(File::create("/dev/full").unwrap()).output().unwrap();
        let errors = String::from_utf8(full.stderr).unwrap();
        assert_eq!(full.status.code(), Some(2), "{errors}");
        assert!(errors.lines().count() == 1 && errors.contains("standard output"), "{errors}");
        assert!(bench.read("out.bin").len() <= archive.len(), "{command}");
        fs::remove_file(bench.path("out.bin")).unwrap();
    }
}
