//! Whole runs of decoders that are fed with class maps, on evaluators that are a few lines: they resume to the same bytes, and refuse
//! what does not fit.

mod common;

use common::{HEIGHT, WIDTH, Watch, recipe, run_on, scene};
use dataset::{Dataset, DatasetInfo, OriginalOutputs};
use evaluate::evaluate;
use frames::{Planes, RgbFrame};
use metric::{INPUT_HEIGHT, INPUT_WIDTH, NetworkHashes, POSE_LEN, PerceptionStack, StackError, StackIdentity};
use recipe::Trains;
use recipe::tables::{EvaluatorsTable, RecipeTable, RepresentationKind, RepresentationTable, StageTable};
use report::RunFolder;
use repr::{Carrier, Layer, LayerTable, Nonlinearity, Residual, Stem};
use run::{Checkpoint, Device, Outcome, RunError};

/// Classes by brightness, as many as it says; a pose out of means.
struct Brightness(u8);

impl PerceptionStack for Brightness {
    fn identity(&self) -> StackIdentity {
        let networks = NetworkHashes { segnet: [self.0; 32], posenet: [77; 32] };
        StackIdentity { networks, runtime: "a few lines".into() }
    }

    fn classes(&mut self, frame: &Planes) -> Result<Vec<u8>, StackError> {
        let class = |&value: &f32| ((value / 256.0 * f32::from(self.0)) as u8).min(self.0 - 1);
        Ok(frame.plane(0).iter().map(class).collect())
    }

    fn pose(&mut self, pair: [&Planes; 2]) -> Result<[f32; POSE_LEN], StackError> {
        let mean = |frame: &Planes, channel| frame.plane(channel).iter().sum::<f32>() / 2e7;
        Ok(std::array::from_fn(|i| mean(pair[i / 3], i % 3)))
    }
}

/// Maps of three classes, a residual block of each activation, a grey carrier; one stage on pixels, one of quantized weights.
fn semantic() -> RecipeTable {
    let residual =
        |hidden, kernel, dilation, activation| Layer::Residual(Residual { hidden, kernel, dilation, activation });
    let layers = vec![residual(2, 3, 2, Nonlinearity::Gelu), residual(1, 1, 1, Nonlinearity::Sin)];
    let stem = Stem { classes: 3, ..Stem::new(2, INPUT_HEIGHT, INPUT_WIDTH) };
    let carrier = Some(Carrier { coefficients: 2, height: 3, width: 4, channels: 1, bits: 10 });
    let evaluators = EvaluatorsTable { segnet: "segnet.onnx".into(), posenet: "posenet.onnx".into(), source: None };
    let mut table = RecipeTable {
        evaluators: Some(evaluators),
        representation: RepresentationTable { kind: RepresentationKind::Semantic },
        decoder: LayerTable { carrier, ..LayerTable::new(3, stem, layers) },
        ..recipe()
    };
    table.stage.iter_mut().for_each(|stage| (stage.epochs, stage.loss.ssim) = (2, 0.0));
    table
}

/// The scene at the size of class maps, with what the evaluators say of it.
fn dataset(stack: &mut Brightness, frames: usize) -> Dataset {
    let small = scene(frames);
    let info = DatasetInfo { height: INPUT_HEIGHT, width: INPUT_WIDTH, ..small.info().clone() };
    let mut dataset = Dataset::new(info).unwrap();
    let frame = |index: usize| {
        let planes = small.frame(index).unwrap();
        let pixel = |i: usize| [0, 1, 2].map(|c| planes[c * HEIGHT * WIDTH + i]);
        RgbFrame::new(WIDTH, HEIGHT, (0..HEIGHT * WIDTH).flat_map(pixel).collect()).unwrap()
    };
    (0..frames).for_each(|index| dataset.push(&frame(index)).unwrap());
    let input = |index| metric::evaluator_input(&frame(index));
    let samples = (0..frames / 2).map(|i| stack.evaluate([&input(2 * i), &input(2 * i + 1)]).unwrap()).collect();
    dataset.with_outputs(OriginalOutputs { networks: stack.identity().networks, samples }).unwrap()
}

fn run(
    table: &RecipeTable,
    dataset: &Dataset,
    stack: &mut Brightness,
    folder: &RunFolder,
    watch: &mut Watch,
) -> Result<Outcome, RunError> {
    let resume = folder.path().exists();
    run_on(Device::Cpu, table, dataset, Some(stack), folder, resume, watch)
}

#[test]
fn an_interrupted_run_of_class_maps_resumes_to_the_same_archive() {
    let (base, mut stack) = (tempfile::tempdir().unwrap(), Brightness(3));
    let dataset = dataset(&mut stack, 7);
    let whole = RunFolder::new(base.path().join("whole"));
    let outcome = run(&semantic(), &dataset, &mut stack, &whole, &mut Watch::default()).unwrap();
    let Outcome::Finished { archive_bytes, evaluation, .. } = outcome else { panic!("{outcome:?}") };
    let expected = std::fs::read(whole.archive()).unwrap();

    // The archive holds the original's class maps, and what the run says of it.
    let representation = archive::decode(&expected).unwrap();
    let maps = representation.maps.clone().unwrap();
    let classes: Vec<u8> = dataset.originals().unwrap().iter().flat_map(|original| original.classes.clone()).collect();
    assert_eq!((expected[4], maps.values()), (4, classes.as_slice()));
    assert_eq!((representation.clip.frames(), maps.shape().count()), (7, 3));
    assert_eq!(evaluate(&representation, &dataset, Some(&mut stack), archive_bytes).unwrap(), evaluation);
    let best = Checkpoint::read(&whole.best()).unwrap();
    assert_eq!(best.quantize(None).unwrap().maps, representation.maps);

    // Two steps an epoch: stops fall within an epoch, at its end, and in the quantized stage.
    let broken = RunFolder::new(base.path().join("broken"));
    for steps in [1, 1, 3] {
        let outcome = run(&semantic(), &dataset, &mut stack, &broken, &mut Watch::stop_after(steps)).unwrap();
        assert_eq!(outcome, Outcome::Interrupted);
        let last = Checkpoint::read(&broken.last()).unwrap();
        assert_eq!(*last.maps, maps::encode(&maps)[..]);
    }
    run(&semantic(), &dataset, &mut stack, &broken, &mut Watch::default()).unwrap();
    assert_eq!(std::fs::read(broken.archive()).unwrap(), expected);
}

