//! `hnerv encode`

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use cli::Progress;
use dataset::ClipSource;
use encode::{Goal, Original, Point, Quantizer, SearchFile, Source, walk};
use metric::PerceptionStack;
use report::RunFolder;
use repr::Representation;
use run::{Checkpoint, RunIdentity};

use crate::archive_file::ArchiveFile;
use crate::commands::inspect;
use crate::footage;
use crate::search::{Job, Kept};

/// How often a search for corrections goes over the clip while there is time.
const MOST_PASSES: usize = 100;

/// Quantize a checkpoint and entropy-code it; prints the byte budget.
///
/// As trained by default: one step a tensor, the learned one if there is one, rounded. --lambda and --target-bytes choose steps (of
/// a tensor, or of each output channel where that pays), bit widths and rounding by rate and distortion, and print the curve they
/// walk; with evaluators and neither of them, the point of the lowest score is taken, but where class maps feed the decoder. A carrier's
/// coefficients are solved for the pose, or taken from the run's archive. --sidecar then corrects single samples, --search
/// edits class maps where the decoder is fed with them. Ctrl-C keeps a search beside the output, as OUTPUT.search; the same command goes on.
#[derive(clap::Args)]
pub struct Arguments {
    /// A checkpoint (.safetensors), or a run folder: its best checkpoint.
    source: PathBuf,
    /// The archive to write.
    #[arg(short, long)]
    output: PathBuf,
    /// Quantize plainly to N bits, one step a tensor for its largest weight [default: the recipe's bits, learned steps].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(i64::from(repr::MIN_BITS)..=i64::from(repr::MAX_BITS)))]
    bits: Option<u8>,
    /// Quantize by rate and distortion; X is the mean squared error, in levels of 8-bit RGB, that 1000 bytes are worth.
    #[arg(long, value_name = "X", conflicts_with = "bits", value_parser = parse_positive)]
    lambda: Option<f64>,
    /// Quantize by rate and distortion, to at most N bytes (a sidecar not counted).
    #[arg(long, value_name = "N", conflicts_with_all = ["bits", "lambda"])]
    target_bytes: Option<usize>,
    /// Correct single samples by their effect on the score or, without evaluators, on the pixels.
    #[arg(long, requires = "original")]
    sidecar: bool,
    /// How often the sidecar search goes over the clip.
    #[arg(long, value_name = "N", default_value = "2", requires = "sidecar",
        value_parser = clap::value_parser!(u8).range(1..=100))]
    sidecar_passes: u8,
    /// Search on the true score: edits of the class maps, quantized as trained unless --lambda or --target-bytes say otherwise;
    /// where the decoder is fed with none, what --sidecar does.
    #[arg(long, requires = "segnet", conflicts_with = "sidecar")]
    search: bool,
    /// End the search after N minutes, its interruptions not counted [default: when it finds nothing more].
    #[arg(long, value_name = "N", requires = "search", value_parser = parse_positive)]
    minutes: Option<f64>,
    /// What to compare with: the clip that was trained on, or its target cache.
    #[arg(long, value_name = "CLIP")]
    original: Option<PathBuf>,
    /// Which of the original's video tracks, counted from 0 (attached pictures left out).
    #[arg(long, value_name = "N", default_value = "0", requires = "original")]
    track: usize,
    /// SegNet-style evaluator (ONNX).
    #[arg(long, requires = "posenet", requires = "original")]
    segnet: Option<PathBuf>,
    /// PoseNet-style evaluator (ONNX).
    #[arg(long, requires = "segnet")]
    posenet: Option<PathBuf>,
    /// Processor threads [default: all cores].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

