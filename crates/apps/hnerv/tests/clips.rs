//! Which clip is meant and what it is called: tracks, names that no archive can hold, paths that no recipe can.
#![cfg(feature = "ffmpeg")]

mod common;

use std::fs;

use common::Bench;

const RECIPE: &str = r#"
[clip]
path = "tracks.mp4"

[decoder]
latent_dim = 2
stem = { channels = 4, height = 6, width = 8 }
layers = [
    { kind = "stage", channels = 4 },
    { kind = "stage", channels = 4 },
    { kind = "stage", channels = 4 },
]

[training]
batch = 2

[[stage]]
name = "pixels"
epochs = 1
loss = { l1 = 1.0 }
learning_rate = 1e-2
"#;

/// A bench with a recipe, a clip of two tracks, 3 frames of 32x16 and 12 of 64x48, and the second one alone.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("recipe.toml", RECIPE);
    for name in ["tracks.mp4", "hevc.mkv"] {
        fs::copy(testdata::asset_of("media/video", name), bench.path(name)).unwrap();
    }
    bench
}

#[test]
fn every_command_takes_the_first_track_or_another_one() {
    let bench = bench();
    assert!(bench.succeeds("frames tracks.mp4 first.raw").contains("3 frames of 32x16"));
    bench.succeeds("frames tracks.mp4 second.raw --track 1");
    bench.succeeds("frames hevc.mkv alone.raw");
    assert_eq!(bench.read("second.raw"), bench.read("alone.raw"));

    bench.succeeds("train recipe.toml --out first");
    bench.succeeds("train recipe.toml --out second --track 1");
    bench.write("second.toml", RECIPE.replace("tracks.mp4\"", "tracks.mp4\"\ntrack = 1"));
    bench.succeeds("train second.toml --out same");
    bench.succeeds("targets tracks.mp4 -o second.targets --size 64x48 --track 1");
    bench.succeeds("train second.toml --out cached --clip second.targets");
    assert!(bench.succeeds("inspect first/archive.bin").contains("3 frames of 32x16"));
    let archive = bench.read("second/archive.bin");
    assert!(bench.succeeds("inspect second/archive.bin").contains("12 frames of 64x48"));
    assert_eq!(bench.read("same/archive.bin"), archive);
    assert_eq!(bench.read("cached/archive.bin").len(), archive.len() + "second".len() - "tracks".len());
    bench.refuses("train recipe.toml --out second --resume", &["another recipe", "track = 1"]);

    bench.succeeds("encode second -o out.bin --lambda 50 --original tracks.mp4 --track 1");
    bench.refuses("encode second -o no.bin --lambda 50 --original tracks.mp4", &["tracks.mp4", "3 frames"]);
    bench.refuses("encode second -o no.bin --track 1", &["--original"]);
    for command in ["frames tracks.mp4 no.raw", "targets tracks.mp4 -o no", "train recipe.toml --out no"] {
        bench.refuses(&format!("{command} --track 2"), &["tracks.mp4", "video track 2", "--track 0 to 1"]);
    }
    bench.refuses(
        "train recipe.toml --out no --clip second.targets --track 1",
        &["second.targets", "leave --track out"],
    );
}

#[test]
fn a_name_that_no_archive_can_hold_is_refused_before_the_work_or_replaced() {
    let bench = bench();
    let long = format!("{}.mkv", "x".repeat(201));
    for name in [&long, "a\\b.mkv", "a\nb.mkv", "...mkv"] {
        fs::copy(bench.path("hevc.mkv"), bench.path(name)).unwrap();
        let refused = |command: String, shown: &str| {
            let output = bench.command(&command).output().unwrap();
            let errors = String::from_utf8(output.stderr).unwrap();
            // At once: training would have said what it is to do.
            assert!(output.status.code() == Some(2) && errors.lines().count() == 1, "{errors}");
            assert_eq!(errors.matches("plain file name").count(), 1, "{errors}");
            assert!(errors.contains("--name") && errors.contains(shown), "{errors}");
        };
        let shown = format!("{name:?}");
        let shown = shown.trim_matches('"');
        refused(format!("train recipe.toml --out run --clip {name}"), shown);
        refused(format!("targets {name} -o no"), shown);
        assert!(!bench.path("run").exists() && !bench.path("no").exists());
    }
    bench.succeeds("train recipe.toml --out run --clip a\\b.mkv --name good");
    assert!(bench.succeeds("inspect run/archive.bin").starts_with("good: 12 frames"));
    assert!(String::from_utf8(bench.read("run/config.toml")).unwrap().contains("name = \"good\""));
    // Whoever knows the name asks for none.
    bench.succeeds("encode run -o out.bin --lambda 50 --original a\\b.mkv");
    assert!(bench.succeeds("inspect out.bin").starts_with("good: 12 frames"));
    bench.refuses("train recipe.toml --out run --clip a\\b.mkv --resume", &["name = \"good\"", "here nothing"]);
    bench.succeeds("train recipe.toml --out run --clip a\\b.mkv --name good --resume");

    bench.succeeds("targets a\\b.mkv -o clip.targets --size 64x48 --name cached");
    bench.succeeds("train recipe.toml --out cached --clip clip.targets");
    assert!(bench.succeeds("inspect cached/archive.bin").starts_with("cached: "));
    bench.succeeds("train recipe.toml --out named --clip clip.targets --name other");
    assert!(bench.succeeds("inspect named/archive.bin").starts_with("other: "));
    for wrong in ["..", "a/b", "a\\b", ""] {
        bench.refuses(&format!("train recipe.toml --name {wrong}"), &["--name", "plain file name"]);
        bench.refuses(&format!("targets hevc.mkv -o no --name {wrong}"), &["--name", "plain file name"]);
        bench.refuses(&format!("import hevc.mkv -o no --name {wrong}"), &["--name", "plain file name"]);
        bench.refuses(&format!("train recipe.toml --set clip.name={wrong:?}"), &["recipe.toml", "plain file name"]);
    }
}

#[test]
fn a_path_that_no_recipe_can_hold_is_named() {
    use std::os::unix::ffi::OsStringExt;
    let bench = bench();
    let name = std::ffi::OsString::from_vec(b"odd\xff.mkv".to_vec());
    fs::copy(bench.path("hevc.mkv"), bench.path("").join(&name)).unwrap();
    let mut command = bench.command("train recipe.toml --clip");
    command.arg(&name);
    bench.refuses_command(command, &["odd\\xFF.mkv", "rename"]);
    let mut command = bench.command("frames");
    command.arg(&name).arg("odd.raw");
    assert!(command.status().unwrap().success());
}
