//! The `score` command as scripts use it: its figures, its report, its errors.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use frames::{RawWriter, RgbFrame};
use serde_json::Value;
use tempfile::TempDir;
use video::Clip;

/// One of the tiny models that the metric's own tests use.
fn model(name: &str) -> PathBuf {
    testdata::asset_of("metric/perception", name)
}

/// Runs `score`; nothing where ONNX Runtime is not installed.
fn score(cache: &Path, arguments: &[&dyn AsRef<Path>]) -> Option<Output> {
    let library = testdata::onnxruntime()?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_score"));
    command.env("HNERV_CACHE", cache).env("ORT_DYLIB_PATH", library);
    Some(command.args(arguments.iter().map(|a| a.as_ref())).output().unwrap())
}

/// A failure with exit code 2 and one line on stderr, which is returned.
fn refusal(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    assert!(output.stdout.is_empty());
    text
}

/// Writes all frames of a clip, changed by `change`, to a `.raw` file; their number.
fn write_raw(clip: &Path, raw: &Path, change: impl Fn(usize, RgbFrame) -> Option<RgbFrame>) -> usize {
    let clip = Clip::open(clip, 0).unwrap();
    let mut writer = RawWriter::new(File::create(raw).unwrap(), clip.width(), clip.height()).unwrap();
    let mut count = 0;
    for (index, frame) in clip.enumerate() {
        if let Some(frame) = change(index, frame.unwrap()) {
            writer.write(&frame).unwrap();
            count += 1;
        }
    }
    count
}

/// A folder with a tiny clip of 5 frames, 96x64, its exact reconstruction and an archive of 100 bytes.
struct Bench {
    folder: TempDir,
}

