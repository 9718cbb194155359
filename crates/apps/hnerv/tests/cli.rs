//! The `hnerv` command as people and scripts use it: the whole way on a tiny clip, Ctrl-C, and every input that is refused:
//! exit code 2, one line, nothing half-written.
#![cfg(feature = "ffmpeg")]

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::Bench;
use serde_json::Value;

/// 12 frames of 64x48, represented in a blink; `EPOCHS` is put in.
const RECIPE: &str = r#"
[clip]
path = "clip.mkv"

[decoder]
latent_dim = 4
stem = { channels = 4, height = 6, width = 8 }
layers = [
    { kind = "stage", channels = 4 },
    { kind = "stage", channels = 4 },
    { kind = "stage", channels = 4 },
    { kind = "refine", hidden = 2 },
]

[training]
batch = 2
ema = 0.9

[[stage]]
name = "pixels"
epochs = EPOCHS
loss = { l1 = 1.0 }
learning_rate = 1e-2
"#;

/// One of the clips that the decoding of clips is tested with.
fn clip(name: &str) -> PathBuf {
    testdata::asset_of("media/video", name)
}

/// A bench with a clip and a recipe for it.
fn with_clip(epochs: usize) -> Bench {
    let bench = Bench::new();
    fs::copy(clip("hevc.mkv"), bench.path("clip.mkv")).unwrap();
    bench.write("recipe.toml", RECIPE.replace("EPOCHS", &epochs.to_string()));
    bench
}

/// A bench whose folder `run` holds a finished run.
fn trained() -> Bench {
    let bench = with_clip(3);
    bench.succeeds("train recipe.toml --out run");
    bench
}

#[test]
fn a_clip_becomes_an_archive() {
    let bench = trained();
    let bytes = bench.read("run/archive.bin");
    for name in ["config.toml", "checkpoints/last.safetensors", "checkpoints/best.safetensors", "report.html"] {
        assert!(!bench.read(&format!("run/{name}")).is_empty(), "{name}");
    }
    assert_eq!(String::from_utf8(bench.read("run/metrics.jsonl")).unwrap().lines().count(), 3);
    let report: Value = serde_json::from_slice(&bench.read("run/report.json")).unwrap();
    assert_eq!(report["archive_bytes"], bytes.len());
    assert!(report["psnr"].is_number() && report["mean_frame_psnr"].is_number());

    for source in ["run", "run/checkpoints/best.safetensors"] {
        let budget = bench.succeeds(&format!("encode {source} -o again/archive.bin"));
        assert_eq!(bench.read("again/archive.bin"), bytes, "{source}");
        assert!(budget.contains(&format!(" {}\n", bytes.len())), "{budget}");
    }
    assert!(bench.succeeds("inspect run/archive.bin").contains("12 frames of 64x48"));
    let budget: Value = serde_json::from_str(&bench.succeeds("inspect run/archive.bin --json")).unwrap();
    assert_eq!(budget["clip"]["name"], "clip");
    let shares = budget["budget"]["shares"].as_array().unwrap();
    let sum = |key: &str| shares.iter().map(|row| row[key].as_f64().unwrap()).sum::<f64>();
    assert!((sum("bytes") - bytes.len() as f64).abs() < 1e-6 && (sum("share") - 1.0).abs() < 1e-9, "{shares:?}");
    let stem = shares.iter().find(|row| row["name"] == "stem.weight").unwrap();
    let bits = 8.0 * stem["bytes"].as_f64().unwrap() / stem["values"].as_f64().unwrap();
    assert_eq!(stem["bits_per_value"].as_f64(), Some(bits));
    assert!(stem["entropy_bytes"].as_f64().unwrap() > 0.0 && stem["bits"] == 8, "{stem}");
    bench.succeeds("encode run -o small.bin --bits 4");
    assert!(bench.read("small.bin").len() < bytes.len());

    bench.succeeds("frames clip.mkv clip.raw");
    assert_eq!(bench.read("clip.raw").len(), 12 * 64 * 48 * 3);
}

