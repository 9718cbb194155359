//! Commands among other processes: signals that were ignored before, readers that go away, other commands in the same folder.
#![cfg(feature = "ffmpeg")]

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
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
    ["-HUP", "-INT", "-HUP"].iter().for_each(|name| signal(&child, name));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(bench.path("run/archive.bin").exists());
}

#[test]
fn a_training_whose_terminal_closes_leaves_a_checkpoint() {
    let bench = with_clip(100_000);
    let mut child = training(&bench, "", Stdio::null());
    // The shell and the system each send one.
    ["-HUP", "-HUP"].iter().for_each(|name| signal(&child, name));
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
fn an_output_into_a_pipe_ends_with_its_reader() {
    let bench = with_clip(2);
    bench.succeeds("train recipe.toml --out run");
    let commands = ["frames clip.mkv /dev/stdout", "encode run -o /dev/stdout", "targets clip.mkv -o /dev/fd/1"];
    for command in commands {
        // One that never reads, and one that reads a little.
        for reader in ["true", "head -c 1"] {
            let mut pipe = Command::new("bash");
            pipe.args(["-c", &format!("\"$0\" {command} | {reader} >/dev/null; exit ${{PIPESTATUS[0]}}")]);
            let output = pipe.arg(env!("CARGO_BIN_EXE_hnerv")).current_dir(bench.path(".")).output().unwrap();
            assert!(output.status.code() == Some(0) && output.stderr.is_empty(), "{command} | {reader}: {output:?}");
        }
    }
    let mut whole = bench.command("frames clip.mkv /dev/stdout");
    let frames = whole.output().unwrap().stdout;
    bench.succeeds("frames clip.mkv clip.raw");
    assert!(frames.starts_with(&bench.read("clip.raw")));
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

/// The line of a command that is refused: exit code 2, nothing on stdout.
fn refusal(bench: &Bench, arguments: &str) -> String {
    let output = bench.command(arguments).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{arguments}: {errors}");
    assert!(errors.lines().count() == 1 && errors.starts_with("error: "), "{arguments}: {errors}");
    errors
}

#[test]
fn a_second_command_in_a_run_folder_is_refused() {
    let bench = with_clip(100_000);
    bench.write("other.toml", String::from_utf8(bench.read("recipe.toml")).unwrap().replace("100000", "1"));
    bench.succeeds("train other.toml --out finished");
    fs::copy(bench.path("finished/checkpoints/best.safetensors"), bench.path("best.safetensors")).unwrap();
    let mut child = training(&bench, "", Stdio::null());
    fs::copy(bench.path("finished/report.json"), bench.path("run/report.json")).unwrap();
    bench.write("run/old.bin", "old");
    std::os::unix::fs::symlink("run/old.bin", bench.path("old.bin")).unwrap();
    // Refused before the clip is looked at: there is none.
    bench.write("nothing.mkv", "");
    std::os::unix::fs::symlink("run", bench.path("linked")).unwrap();
    for command in [
        "train recipe.toml --out run --clip nothing.mkv",
        "train recipe.toml --out run --resume --clip nothing.mkv",
        "report run",
        "report linked",
        "encode finished -o run/archive.bin",
        "encode finished -o old.bin",
        "encode best.safetensors -o linked/other.bin",
        "import best.safetensors -o run/archive.bin",
    ] {
        let line = refusal(&bench, command);
        assert!(line.contains("another process is at work") && line.contains("wait for it"), "{command}: {line}");
    }
    bench.succeeds("encode finished -o elsewhere.bin");
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    bench.succeeds("encode finished -o run/other.bin");
    bench.succeeds("report finished");
}

#[test]
fn a_run_that_cannot_be_is_refused_before_its_clip_is_looked_at() {
    let bench = with_clip(2);
    bench.succeeds("train recipe.toml --out run");
    let clip = "--clip nothing.mkv";
    bench.write("nothing.mkv", "");
    bench.write("file", "in the way");
    let refuses =
        |arguments: &str, words: &[&str]| bench.refuses(&format!("train recipe.toml {clip} {arguments}"), words);
    refuses("--out run", &["holds a run already", "--resume"]);
    refuses("--out run --resume --set training.seed=5", &["another recipe", "seed = 5"]);
    refuses("--out file/run", &["file/run", "permissions"]);
    refuses("--out new/deep/run", &["nothing.mkv"]);
    if cfg!(not(feature = "cuda")) {
        refuses("--out new --device cuda", &["--features cuda", "--device cpu"]);
    }
    fs::copy(bench.path("run/checkpoints/best.safetensors"), bench.path("run/checkpoints/last.safetensors")).unwrap();
    refuses("--out run --resume", &["last.safetensors", "moving average alone"]);
    fs::rename(bench.path("run/config.toml"), bench.path("run/lost.toml")).unwrap();
    refuses("--out run --resume", &["config.toml is absent", "put it back"]);
    assert!(!bench.path("new").exists());
}

#[test]
fn a_run_goes_on_with_the_clip_it_began_with() {
    let Some(cases) = testdata::shared("cases") else { return };
    let bench = Bench::new();
    for name in ["one", "two"] {
        fs::create_dir(bench.path(name)).unwrap();
        fs::copy(cases.join(name).join("a.mp4"), bench.path(&format!("{name}/a.mp4"))).unwrap();
    }
    let recipe = fs::read_to_string(cases.join("tiny.toml")).unwrap();
    bench.write("tiny.toml", recipe);
    let train = |arguments: &str| {
        let arguments = format!("train tiny.toml --out run --set stage.0.epochs=100000 {arguments}");
        let mut child = bench.command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("train: a (") && line.contains(", into run"), "{line}");
        signal(&child, "-INT");
        assert_eq!(child.wait().unwrap().code(), Some(130));
    };
    train("--clip one/a.mp4");
    let resume = "train tiny.toml --out run --set stage.0.epochs=100000 --resume --clip two/a.mp4";
    bench.refuses(resume, &["run was started on another clip than this a", "another --out"]);
    assert!(refusal(&bench, resume).contains("another clip"));
    // The same clip elsewhere is the same clip, and so is its target cache; the other's is another.
    fs::rename(bench.path("one/a.mp4"), bench.path("a.mp4")).unwrap();
    train("--resume --clip a.mp4");
    bench.succeeds("targets a.mp4 -o a.targets --size 64x48");
    train("--resume --clip a.targets");
    bench.succeeds("targets two/a.mp4 -o two/a.targets --size 64x48");
    bench.refuses(&resume.replace("mp4", "targets"), &["another clip than this a"]);
    // What is judged by another clip than it was trained on is judged wrongly.
    bench.succeeds("train tiny.toml --clip a.mp4 --out short");
    bench.succeeds("encode short -o x.bin --original a.targets --lambda 10");
    bench.refuses("encode short -o x.bin --original two/a.mp4 --lambda 10", &["two/a.mp4", "trained on"]);
}
