//! Whole runs on a small scene: they learn, resume to the same bytes, and refuse what does not fit.

mod common;

use common::{Watch, checked, recipe, run_on, scene, scene_of};
use dataset::Dataset;
use evaluate::evaluate;
use frames::RgbFrame;
use metric::PerceptionStack;
use recipe::tables::{LossTable, RecipeTable};
use report::{Metrics, ReportError, RunFolder};
use run::{Checkpoint, Device, Job, Outcome, RunError};

fn run(folder: &RunFolder, resume: bool, watch: &mut Watch) -> Result<Outcome, RunError> {
    run_on(Device::Cpu, &recipe(), &scene(11), None, folder, resume, watch)
}

#[test]
fn a_run_learns_and_leaves_a_whole_folder() {
    let folder = RunFolder::new(tempfile::tempdir().unwrap().keep().join("run"));
    let mut config = recipe();
    config.stage[0].epochs = 60;
    let dataset = scene(11);
    let mut watch = Watch::default();
    let outcome = run_on(Device::Cpu, &config, &dataset, None, &folder, false, &mut watch).unwrap();
    let Outcome::Finished { archive_bytes, evaluation, .. } = outcome else { panic!("{outcome:?}") };
    let psnr = evaluation.psnr;

    // What the archive decodes to is what the run says of it.
    let bytes = std::fs::read(folder.archive()).unwrap();
    assert_eq!(bytes.len(), archive_bytes);
    let representation = archive::decode(&bytes).unwrap();
    assert_eq!((representation.clip.frames(), representation.clip.samples()), (11, 5));
    assert_eq!(evaluate(&representation, &dataset, None, bytes.len()).unwrap().psnr, psnr);
    assert_eq!(Checkpoint::read(&folder.best()).unwrap().quantize(None).unwrap(), representation);

    // The mean frame is what a decoder reaches that ignores its latents; a moving square must beat it.
    let frames = dataset.frames();
    let length = dataset.info().frame_len();
    let mean: Vec<f64> =
        (0..length).map(|i| frames.iter().skip(i).step_by(length).map(|&v| f64::from(v)).sum::<f64>() / 11.0).collect();
    let error = |(i, &v): (usize, &u8)| (f64::from(v) - mean[i % length]).powi(2);
    let floor = frames::psnr(frames.iter().enumerate().map(error).sum::<f64>() / frames.len() as f64);
    assert!(psnr > floor + 2.0, "{psnr} dB, the mean frame has {floor} dB");
    assert_eq!(watch.evaluations.iter().copied().fold(f64::NEG_INFINITY, f64::max), psnr);

    let lines = Metrics::read(&folder.metrics()).unwrap();
    assert_eq!(lines.len(), 62);
    assert!(lines[61].loss < lines[0].loss && lines[61].quantized_psnr.is_some());
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.report_json()).unwrap()).unwrap();
    assert_eq!(report["archive_bytes"], archive_bytes);
    let page = std::fs::read_to_string(folder.report_html()).unwrap();
    assert!(page.contains("<svg") && page.contains("blocks.0.weight") && page.matches("data:image/png").count() == 6);
}