#[test]
fn a_stage_leaves_what_it_does_not_train_exactly_as_it_was() {
    let (base, mut stack) = (tempfile::tempdir().unwrap(), Brightness(3));
    let dataset = dataset(&mut stack, 4);
    let mut average = |name: &str, trains: Option<Trains>| {
        let mut table = semantic();
        table.stage.truncate(1);
        table.stage.extend(trains.map(|trains| StageTable { trains, weight_decay: 0.1, ..table.stage[0].clone() }));
        let folder = RunFolder::new(base.path().join(name));
        run(&table, &dataset, &mut stack, &folder, &mut Watch::default()).unwrap();
        Checkpoint::read(&folder.last()).unwrap().average
    };
    let before = average("before", None);
    let tensors = before.weights.len();
    // One number, then two coefficients.
    let column = |latents: &[f32], d: usize| latents.iter().skip(d).step_by(3).copied().collect::<Vec<f32>>();
    for (trains, name) in [(Trains::Renderer, "renderer"), (Trains::Carrier, "carrier")] {
        let after = average(name, Some(trains));
        let renderer = trains == Trains::Renderer;
        for (i, (old, new)) in before.weights.iter().zip(&after.weights).enumerate() {
            // The carrier's weight and bias are the last ones.
            assert_eq!(old == new, renderer == (i >= tensors - 2), "{name}: tensor {i}");
        }
        for d in 0..3 {
            let [old, new] = [&before, &after].map(|average| column(&average.latents, d));
            assert_eq!(old == new, renderer == (d > 0), "{name}: dimension {d}");
        }
    }
}

#[test]
fn class_maps_of_other_classes_than_the_decoders_are_refused() {
    let base = tempfile::tempdir().unwrap();
    let folder = RunFolder::new(base.path().join("run"));
    let refused = |classes: u8, table: &RecipeTable| {
        let mut stack = Brightness(classes);
        let dataset = dataset(&mut stack, 2);
        let error = run(table, &dataset, &mut stack, &folder, &mut Watch::default()).unwrap_err();
        assert!(!error.is_internal() && !folder.path().exists(), "{error}");
        let message = error.to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    };
    let more = refused(5, &semantic());
    assert!(more.contains("classes 0 to 4") && more.contains("decoder.stem.classes is 3"), "{more}");
    let one = refused(1, &semantic());
    assert!(one.contains("one class alone in scene"), "{one}");
    // Fewer than the decoder takes do no harm.
    let mut stack = Brightness(2);
    let dataset = dataset(&mut stack, 2);
    run(&semantic(), &dataset, &mut stack, &folder, &mut Watch::stop_after(1)).unwrap();
}

#[test]
fn damaged_class_maps_of_a_checkpoint_are_refused() {
    let (base, mut stack) = (tempfile::tempdir().unwrap(), Brightness(3));
    let dataset = dataset(&mut stack, 4);
    let folder = RunFolder::new(base.path().join("run"));
    run(&semantic(), &dataset, &mut stack, &folder, &mut Watch::stop_after(1)).unwrap();
    let bytes = std::fs::read(folder.last()).unwrap();
    let parse = |bytes: &[u8]| Checkpoint::parse(bytes, "c.safetensors".as_ref());
    let whole = parse(&bytes).unwrap();
    let expected = whole.quantize(None).unwrap();
    let place = |part: &[u8]| bytes.windows(part.len()).position(|window| window == part).unwrap();
    let patch = |from: &[u8], to: &[u8]| {
        let mut patched = bytes.clone();
        patched[place(from)..][..to.len()].copy_from_slice(to);
        patched
    };
    let refused = |bytes: &[u8]| parse(bytes).err().expect("what does not fit").to_string();
    // Under a name that nothing has.
    assert!(refused(&patch(b"\"maps\"", b"\"spam\"")).contains("c.safetensors: it holds no class maps"));
    assert!(refused(&patch(b"\"maps\":{\"dtype\":\"U8\"", b"\"maps\":{\"dtype\":\"I8\"")).contains("not bytes"));
    assert!(refused(&patch(b"classes\\\":3", b"classes\\\":0")).contains("c.safetensors"));

    let at = place(&whole.maps);
    let damaged = |change: &dyn Fn(&mut [u8])| {
        let mut damaged = bytes.clone();
        change(&mut damaged[at..][..whole.maps.len()]);
        // The header is right; whoever asks for the maps is told.
        parse(&damaged).unwrap().quantize(None)
    };
    let message = damaged(&|maps| maps.fill(0x5a)).unwrap_err().to_string();
    assert!(message.contains("its class maps are damaged"), "{message}");
    for byte in (0..whole.maps.len()).step_by(7) {
        assert_ne!(damaged(&|maps| maps[byte] ^= 4).ok(), Some(expected.clone()), "byte {byte}");
    }
}