fn parse_positive(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0);
    value.ok_or_else(|| "must be a positive number".into())
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(threads) = arguments.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
    }
    let judged = arguments.segnet.is_some() || arguments.lambda.is_some();
    ensure!(
        !arguments.sidecar || judged,
        "--sidecar needs --segnet and --posenet, or --lambda to weigh bytes against the error on the pixels"
    );
    cli::watch_interrupts()?;
    let path = checkpoint(&arguments.source)?;
    let output = ArchiveFile::create(&arguments.output, inputs(arguments, &path))?;
    let checkpoint = Checkpoint::read(&path)?;
    let plain = checkpoint.quantize(arguments.bits).context(path.display().to_string())?;
    // A carrier's coefficients were solved for the run's own archive, and those of no other quantization fit.
    let solved_before = arguments.bits.is_none().then(|| solved_archive(&arguments.source, &plain)).flatten();
    let ready = solved_before.is_some();
    let plain = solved_before.unwrap_or(plain);
    let source = if checkpoint.has_steps() && arguments.bits.is_none() {
        // Trained on its grid: what was trained are the rounded values.
        Source::of(plain)
    } else {
        Source::new(checkpoint.tensors()?, checkpoint.average.latents.clone(), plain)?
    };
    let maps = arguments.search && source.plain().maps.is_some();
    // Before the hours that it may have taken are repeated.
    let file = (arguments.sidecar || arguments.search).then(|| search_file(arguments, &path)).transpose()?;
    let kept = file.as_ref().map(|file| Kept::read(file, maps)).transpose()?;
    let mut original = original(arguments, source.plain(), checkpoint.metadata.identity.as_ref())?;

    let goal = match (arguments.lambda, arguments.target_bytes, arguments.bits) {
        (Some(lambda), ..) => Some(Goal::Lambda(lambda)),
        (_, Some(bytes), _) => Some(Goal::Bytes(bytes)),
        (_, _, None) if original.has_stack() && source.plain().maps.is_none() => Some(Goal::Cost),
        _ => None,
    };
    let searched = matches!(kept, Some(Kept::Corrections(_)));
    let quantizer = (goal.is_some() || searched).then(|| Quantizer::new(&source));
    let start = |original: &mut Original| match &quantizer {
        Some(quantizer) => quantized(quantizer, goal, original),
        None if ready => Ok(source.plain().clone()),
        None => solved(source.plain(), original),
    };
    let job = file.as_ref().map(|file| Job { file, minutes: arguments.minutes });
    let representation = match (&job, kept) {
        (Some(job), Some(Kept::Maps(saved))) => job.maps(saved, start, &mut original)?,
        (Some(job), Some(Kept::Corrections(saved))) => {
            let curvature = quantizer.as_ref().map(Quantizer::latent_curvature).unwrap_or_default();
            let passes = if arguments.minutes.is_some() { MOST_PASSES } else { arguments.sidecar_passes.into() };
            let how = (curvature.as_slice(), arguments.lambda.unwrap_or_default(), passes);
            job.corrections(saved, start, &mut original, how)?
        }
        _ => start(&mut original)?,
    };
    if representation.architecture.coefficients() > 0 && !original.has_stack() && !(ready && goal.is_none()) {
        cli::say("the carrier's coefficients are as trained; with --original, --segnet and --posenet they are solved");
    }
    let bytes = archive::encode(&representation);
    output.write(&bytes)?;
    if let Some(file) = file {
        file.remove();
    }
    let mut text = inspect::table(&arguments.output.display().to_string(), &bytes)?;
    if original.is_present() {
        let worth = original.measure(&source, &representation, bytes.len())?;
        text += &format!("{}: {} bytes, {worth}\n", arguments.output.display(), bytes.len());
    }
    cli::print(text);
    Ok(())
}

/// The checkpoint that `source` means.
fn checkpoint(source: &Path) -> anyhow::Result<PathBuf> {
    if !source.is_dir() {
        return Ok(source.into());
    }
    let best = RunFolder::new(source).best();
    ensure!(best.exists(), "{} holds no checkpoint yet ({}); train longer", source.display(), best.display());
    Ok(best)
}

/// All that is read, and the records of the run whose checkpoint `path` is.
fn inputs(arguments: &Arguments, path: &Path) -> Vec<PathBuf> {
    let Arguments { source, original, segnet, posenet, .. } = arguments;
    let run = source.is_dir().then(|| RunFolder::new(source).records());
    let given = [original, segnet, posenet].into_iter().flatten().cloned();
    [path.to_path_buf()].into_iter().chain(run.into_iter().flatten()).chain(given).collect()
}