#[test]
fn an_interrupted_run_resumes_to_the_same_archive() {
    let base = tempfile::tempdir().unwrap();
    let whole = RunFolder::new(base.path().join("whole"));
    run(&whole, false, &mut Watch::default()).unwrap();
    let expected = std::fs::read(whole.archive()).unwrap();

    // Three steps an epoch: stops fall within an epoch, at its end, and in the quantized stage.
    let broken = RunFolder::new(base.path().join("broken"));
    let mut stops = [1, 2, 3, 5, 4].into_iter();
    let mut resume = false;
    loop {
        let mut watch = stops.next().map_or_else(Watch::default, Watch::stop_after);
        match run(&broken, resume, &mut watch).unwrap() {
            Outcome::Interrupted => assert!(!broken.archive().exists()),
            Outcome::Finished { .. } => break,
        }
        resume = true;
    }
    assert_eq!(std::fs::read(broken.archive()).unwrap(), expected);
    let losses = |folder: &RunFolder| -> Vec<(usize, f64, Option<f64>)> {
        let lines = Metrics::read(&folder.metrics()).unwrap();
        lines.into_iter().map(|line| (line.epoch, line.loss, line.quantized_psnr)).collect()
    };
    assert_eq!(losses(&broken), losses(&whole));

    // A finished run can be resumed once more, for nothing.
    std::fs::remove_file(broken.archive()).unwrap();
    run(&broken, true, &mut Watch::default()).unwrap();
    assert_eq!(std::fs::read(broken.archive()).unwrap(), expected);
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_lost() {
    let base = tempfile::tempdir().unwrap();
    let folder = RunFolder::new(base.path().join("run"));
    run(&folder, false, &mut Watch::stop_after(2)).unwrap();
    let before = std::fs::read(folder.last()).unwrap();

    assert!(matches!(run(&folder, false, &mut Watch::default()), Err(RunError::Exists(_))));
    let mut other = recipe();
    other.stage[0].learning_rate = 0.5;
    let result = run_on(Device::Cpu, &other, &scene(11), None, &folder, true, &mut Watch::default());
    let message = result.unwrap_err().to_string();
    assert!(message.contains("learning_rate = 0.5"), "{message}");
    let result = run_on(Device::Cpu, &recipe(), &scene(13), None, &folder, true, &mut Watch::default());
    assert!(matches!(result, Err(RunError::OtherClip { .. })));
    assert_eq!(std::fs::read(folder.last()).unwrap(), before);

    let mut larger = recipe();
    larger.decoder.stem.height = 7;
    let elsewhere = RunFolder::new(base.path().join("other"));
    let result = run_on(Device::Cpu, &larger, &scene(11), None, &elsewhere, false, &mut Watch::default());
    assert!(matches!(result, Err(RunError::OtherSize { .. })));
    assert!(!elsewhere.path().exists());
    let result = run_on(Device::Cpu, &recipe(), &scene(0), None, &elsewhere, false, &mut Watch::default());
    assert!(matches!(result, Err(RunError::NoFrames(_))));
}

#[test]
fn a_diverging_run_says_so_and_keeps_its_last_checkpoint() {
    let base = tempfile::tempdir().unwrap();
    let mut config = recipe();
    config.stage[0].learning_rate = 1e6;
    config.stage[0].weight_decay = 1e6;
    let refused = |config: &RecipeTable, name: &str| {
        let folder = RunFolder::new(base.path().join(name));
        let result = run_on(Device::Cpu, config, &scene(11), None, &folder, false, &mut Watch::default());
        let message = result.unwrap_err().to_string();
        let words = ["training diverged in epoch", "stage \"pixels\"", "lower learning_rate", "another --out"];
        words.iter().for_each(|word| assert!(message.contains(word), "{message}"));
        message
    };
    assert!(refused(&config, "loss").contains("the loss is not finite"));
    // Weights that no archive may hold, while the loss is still a number.
    config.stage[0].learning_rate = 5e5;
    config.stage[0].weight_decay = 0.0;
    config.training.ema = 0.1;
    let message = refused(&config, "weights");
    assert!(message.contains("beyond 1e6"), "{message}");
}

#[test]
fn a_finite_loss_with_a_gradient_that_is_not_leaves_the_checkpoint_alone() {
    let base = tempfile::tempdir().unwrap();
    let folder = RunFolder::new(base.path().join("run"));
    let mut config = recipe();
    config.stage.remove(0);
    // Steps of grids fall to e^-95 in the first step: the weights are then clamped to the grid's ends, and the slope is 0 / 0.
    config.stage[0].learned_steps = true;
    (config.stage[0].learning_rate, config.stage[0].warm_up) = (90.0, 0.0);
    config.stage[0].loss = LossTable { l1: 1.0, ..LossTable::default() };
    config.training.checkpoint_seconds = 0;
    let mut watch = Watch::default();
    let result = run_on(Device::Cpu, &config, &scene(11), None, &folder, false, &mut watch);
    assert!(matches!(result, Err(RunError::Diverged { epoch: 1, .. })), "{result:?}");
    assert!(watch.losses.iter().all(|loss| loss.is_finite()) && watch.losses.len() == 2, "{:?}", watch.losses);
    let last = Checkpoint::read(&folder.last()).unwrap();
    assert_eq!(last.metadata.position.step, 1);
    let state = last.state().unwrap();
    assert!(state.is_finite() && !folder.best().exists(), "{state:?}");
}

#[test]
fn damaged_checkpoints_are_refused() {
    let base = tempfile::tempdir().unwrap();
    let folder = RunFolder::new(base.path().join("run"));
    run(&folder, false, &mut Watch::stop_after(7)).unwrap();
    let bytes = std::fs::read(folder.last()).unwrap();
    let path = base.path().join("c.safetensors");
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let message = Checkpoint::read(&path).err().map(|e| e.to_string());
        assert!(message.as_ref().is_some_and(|m| m.contains("c.safetensors")), "{message:?}");
    };
    (0..bytes.len()).step_by(997).for_each(|length| refused(&bytes[..length]));
    refused(b"\xff\xff\xff\xff\xff\xff\xff\xff rubbish");
    let text = String::from_utf8_lossy(&bytes[8..400]).into_owned();
    assert!(text.contains("hnerv"), "{text}");
    let patch = |from: &[u8], to: &[u8]| {
        let at = bytes.windows(from.len()).position(|window| window == from).expect("the header says so");
        let mut patched = bytes.clone();
        patched[at..at + to.len()].copy_from_slice(to);
        patched
    };
    refused(&patch(b"\"hnerv\"", b"\"other\""));
    refused(&patch(b"ema/rgb_0.bias", b"ema/rgb_9.bias"));
    refused(&patch(b"latent_dim\\\":5", b"latent_dim\\\":6"));
    refused(&patch(b"version\\\":2", b"version\\\":3"));
}