impl Bench {
    /// Nothing, and a line on stderr, without the ffmpeg command.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let clip = folder.path().join("clip.mkv");
        let source = "testsrc2=size=96x64:rate=20";
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", source, "-frames:v", "5", "-pix_fmt", "yuv420p"])
            .args(["-c:v", "libx265", "-x265-params", "log-level=error"])
            .arg(&clip)
            .status();
        if !made.is_ok_and(|status| status.success()) {
            testdata::skip(testdata::Need::System, "no ffmpeg command that encodes HEVC");
            return None;
        }
        assert_eq!(write_raw(&clip, &folder.path().join("out.raw"), |_, frame| Some(frame)), 5);
        fs::write(folder.path().join("archive.bin"), [0; 100]).unwrap();
        Some(Self { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `score` on the bench's files, some replaced or added through `changes`: flag and value.
    fn run(&self, changes: &[(&str, PathBuf)]) -> Option<Output> {
        let mut arguments = vec![
            ("--segnet", model("segnet.onnx")),
            ("--posenet", model("posenet.onnx")),
            ("--original", self.path("clip.mkv")),
            ("--inflated", self.path("out.raw")),
            ("--archive", self.path("archive.bin")),
        ];
        for (flag, value) in changes {
            arguments.retain(|(other, _)| other != flag);
            arguments.push((flag, value.clone()));
        }
        let flat: Vec<&dyn AsRef<Path>> =
            arguments.iter().flat_map(|(flag, value)| [flag as &dyn AsRef<Path>, value]).collect();
        score(&self.path("cache"), &flat)
    }

    fn refusal(&self, flag: &str, value: PathBuf) -> Option<String> {
        self.run(&[(flag, value)]).map(|output| refusal(&output))
    }
}

#[test]
fn golden_scores() {
    let (Some(clips), Some(evaluators)) = (testdata::shared("clips"), testdata::shared("evaluators")) else { return };
    let Some(golden) = testdata::shared("golden/scores.json") else { return };
    let golden: Value = serde_json::from_slice(&fs::read(golden).unwrap()).unwrap();
    let golden = &golden["road-crf35"];
    let folder = tempfile::tempdir().unwrap();
    let (raw, json) = (folder.path().join("road.raw"), folder.path().join("new/folder/report.json"));
    write_raw(&clips.join("road-crf35.mkv"), &raw, |_, frame| Some(frame));
    let run = || {
        score(
            folder.path(),
            &[
                &"--segnet",
                &evaluators.join("segnet-road.onnx"),
                &"--posenet",
                &evaluators.join("posenet-road.onnx"),
                &"--original",
                &clips.join("road.mkv"),
                &"--inflated",
                &raw,
                &"--archive",
                &clips.join("road-crf35.mkv"),
                &"--json",
                &json,
            ],
        )
    };
    let Some(first) = run() else { return };
    let text = String::from_utf8(first.stdout).unwrap();
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    assert!(text.starts_with("=== Evaluation results over 110 samples ===\n"), "{text}");
    let report = fs::read(&json).unwrap();
    let parsed: Value = serde_json::from_slice(&report).unwrap();
    let figure = |value: &Value, key: &str| value[key].as_f64().unwrap();
    for key in ["segnet_distortion", "posenet_distortion"] {
        let (found, expected) = (figure(&parsed, key), figure(golden, key));
        assert!((found / expected - 1.0).abs() < 1e-3, "{key}: {found}, golden {expected}");
    }
    for key in ["archive_bytes", "original_bytes", "rate", "samples"] {
        assert_eq!(parsed[key], golden[key], "{key}");
    }
    let (found, expected) = (figure(&parsed, "score"), figure(golden, "score"));
    assert!((found - expected).abs() < 1e-4, "score {found}, golden {expected}");

    // Once more, the original's outputs now from the cache.
    let second = run().unwrap();
    assert!(second.status.success());
    assert_eq!(String::from_utf8(second.stdout).unwrap(), text);
    assert_eq!(fs::read(&json).unwrap(), report);
}

#[test]
fn an_exact_reconstruction_costs_its_rate_alone() {
    let Some(bench) = Bench::new() else { return };
    let json = bench.path("report.json");
    let Some(output) = bench.run(&[("--json", json.clone())]) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    let size = fs::metadata(bench.path("clip.mkv")).unwrap().len();
    assert_eq!(report["segnet_distortion"], 0.0);
    assert_eq!(report["posenet_distortion"], 0.0);
    assert_eq!(report["samples"], 2);
    assert_eq!(report["original_bytes"], size);
    assert_eq!(report["score"].as_f64(), Some(25.0 * (100.0 / size as f64)));
    assert!(report["psnr"].is_null());
}

#[test]
fn an_odd_last_frame_may_be_missing_and_pairs_are_taken_in_order() {
    let Some(bench) = Bench::new() else { return };
    let (short, grey) = (bench.path("short.raw"), bench.path("grey.raw"));
    write_raw(&bench.path("clip.mkv"), &short, |index, frame| (index < 4).then_some(frame));
    write_raw(&bench.path("clip.mkv"), &grey, |_, frame| {
        Some(RgbFrame::new(frame.width(), frame.height(), vec![128; frame.data().len()]).unwrap())
    });
    let Some(whole) = bench.run(&[]) else { return };
    assert_eq!(bench.run(&[("--inflated", short.clone())]).unwrap().stdout, whole.stdout);
    let second = ("--original", bench.path("clip.mkv"));
    let clip = bench.path("clip.mkv");
    let two = |first: &Path, last: &Path| {
        let output = score(
            &bench.path("cache"),
            &[
                &"--segnet",
                &model("segnet.onnx"),
                &"--posenet",
                &model("posenet.onnx"),
                &second.0,
                &clip,
                &"--inflated",
                &first,
                &second.0,
                &clip,
                &"--inflated",
                &last,
                &"--archive",
                &bench.path("archive.bin"),
            ],
        );
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let report = two(&short, &grey);
    assert!(report.contains("over 4 samples") && !report.contains("PSNR: infinite"), "{report}");
    assert_eq!(report, two(&grey, &short));
}

#[test]
fn reconstructions_that_do_not_match_are_refused() {
    let Some(bench) = Bench::new() else { return };
    let raw = bench.path("wrong.raw");
    let frame = 3 * 96 * 64;
    let refused = |length: usize| {
        fs::write(&raw, vec![0; length]).unwrap();
        bench.refusal("--inflated", raw.clone())
    };
    let Some(message) = refused(5 * frame - 1) else { return };
    assert!(message.contains("wrong.raw") && message.contains("no whole number of 96x64"), "{message}");
    assert!(refused(3 * frame).unwrap().contains("has 3 frames"));
    assert!(refused(6 * frame).unwrap().contains("clip.mkv has 5"));
    assert!(refused(0).unwrap().contains("has 0 frames"));
    assert!(bench.refusal("--inflated", bench.path("absent.raw")).unwrap().contains("absent.raw"));
    assert!(bench.refusal("--inflated", bench.path("")).unwrap().contains("not a regular file"));
}

#[test]
fn inputs_that_are_not_what_they_should_be_are_refused_and_no_report_is_left() {
    let Some(bench) = Bench::new() else { return };
    let Some(message) = bench.refusal("--original", bench.path("archive.bin")) else { return };
    assert!(message.contains("archive.bin: not a video"), "{message}");
    assert!(bench.refusal("--original", bench.path("absent.mkv")).unwrap().contains("absent.mkv"));
    assert!(bench.refusal("--archive", bench.path("absent.bin")).unwrap().contains("absent.bin: cannot read"));
    assert!(bench.refusal("--archive", bench.path("")).unwrap().contains("not a regular file"));
    for (flag, name, word) in [
        ("--segnet", "posenet.onnx", "SegNet needs"),
        ("--segnet", "segnet-half-size.onnx", "SegNet needs"),
        ("--segnet", "segnet-unknown-half-size.onnx", "needed is"),
        ("--posenet", "posenet-five-values.onnx", "PoseNet needs"),
        ("--posenet", "make.py", "not an ONNX model"),
        ("--posenet", "absent.onnx", "cannot read"),
    ] {
        let json = bench.path("report.json");
        let output = bench.run(&[(flag, model(name)), ("--json", json.clone())]).unwrap();
        let message = refusal(&output);
        assert!(message.contains(name) && message.contains(word), "{message}");
        assert!(!json.exists());
    }
}

#[test]
fn a_missing_library_is_said_with_the_command_that_mends_it() {
    let Some(bench) = Bench::new() else { return };
    let output = Command::new(env!("CARGO_BIN_EXE_score"))
        .env("ORT_DYLIB_PATH", bench.path("libonnxruntime.so"))
        .args(["--segnet".as_ref(), model("segnet.onnx").as_os_str()])
        .args(["--posenet".as_ref(), model("posenet.onnx").as_os_str()])
        .args(["--original".as_ref(), bench.path("clip.mkv").as_os_str()])
        .args(["--inflated".as_ref(), bench.path("out.raw").as_os_str()])
        .args(["--archive".as_ref(), bench.path("archive.bin").as_os_str()])
        .output()
        .unwrap();
    let message = refusal(&output);
    assert!(message.contains("libonnxruntime.so") && message.contains("scripts/setup"), "{message}");
}

#[test]
fn one_track_of_several_is_scored_and_remembered_apart() {
    let Some(bench) = Bench::new() else { return };
    let clip = testdata::asset_of("media/video", "tracks.mp4");
    let alone = testdata::asset_of("media/video", "hevc.mkv");
    let (first, second) = (bench.path("first.raw"), bench.path("second.raw"));
    write_raw(&clip, &first, |_, frame| Some(frame));
    write_raw(&alone, &second, |_, frame| Some(frame));
    let samples = |raw: &PathBuf, track: Option<&str>| {
        let mut changes = vec![("--original", clip.clone()), ("--inflated", raw.clone())];
        changes.extend(track.map(|track| ("--track", PathBuf::from(track))));
        changes.push(("--json", bench.path("report.json")));
        let output = bench.run(&changes)?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&fs::read(bench.path("report.json")).unwrap()).unwrap();
        assert_eq!((&report["segnet_distortion"], &report["posenet_distortion"]), (&0.0.into(), &0.0.into()));
        report["samples"].as_u64()
    };
    let Some(found) = samples(&first, None) else { return };
    assert_eq!((found, samples(&second, Some("1")), samples(&first, Some("0"))), (1, Some(6), Some(1)));

    let changes =
        |track: &str| [("--original", clip.clone()), ("--inflated", first.clone()), ("--track", track.into())];
    assert!(refusal(&bench.run(&changes("2")).unwrap()).contains("--track 0 to 1"));
    let line = refusal(&bench.run(&changes("1")).unwrap());
    assert!(line.contains("first.raw"), "{line}");
    let two = bench.path("clip.mkv");
    let command =
        ["--segnet", "--posenet", "--archive", "--original", "--inflated", "--original", "--inflated", "--track"];
    let values =
        [model("segnet.onnx"), model("posenet.onnx"), two.clone(), two.clone(), first.clone(), two, first, "0".into()];
    let arguments: Vec<&dyn AsRef<Path>> =
        command.iter().zip(&values).flat_map(|(flag, value)| [flag as &dyn AsRef<Path>, value]).collect();
    assert!(refusal(&score(&bench.path("cache"), &arguments).unwrap()).contains("2 --original but 1 --track"));
}

#[test]
fn arguments_must_come_in_pairs() {
    let Some(bench) = Bench::new() else { return };
    let output = Command::new(env!("CARGO_BIN_EXE_score"))
        .args(["--segnet", "s", "--posenet", "p", "--archive", "a", "--original", "x", "--original", "y"])
        .args(["--inflated".as_ref(), bench.path("out.raw").as_os_str()])
        .output()
        .unwrap();
    assert!(refusal(&output).contains("2 --original but 1 --inflated"));
    let output = Command::new(env!("CARGO_BIN_EXE_score")).args(["--segnet", "s"]).output().unwrap();
    assert!(refusal(&output).contains("--posenet"));
}

#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    let Some(bench) = Bench::new() else { return };
    let Some(output) = bench.run(&[("--json", "/dev/full".into())]) else { return };
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.trim_end().lines().last().unwrap().contains("/dev/full"), "{text}");
    assert!(bench.refusal("--json", bench.path("clip.mkv/report.json")).unwrap().contains("clip.mkv"));
}