/// What results are compared with, as far as it was given; of the clip that was trained on, as far as the checkpoint tells.
fn original(arguments: &Arguments, plain: &Representation, trained: Option<&RunIdentity>) -> anyhow::Result<Original> {
    let Arguments { segnet, posenet, threads, track, .. } = arguments;
    let Some(path) = &arguments.original else { return Ok(Original::absent()) };
    let mut evaluators = footage::evaluators(segnet.as_deref().zip(posenet.as_deref()), *threads)?;
    let source = ClipSource { path, track: *track, name: Some(plain.clip.name()) };
    let dataset = footage::load(source, plain.architecture.output_size(), footage::stack(&mut evaluators))?;
    let seen = dataset.content_hash();
    let stack = evaluators.map(|stack| Box::new(stack) as Box<dyn PerceptionStack>);
    let original = Original::new(dataset, stack, plain).with_context(|| path.display().to_string())?;
    ensure!(
        trained.is_none_or(|trained| trained.clip == seen),
        "{}: not the clip that was trained on, its frames are others; give that one, or its target cache",
        path.display()
    );
    Ok(original)
}

/// The representation at the goal, or the plain one.
fn quantized(quantizer: &Quantizer<'_>, goal: Option<Goal>, original: &mut Original) -> anyhow::Result<Representation> {
    let source = quantizer.source();
    let Some(goal) = goal else { return solved(source.plain(), original) };
    let point = walk(quantizer, goal, |point: &mut Point| -> anyhow::Result<f64> {
        // An exchange rate leads to its point whatever the others are worth.
        if !matches!(goal, Goal::Lambda(_)) && point.representation.architecture.coefficients() > 0 {
            point.replace(solved(&point.representation, original)?);
        }
        let worth = original.measure(source, &point.representation, point.bytes)?;
        let lambda = point.lambda.map_or("plain".into(), |lambda| format!("lambda {lambda:.5}"));
        cli::print(format_args!("{lambda}: {} bytes, {worth}\n", point.bytes));
        cli::unless_interrupted()?;
        Ok(worth.cost())
    })?;
    match goal {
        Goal::Lambda(_) => solved(&point.representation, original),
        _ => Ok(point.representation),
    }
}

/// With the coefficients of its carrier solved, where it has one and the evaluators are there.
fn solved(representation: &Representation, original: &mut Original) -> anyhow::Result<Representation> {
    if representation.architecture.coefficients() == 0 || !original.has_stack() {
        return Ok(representation.clone());
    }
    let samples = representation.clip.samples();
    let mut progress = Progress::new("solve", samples as u64);
    let found = original.solved(representation, |sample| {
        progress.set(sample as u64 + 1, || "coefficients of pairs; those left poor come again".into());
        !cli::interrupted()
    })?;
    cli::unless_interrupted()?;
    progress.finish(format!("coefficients of {samples} pairs"));
    Ok(found.unwrap_or_else(|| representation.clone()))
}

/// What a run folder's archive holds, where it is the plain quantization with its coefficients solved.
fn solved_archive(folder: &Path, plain: &Representation) -> Option<Representation> {
    let (dim, coefficients) = (plain.architecture.latent_dim(), plain.architecture.coefficients());
    if coefficients == 0 || !folder.is_dir() {
        return None;
    }
    let bytes = inspect::read(&RunFolder::new(folder).archive()).ok()?;
    let found = archive::decode(&bytes).ok()?;
    let numbers = |of: &Representation| -> Vec<u16> {
        of.latents.values.chunks(dim).flat_map(|latent| latent[..dim - coefficients].to_vec()).collect()
    };
    let same = found.architecture == plain.architecture
        && found.clip == plain.clip
        && found.parameters == plain.parameters
        && found.maps == plain.maps
        && numbers(&found) == numbers(plain);
    same.then_some(found)
}

/// The file of a search: the checkpoint, the original, the evaluators and all that was asked for tell it from others.
fn search_file(arguments: &Arguments, checkpoint: &Path) -> anyhow::Result<SearchFile> {
    let Arguments { original, track, segnet, posenet, bits, lambda, target_bytes, sidecar_passes, search, .. } =
        arguments;
    let inputs = [Some(checkpoint), original.as_deref(), segnet.as_deref(), posenet.as_deref()];
    let inputs: Vec<&Path> = inputs.into_iter().flatten().collect();
    let settings = format!("{bits:?} {lambda:?} {target_bytes:?} {sidecar_passes} {track} {search}");
    Ok(SearchFile::beside(&arguments.output, &inputs, &settings)?)
}