#[test]
fn a_folder_in_which_another_process_trains_is_left_alone() {
    let folder = RunFolder::new(tempfile::tempdir().unwrap().keep().join("run"));
    std::fs::create_dir_all(folder.path()).unwrap();
    let other = std::fs::File::create(folder.lock()).unwrap();
    other.lock().unwrap();
    let start = || run_on(Device::Cpu, &recipe(), &scene(4), None, &folder, false, &mut Watch::stop_after(1));
    assert!(matches!(start(), Err(RunError::Report(ReportError::Busy(_)))));
    assert!(!folder.config().exists());
    drop(other);
    assert_eq!(start().unwrap(), Outcome::Interrupted);
}

/// Why a run is refused on a clip that is never asked for.
fn refused_before_the_clip(device: Device, table: &RecipeTable, folder: &RunFolder, resume: bool) -> RunError {
    let mut asked = false;
    let mut load = |_: Option<&mut dyn PerceptionStack>| {
        asked = true;
        Ok(scene(11))
    };
    let job = Job { recipe: &checked(table), load: &mut load, evaluators: None, folder, resume };
    let error = run::run(device, job, &mut Watch::stop_after(1)).unwrap_err();
    assert!(!asked, "{error}");
    error
}

#[test]
fn what_needs_no_clip_is_refused_without_one() {
    let base = tempfile::tempdir().unwrap();
    let folder = RunFolder::new(base.path().join("run"));
    run(&folder, false, &mut Watch::stop_after(7)).unwrap();
    let refused = |resume: bool| refused_before_the_clip(Device::Cpu, &recipe(), &folder, resume).to_string();
    let contains = |message: String, words: &[&str]| {
        words.iter().for_each(|word| assert!(message.contains(word), "{word:?} is missing: {message}"));
    };
    contains(refused(false), &["run holds a run already", "--resume"]);
    let mut other = recipe();
    other.training.seed = 77;
    let error = refused_before_the_clip(Device::Cpu, &other, &folder, true);
    assert!(matches!(error, RunError::OtherRecipe { .. }), "{error}");
    if cfg!(not(feature = "cuda")) {
        let absent = RunFolder::new(base.path().join("absent"));
        let error = refused_before_the_clip(Device::Cuda, &recipe(), &absent, false);
        assert!(matches!(error, RunError::Device(_)) && !absent.path().exists(), "{error}");
    }
    std::fs::write(base.path().join("file"), "").unwrap();
    let blocked = RunFolder::new(base.path().join("file/run"));
    contains(refused_before_the_clip(Device::Cpu, &recipe(), &blocked, false).to_string(), &["file/run"]);

    // A run's files without others of them, or with others in their place.
    let (last, best) = (std::fs::read(folder.last()).unwrap(), std::fs::read(folder.best()).unwrap());
    let config = std::fs::read(folder.config()).unwrap();
    let restore = || {
        std::fs::write(folder.last(), &last).unwrap();
        std::fs::write(folder.best(), &best).unwrap();
        std::fs::write(folder.config(), &config).unwrap();
    };
    std::fs::copy(folder.best(), folder.last()).unwrap();
    contains(refused(true), &["last.safetensors", "moving average alone", "put", "another --out"]);
    restore();
    std::fs::remove_file(folder.config()).unwrap();
    contains(refused(true), &["config.toml is absent", "put it back"]);
    contains(refused(false), &["holds a run already"]);
    restore();
    std::fs::remove_file(folder.last()).unwrap();
    contains(refused(true), &["last.safetensors is absent", "put it back"]);
    contains(refused(false), &["holds a run already"]);
    restore();
    std::fs::remove_file(folder.best()).unwrap();
    contains(refused(true), &["best.safetensors is absent", "put it back"]);
    restore();
    std::fs::write(folder.last(), &last[..last.len() / 2]).unwrap();
    contains(refused(true), &["last.safetensors", "not a whole"]);
    restore();
    let utf16: Vec<u8> = String::from_utf8_lossy(&config).encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(folder.config(), [&[0xff, 0xfe], utf16.as_slice()].concat()).unwrap();
    contains(refused(true), &["config.toml", "UTF-8"]);
    restore();

    // Checkpoints of a run of another recipe on the same clip.
    let other_folder = RunFolder::new(base.path().join("other"));
    run_on(Device::Cpu, &other, &scene(11), None, &other_folder, false, &mut Watch::stop_after(7)).unwrap();
    std::fs::copy(other_folder.last(), folder.last()).unwrap();
    contains(refused(true), &["last.safetensors", "another recipe", "put the run's own back"]);
    restore();
    std::fs::copy(other_folder.best(), folder.best()).unwrap();
    contains(refused(true), &["best.safetensors", "another recipe"]);
    restore();
    let mut smaller = recipe();
    smaller.decoder.latent_dim = 4;
    let smaller_folder = RunFolder::new(base.path().join("smaller"));
    run_on(Device::Cpu, &smaller, &scene(11), None, &smaller_folder, false, &mut Watch::stop_after(7)).unwrap();
    std::fs::copy(smaller_folder.last(), folder.last()).unwrap();
    contains(refused(true), &["last.safetensors", "another recipe"]);
    restore();
    assert_eq!(run(&folder, true, &mut Watch::stop_after(1)).unwrap(), Outcome::Interrupted);
}