#[test]
fn bytes_are_weighed_against_distortion() {
    let bench = trained();
    let plain = bench.read("run/archive.bin").len();
    let curve = bench.succeeds("encode run -o rd.bin --lambda 50");
    assert!(bench.read("rd.bin").len() < plain * 3 / 4, "{curve}");
    assert!(curve.starts_with(&format!("plain: {plain} bytes")) && curve.contains("lambda 50.00000: "), "{curve}");
    bench.succeeds(&format!("encode run -o target.bin --original clip.mkv --target-bytes {}", plain * 3 / 4));
    assert!(bench.read("target.bin").len() <= plain * 3 / 4);

    let output = bench.command("encode run -o x.bin --target-bytes 20").output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && errors.lines().count() == 1, "{errors}");
    assert!(errors.starts_with("error: 20 bytes cannot be reached") && !bench.path("x.bin").exists(), "{errors}");
    for (arguments, words) in [
        ("--lambda 0", ["--lambda", "positive"]),
        ("--lambda nan", ["--lambda", "positive"]),
        ("--lambda 1 --bits 6", ["--lambda", "--bits"]),
        ("--lambda 1 --target-bytes 900", ["--lambda", "--target-bytes"]),
        ("--lambda 1 --sidecar", ["--original", "required"]),
        ("--sidecar --original clip.mkv", ["--segnet", "--lambda"]),
        ("--segnet s.onnx --original clip.mkv", ["--posenet", "required"]),
        ("--segnet s.onnx --posenet p.onnx", ["--original", "required"]),
        ("--lambda 1 --original nowhere.mkv", ["nowhere.mkv", ""]),
        ("--lambda 1 --original recipe.toml", ["recipe.toml", ""]),
        ("--lambda 1 --sidecar --original clip.mkv --sidecar-passes 0", ["--sidecar-passes", "1"]),
        ("--sidecar-passes 3", ["--sidecar", "required"]),
        ("--search", ["--segnet", "required"]),
        ("--search --sidecar --segnet s.onnx --posenet p.onnx --original clip.mkv", ["--search", "--sidecar"]),
        ("--minutes 3", ["--search", "required"]),
        ("--search --minutes 0 --segnet s.onnx --posenet p.onnx --original clip.mkv", ["--minutes", "positive"]),
    ] {
        bench.refuses(&format!("encode run -o x.bin {arguments}"), &words);
    }
    fs::copy(clip("av1-odd.mkv"), bench.path("other.mkv")).unwrap();
    bench.refuses("encode run -o x.bin --lambda 1 --original other.mkv", &["other.mkv", "12", "trained on"]);
}