#[test]
fn an_input_is_not_overwritten_by_the_report() {
    let Some(bench) = Bench::new() else { return };
    std::os::unix::fs::symlink("out.raw", bench.path("link.json")).unwrap();
    fs::hard_link(bench.path("archive.bin"), bench.path("hard.json")).unwrap();
    for name in ["clip.mkv", "out.raw", "archive.bin", "link.json", "hard.json"] {
        let before = fs::read(bench.path(name)).unwrap();
        let Some(text) = bench.refusal("--json", bench.path(name)) else { return };
        assert!(text.contains(name) && text.contains("would overwrite the input"), "{text}");
        assert!(fs::read(bench.path(name)).unwrap() == before);
    }
}

#[test]
fn a_report_that_nobody_takes_is_in_its_file_all_the_same() {
    let (Some(bench), Some(library)) = (Bench::new(), testdata::onnxruntime()) else { return };
    let mut command = Command::new(env!("CARGO_BIN_EXE_score"));
    command.env("HNERV_CACHE", bench.path("cache")).env("ORT_DYLIB_PATH", library);
    command.arg("--segnet").arg(model("segnet.onnx")).arg("--posenet").arg(model("posenet.onnx"));
    command.arg("--original").arg(bench.path("clip.mkv")).arg("--inflated").arg(bench.path("out.raw"));
    command.arg("--archive").arg(bench.path("archive.bin")).arg("--json").arg(bench.path("out.json"));
    let output = command.stdout(File::options().write(true).open("/dev/full").unwrap()).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && errors.contains("error: standard output"), "{errors}");
    assert!(fs::read_to_string(bench.path("out.json")).unwrap().contains("score"));
}