#[test]
fn a_run_goes_on_with_its_own_clip_alone() {
    let base = tempfile::tempdir().unwrap();
    let folder = RunFolder::new(base.path().join("run"));
    run(&folder, false, &mut Watch::stop_after(2)).unwrap();
    let before = std::fs::read(folder.last()).unwrap();
    // Of the same name, length and size.
    let mut other = Dataset::new(scene(0).info().clone()).unwrap();
    let (height, width) = (scene(0).info().clip_height, scene(0).info().clip_width);
    (0..11).for_each(|_| other.push(&RgbFrame::new(width, height, vec![7; 3 * height * width]).unwrap()).unwrap());
    let resume =
        |dataset: &Dataset, watch: &mut Watch| run_on(Device::Cpu, &recipe(), dataset, None, &folder, true, watch);
    let refused = resume(&other, &mut Watch::default()).unwrap_err();
    assert!(matches!(refused, RunError::OtherFrames { .. }), "{refused}");
    let refused = resume(&scene_of("renamed", 11), &mut Watch::default()).unwrap_err();
    assert!(matches!(refused, RunError::OtherClip { .. }), "{refused}");
    assert_eq!(std::fs::read(folder.last()).unwrap(), before);

    // A checkpoint that does not tell is taken with a word.
    let checkpoint = Checkpoint::read(&folder.last()).unwrap();
    let (state, mut metadata) = (checkpoint.state().unwrap(), checkpoint.metadata);
    assert!(metadata.identity.take().is_some_and(|identity| identity.clip == scene(11).content_hash()));
    Checkpoint::of_state(metadata, state, Default::default()).write(&folder.last()).unwrap();
    let mut watch = Watch::stop_after(1);
    resume(&scene(11), &mut watch).unwrap();
    assert!(watch.notes.len() == 1 && watch.notes[0].contains("older program"), "{:?}", watch.notes);
    let mut watch = Watch::stop_after(1);
    resume(&scene(11), &mut watch).unwrap();
    assert_eq!(watch.notes.len(), 0);
}