#[test]
fn a_sidecar_search_that_was_interrupted_goes_on() {
    let bench = trained();
    let search = |output: &str, passes: usize| {
        format!("encode run -o {output} --lambda 0.5 --sidecar --original clip.mkv --sidecar-passes {passes}")
    };
    let mut child = bench.command(&search("broken.bin", 100)).stdout(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while !bench.path("broken.bin.search").exists() {
        assert!(started.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!bench.path("broken.bin").exists());

    // Another search neither takes the state for its own nor destroys it.
    bench.refuses(&search("broken.bin", 99), &["broken.bin.search", "repeat its command"]);
    let output = bench.command(&search("broken.bin", 100)).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && errors.contains("search: goes on behind step"), "{errors}");
    let report = bench.succeeds(&search("whole.bin", 100));
    assert!(report.contains("PSNR"), "{report}");
    assert_eq!(bench.read("broken.bin"), bench.read("whole.bin"));
    assert!(!bench.path("broken.bin.search").exists() && !bench.path("whole.bin.search").exists());

    bench.write("damaged.bin.search", "no state");
    bench.refuses(&search("damaged.bin", 1), &["damaged.bin.search", "remove it"]);
}

#[test]
fn a_search_on_the_score_takes_its_time_and_goes_on() {
    let Some(library) = testdata::onnxruntime() else { return };
    let bench = with_clip(1);
    for name in ["segnet.onnx", "posenet.onnx"] {
        fs::copy(testdata::asset_of("metric/perception", name), bench.path(name)).unwrap();
    }
    let command = |arguments: &str| {
        let mut command = bench.command(&format!("{arguments} --segnet segnet.onnx --posenet posenet.onnx"));
        command.env("ORT_DYLIB_PATH", &library);
        command
    };
    let stem = "stem = { channels = 2, height = 384, width = 512, classes = 4 }\nlayers = []\n";
    let (before, after) = (RECIPE.find("stem").unwrap(), RECIPE.find("[training]").unwrap());
    let kind = "[representation]\nkind = \"semantic\"\n".to_string();
    let semantic = kind + &[&RECIPE[..before], stem, &RECIPE[after..]].concat().replace("EPOCHS", "1");
    bench.write("semantic.toml", semantic);
    for recipe in ["semantic", "recipe"] {
        bench.succeeds_command(command(&format!("train {recipe}.toml --out {recipe}")));
        let search = |minutes: &str| {
            command(&format!("encode {recipe} -o {recipe}.bin --original clip.mkv --search --minutes {minutes}"))
        };
        let mut child = search("30").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (kept, started) = (format!("{recipe}.bin.search"), Instant::now());
        while !bench.path(&kept).exists() {
            assert!(started.elapsed() < Duration::from_secs(120) && child.try_wait().unwrap().is_none());
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130));

        let output = search("0.05").output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && errors.contains("search: goes on behind step"), "{errors}");
        assert!(!bench.path(&kept).exists());
        // Not worse than what the run left.
        let report: Value = serde_json::from_slice(&bench.read(&format!("{recipe}/report.json"))).unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let found = text.split("score ").last().unwrap().split(',').next().unwrap().parse::<f64>().unwrap();
        assert!(found <= report["score"].as_f64().unwrap() + 1e-4, "{report}: {text}");
    }
}

#[test]
fn a_public_archive_is_taken_over() {
    let Some(foreign) = testdata::shared("archives/hnerv-muon-public.bin") else { return };
    let bench = with_clip(1);
    fs::copy(&foreign, bench.path("foreign.bin")).unwrap();
    assert!(bench.succeeds("import foreign.bin -o ours.bin --name road").contains("178529 bytes before"));
    assert!(bench.succeeds("inspect ours.bin").contains("road: 1200 frames of 1164x874"));
    bench.refuses("import foreign.bin -o /dev/full", &["/dev/full", "space"]);
}

#[test]
fn a_target_cache_stands_for_its_clip() {
    let bench = trained();
    bench.succeeds("targets clip.mkv -o clip.targets --size 64x48");
    bench.succeeds("train recipe.toml --clip clip.targets --out cached");
    assert_eq!(bench.read("cached/archive.bin"), bench.read("run/archive.bin"));

    bench.succeeds("targets clip.mkv -o large.targets");
    bench.refuses("train recipe.toml --clip large.targets", &["large.targets", "512x384", "--size 64x48"]);
    let bytes = bench.read("clip.targets");
    bench.write("cut.targets", &bytes[..bytes.len() - 1]);
    bench.refuses("train recipe.toml --clip cut.targets", &["cut.targets", "hnerv targets"]);
}

#[test]
fn ctrl_c_leaves_a_checkpoint_and_resume_ends_where_an_undisturbed_run_does() {
    let bench = with_clip(1000);
    let mut command = bench.command("train recipe.toml --out broken");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while fs::metadata(bench.path("broken/metrics.jsonl")).map_or(0, |file| file.len()) == 0 {
        assert!(started.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{errors}");
    assert!(errors.contains("--resume"), "{errors}");
    assert!(bench.path("broken/checkpoints/last.safetensors").exists());
    assert!(!bench.path("broken/archive.bin").exists());

    bench.refuses("train recipe.toml --out broken", &["broken", "--resume"]);
    bench.refuses("train recipe.toml --out broken --resume --set training.seed=2", &["another recipe", "seed = 2"]);
    bench.succeeds("train recipe.toml --out broken --resume");
    bench.succeeds("train recipe.toml --out whole");
    assert_eq!(bench.read("broken/archive.bin"), bench.read("whole/archive.bin"));
}

#[test]
fn the_challenge_clip_is_asked_for() {
    let bench = with_clip(1);
    fs::create_dir(bench.path("configs")).unwrap();
    fs::copy(testdata::root().join("configs/base.toml"), bench.path("configs/base.toml")).unwrap();
    let words = ["videos/0.mkv", "37,545,489 bytes", "github.com/commaai/comma_video_compression_challenge", "--clip"];
    bench.refuses("train configs/base.toml", &words);
    bench.refuses("train recipe.toml --clip nowhere.mkv", &["nowhere.mkv", "--clip"]);
}

/// What flags give counts before the recipe is checked.
#[test]
fn evaluators_may_come_from_flags_alone() {
    let bench = with_clip(1);
    let asking = RECIPE.replace("EPOCHS", "1").replace("{ l1 = 1.0 }", "{ pose = 1.0 }");
    bench.write("asking.toml", asking);
    bench.refuses("train asking.toml", &["asking.toml", "evaluators"]);
    let given = "train asking.toml --segnet absent.onnx --posenet absent.onnx";
    bench.refuses(given, &["the evaluator absent.onnx is absent", "--segnet"]);
}

#[test]
fn a_recipe_s_mistakes_are_named() {
    let bench = with_clip(1);
    let change = |from: &str, to: &str, words: &[&str]| {
        bench.write("wrong.toml", RECIPE.replace("EPOCHS", "1").replace(from, to));
        bench.refuses("train wrong.toml", &[&["wrong.toml"], words].concat());
    };
    change("learning_rate", "learning_rat", &["line 23", "`learning_rat`", "did you mean `learning_rate`"]);
    change("batch = 2", "batch = \"two\"", &["line 16", "invalid type", "two"]);
    change("kind = \"refine\"", "kind = \"refined\"", &["`refine`"]);
    change("channels = 4, height", "channels = 0, height", &["stem"]);
    change("hidden = 2", "hidden = 1000000", &["layers[3].hidden", "1000000"]);
    change("{ kind = \"stage\", channels = 4 }", "{ kind = \"stage\", channels = 4, upscale = 64 }", &["layers[0]"]);
    change("[decoder]", "[decoder", &["line 5"]);
    let recipe = RECIPE.replace("EPOCHS", "1");
    let utf16: Vec<u8> = recipe.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for text in [
        [&[0xff, 0xfe], &utf16[..]].concat(),
        utf16,
        recipe.replace("pixels", "\u{e9}").chars().map(|c| c as u8).collect(),
    ] {
        bench.write("wrong.toml", text);
        bench.refuses("train wrong.toml", &["wrong.toml"]);
    }
    bench.write("wrong.toml", [0xff, 0xfe, 0x00]);
    bench.refuses("train wrong.toml", &["wrong.toml: not UTF-8 text", "save it as UTF-8"]);
    bench.refuses("train /dev/zero", &["/dev/zero", "larger than any recipe"]);
    bench.write("marked.toml", format!("\u{feff}{recipe}"));
    bench.succeeds("train marked.toml --out marked");
    let mut absent = bench.command("train nowhere.toml");
    let errors = String::from_utf8(absent.output().unwrap().stderr).unwrap();
    assert_eq!(errors.matches("No such file").count(), 1, "a cause is said once: {errors}");
    bench.refuses("train nowhere.toml", &["nowhere.toml", "check the path"]);
    bench.refuses("train .", &["."]);
    bench.refuses("train recipe.toml --set stage.0.epoch=2", &["`epoch`", "`epochs`"]);
    bench.refuses("train recipe.toml --set stage.0.epochs=0", &["stage.0.epochs", "1 to"]);
    bench.refuses("train recipe.toml --set epochs", &["key=value"]);
}

#[test]
fn clips_that_cannot_be_decoded_are_refused() {
    let bench = with_clip(1);
    let whole = bench.read("clip.mkv");
    bench.write("text.mkv", "this is no video\n");
    bench.write("empty.mkv", "");
    bench.write("cut.mkv", &whole[..whole.len() * 2 / 3]);
    for name in ["audio.mkv", "ten-bit.mkv", "yuv444.mp4", "size-change.hevc", "too-wide.mkv"] {
        fs::copy(clip(name), bench.path(name)).unwrap();
    }
    let clips = [
        ("text.mkv", ""),
        ("empty.mkv", ""),
        ("cut.mkv", ""),
        ("nowhere.mkv", ""),
        (".", ""),
        ("audio.mkv", "video"),
        ("ten-bit.mkv", "yuv420p10"),
        ("yuv444.mp4", "yuv444p"),
        ("size-change.hevc", "96x64"),
        ("too-wide.mkv", "8194"),
    ];
    for (clip, word) in clips {
        bench.refuses(&format!("frames {clip} out.raw"), &[clip, word]);
        bench.refuses(&format!("targets {clip} -o out.targets"), &[clip, word]);
        bench.refuses(&format!("train recipe.toml --clip {clip} --out run"), &[clip, word]);
    }
}

#[test]
fn outputs_that_cannot_be_written_leave_nothing() {
    let bench = trained();
    bench.write("file", "in the way");
    for command in ["frames clip.mkv", "targets clip.mkv -o", "encode run -o"] {
        bench.refuses(&format!("{command} /dev/full"), &["/dev/full", "space"]);
        bench.refuses(&format!("{command} file/out"), &["file"]);
        bench.refuses(&format!("{command} run"), &["run", "folder"]);
    }
    bench.refuses("train recipe.toml --out file", &["file"]);
    bench.refuses("train recipe.toml --out file/run", &["file"]);
    assert_eq!(bench.read("file"), b"in the way");

    let mut inspect = bench.command("inspect run/archive.bin");
    inspect.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
    bench.refuses_command(inspect, &["standard output"]);

    // No file may grow beyond 1 KiB, as on a full disk.
    let limited = |arguments: &str| {
        let mut command = Command::new("sh");
        command.current_dir(bench.path("."));
        command.args(["-c", "ulimit -f 2; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_hnerv")]).args(arguments.split(' '));
        command
    };
    for command in ["frames clip.mkv out.raw", "targets clip.mkv -o out.targets", "encode run -o out.bin"] {
        bench.refuses_command(limited(command), &["out.", "ulimit"]);
    }
    let mut train = limited("train recipe.toml --out full");
    let errors = String::from_utf8(train.output().unwrap().stderr).unwrap();
    assert!(errors.lines().last().unwrap().starts_with("error: full/"), "{errors}");
    let kept = fs::read_dir(bench.path("full/checkpoints")).map_or(0, Iterator::count);
    assert_eq!((kept, bench.path("full/archive.bin").exists()), (0, false));
}

#[test]
fn an_input_is_not_overwritten() {
    let bench = trained();
    let segnet = testdata::asset_of("metric/perception", "segnet.onnx");
    fs::copy(&segnet, bench.path("s.onnx")).unwrap();
    std::os::unix::fs::symlink("clip.mkv", bench.path("link.mkv")).unwrap();
    fs::hard_link(bench.path("clip.mkv"), bench.path("hard.mkv")).unwrap();
    std::os::unix::fs::symlink("run", bench.path("linked")).unwrap();
    for output in ["clip.mkv", "./clip.mkv", "link.mkv", "hard.mkv", "run/../clip.mkv"] {
        let words = [output, "would overwrite the input clip.mkv"];
        bench.refuses(&format!("frames clip.mkv {output}"), &words);
        bench.refuses(&format!("targets clip.mkv -o {output} --size 64x48"), &words);
        bench.refuses(&format!("encode run --original clip.mkv -o {output}"), &words);
        bench.refuses(&format!("import clip.mkv -o {output}"), &words);
    }
    bench.refuses("targets clip.mkv -o s.onnx --segnet s.onnx --posenet s.onnx", &["s.onnx", "would overwrite"]);
    let encode = |output: &str| format!("encode run --original clip.mkv --segnet s.onnx --posenet s.onnx -o {output}");
    for output in [
        "s.onnx",
        "run/config.toml",
        "run/metrics.jsonl",
        "linked/checkpoints/last.safetensors",
        "run/checkpoints/best.safetensors",
    ] {
        bench.refuses(&encode(output), &[output, "would overwrite the input"]);
    }
    bench.refuses("encode run/checkpoints/last.safetensors -o linked/checkpoints/last.safetensors", &["overwrite"]);
    bench.succeeds("encode run -o run/archive.bin");
    fs::create_dir(bench.path("other")).unwrap();
    std::os::unix::fs::symlink("../clip.mkv", bench.path("other/archive.bin")).unwrap();
    bench.refuses("train recipe.toml --out other", &["other/archive.bin", "would overwrite the input"]);
    let report = bench.path("run/report.html");
    fs::remove_file(&report).unwrap();
    std::os::unix::fs::symlink("report.json", &report).unwrap();
    bench.refuses("report run", &["report.html", "would overwrite the input run/report.json"]);
}

#[test]
fn what_is_no_archive_or_checkpoint_is_refused() {
    let bench = trained();
    let archive = bench.read("run/archive.bin");
    for cut in [0, 1, 8, archive.len() / 2, archive.len() - 1] {
        bench.write("wrong.bin", &archive[..cut]);
        bench.refuses("inspect wrong.bin", &["wrong.bin"]);
    }
    for bit in (0..archive.len() * 8).step_by(archive.len() * 8 / 20) {
        let mut flipped = archive.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        bench.write("wrong.bin", flipped);
        bench.refuses("inspect wrong.bin --json", &["wrong.bin"]);
    }
    for path in ["recipe.toml", "clip.mkv", "nowhere.bin", "run", "/dev/null"] {
        bench.refuses(&format!("inspect {path}"), &[path]);
    }

    let checkpoint = bench.read("run/checkpoints/best.safetensors");
    bench.write("cut.safetensors", &checkpoint[..checkpoint.len() / 2]);
    fs::create_dir(bench.path("hollow")).unwrap();
    for path in ["cut.safetensors", "run/archive.bin", "recipe.toml", "nowhere.safetensors", "hollow"] {
        bench.refuses(&format!("encode {path} -o out.bin"), &[path]);
        bench.refuses(&format!("import {path} -o out.bin"), &[path]);
    }
    fs::write(bench.path("run/checkpoints/last.safetensors"), &checkpoint[..100]).unwrap();
    bench.refuses("train recipe.toml --out run --resume", &["last.safetensors"]);
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let bench = trained();
    bench.refuses("transcode clip.mkv", &["transcode", "--help"]);
    bench.refuses("train", &["CONFIG"]);
    bench.refuses("train recipe.toml --device abacus", &["abacus"]);
    bench.refuses("train recipe.toml --threads 0", &["--threads"]);
    bench.refuses("targets clip.mkv -o out.targets --size 0x4", &["--size"]);
    bench.refuses("targets clip.mkv -o out.targets --segnet s.onnx", &["--posenet"]);
    bench.refuses("targets clip.mkv -o out.targets --segnet clip.mkv --posenet clip.mkv", &["clip.mkv"]);
    bench.refuses("encode run -o out.bin --bits 9", &["--bits"]);
    if cfg!(not(feature = "cuda")) {
        bench.refuses("train recipe.toml --device cuda", &["cuda", "--features cuda"]);
    }
    if cfg!(not(feature = "wgpu")) {
        bench.refuses("train recipe.toml --device wgpu", &["wgpu", "--features wgpu"]);
    }
}
