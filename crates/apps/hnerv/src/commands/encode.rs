//! `hnerv encode`

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use cli::Progress;
use encode::{Goal, Judge, Point, Quantizer, Search, SearchState, Source, fidelity, walk};
use perception::Evaluators;
use perception::targets::Targets;
use report::RunFolder;
use repr::Representation;
use run::{Checkpoint, evaluate};

use crate::commands::inspect;
use crate::footage;

/// How often a search is saved.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// Quantize a checkpoint and entropy-code it; prints the byte budget.
///
/// As trained by default: one step a tensor, the learned one if there is one, rounded. --lambda and --target-bytes choose steps (of
/// a tensor, or of each output channel where that pays), bit widths and rounding by rate and distortion, and print the curve they
/// walk; with evaluators and neither of them, the point of the lowest score is taken. --sidecar then corrects single samples.
/// Ctrl-C keeps its search beside the output, as OUTPUT.search; the same command goes on.
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
    #[arg(long, value_name = "X", conflicts_with = "bits", value_parser = parse_lambda)]
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
    /// What to compare with: the clip that was trained on, or its target cache.
    #[arg(long, value_name = "CLIP")]
    original: Option<PathBuf>,
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

fn parse_lambda(text: &str) -> Result<f64, String> {
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
    let checkpoint = Checkpoint::read(&path)?;
    let plain = checkpoint.quantize(arguments.bits).context(path.display().to_string())?;
    let source = if checkpoint.has_steps() && arguments.bits.is_none() {
        // Trained on its grid: what was trained are the rounded values.
        Source::of(plain)
    } else {
        Source::new(checkpoint.tensors()?, checkpoint.average.latents.clone(), plain)?
    };
    // Before the hours that it may have taken are repeated.
    let kept = arguments.sidecar.then(|| Kept::of(arguments, &path)).transpose()?;
    let saved = kept.as_ref().map(Kept::read).transpose()?.flatten();
    let mut original = Original::load(arguments, source.plain())?;

    let goal = match (arguments.lambda, arguments.target_bytes, arguments.bits) {
        (Some(lambda), ..) => Some(Goal::Lambda(lambda)),
        (_, Some(bytes), _) => Some(Goal::Bytes(bytes)),
        (_, _, None) if original.evaluators.is_some() => Some(Goal::Cost),
        _ => None,
    };
    let quantizer = (goal.is_some() || kept.is_some()).then(|| Quantizer::new(&source));
    let representation = match (&kept, &quantizer) {
        (Some(kept), Some(quantizer)) => sidecar(arguments, quantizer, goal, &mut original, kept, saved)?,
        (None, Some(quantizer)) => quantized(quantizer, goal, &mut original)?,
        (_, None) => source.plain().clone(),
    };
    let bytes = archive::encode(&representation);
    output::write_whole(&arguments.output, &bytes)?;
    if let Some(kept) = kept {
        // What is left of a search that came to its end is of no use.
        let _ = std::fs::remove_file(kept.path);
    }
    let mut text = inspect::table(&arguments.output.display().to_string(), &bytes)?;
    if original.targets.is_some() {
        let (_, worth) = original.measure(&source, &representation, bytes.len())?;
        text += &format!("{}: {} bytes, {worth}\n", arguments.output.display(), bytes.len());
    }
    std::io::stdout().write_all(text.as_bytes()).context("standard output")
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

/// What results are compared with, as far as it was given.
struct Original {
    targets: Option<Targets>,
    evaluators: Option<Evaluators>,
}

impl Original {
    fn load(arguments: &Arguments, plain: &Representation) -> anyhow::Result<Self> {
        let threads = rayon::current_num_threads();
        let mut evaluators = match arguments.segnet.as_ref().zip(arguments.posenet.as_ref()) {
            Some((segnet, posenet)) => Some(Evaluators::load(segnet, posenet, threads)?),
            None => None,
        };
        let Some(path) = &arguments.original else { return Ok(Self { targets: None, evaluators }) };
        let targets = footage::load(path, plain.architecture.output_size(), evaluators.as_mut())?;
        let (frames, expected) = (targets.frame_count(), plain.clip.frames());
        let text = path.display();
        ensure!(
            frames == expected,
            "{text} has {frames} frames, the checkpoint {expected}; give the clip it was trained on"
        );
        if let Some(evaluators) = &evaluators {
            let fits = |outputs: &perception::targets::TargetOutputs| {
                outputs.segnet == *evaluators.segnet_hash().as_bytes()
                    && outputs.posenet == *evaluators.posenet_hash().as_bytes()
            };
            ensure!(
                targets.outputs.as_ref().is_some_and(fits),
                "{text} holds no outputs of these evaluators; give the clip itself, or make it anew with hnerv targets"
            );
        }
        Ok(Self { targets: Some(targets), evaluators })
    }

    /// What a representation costs, and the same in words: by the score, else by the error on the pixels, else by that
    /// against the decoder's own floats.
    fn measure(
        &mut self,
        source: &Source,
        representation: &Representation,
        bytes: usize,
    ) -> anyhow::Result<(f64, String)> {
        let Some(targets) = &self.targets else {
            let psnr = fidelity(source, representation)?;
            return Ok((-psnr, format!("PSNR {psnr:.2} dB to the floats' frames")));
        };
        let evaluation = evaluate(representation, targets, self.evaluators.as_mut(), bytes)?;
        let psnr = format!("PSNR {:.2} dB", evaluation.psnr);
        Ok(match evaluation.score {
            Some(score) => {
                let text = format!(
                    "SegNet {:.6}, PoseNet {:.6}, score {:.4}, {psnr}",
                    score.segnet, score.posenet, score.score
                );
                (score.score, text)
            }
            None => (-evaluation.psnr, psnr),
        })
    }
}

/// The representation at the goal, or the plain one.
fn quantized(quantizer: &Quantizer<'_>, goal: Option<Goal>, original: &mut Original) -> anyhow::Result<Representation> {
    let source = quantizer.source();
    let Some(goal) = goal else { return Ok(source.plain().clone()) };
    let mut stdout = std::io::stdout();
    let point = walk(quantizer, goal, |point: &Point| -> anyhow::Result<f64> {
        let (cost, worth) = original.measure(source, &point.representation, point.bytes)?;
        let lambda = point.lambda.map_or("plain".into(), |lambda| format!("lambda {lambda:.5}"));
        writeln!(stdout, "{lambda}: {} bytes, {worth}", point.bytes).context("standard output")?;
        cli::unless_interrupted()?;
        Ok(cost)
    })?;
    Ok(point.representation)
}

/// The file that holds a search until it comes to its end.
struct Kept {
    path: PathBuf,
    key: [u8; 32],
}

impl Kept {
    fn of(arguments: &Arguments, checkpoint: &Path) -> anyhow::Result<Self> {
        let mut name = arguments.output.file_name().unwrap_or_default().to_owned();
        name.push(".search");
        Ok(Self { path: arguments.output.with_file_name(name), key: key(arguments, checkpoint)? })
    }

    /// The search that was interrupted, if there is one; that of another command is neither gone on with nor lost.
    fn read(&self) -> anyhow::Result<Option<SearchState>> {
        let path = self.path.display();
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{path}: cannot read; remove it to begin anew")),
        };
        let state = SearchState::decode(&bytes, &self.key);
        ensure!(
            state.is_some(),
            "{path} holds a search with other files or flags: repeat its command to go on with it, or remove it"
        );
        Ok(state)
    }

    fn write(&self, state: &SearchState) -> anyhow::Result<()> {
        Ok(output::write_whole(&self.path, &state.encode(&self.key))?)
    }
}

/// What tells one search from another: the checkpoint, the original, the evaluators and all that was asked for.
fn key(arguments: &Arguments, checkpoint: &Path) -> anyhow::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let files =
        [Some(checkpoint), arguments.original.as_deref(), arguments.segnet.as_deref(), arguments.posenet.as_deref()];
    for path in files.into_iter().flatten() {
        let mut file = blake3::Hasher::new();
        let read = std::fs::File::open(path).and_then(|opened| file.update_reader(opened).map(|_| ()));
        read.with_context(|| format!("{}: cannot read; check the path", path.display()))?;
        hasher.update(file.finalize().as_bytes());
    }
    let Arguments { bits, lambda, target_bytes, sidecar_passes, .. } = arguments;
    hasher.update(
        format!("{} {bits:?} {lambda:?} {target_bytes:?} {sidecar_passes}", env!("CARGO_PKG_VERSION")).as_bytes(),
    );
    Ok(*hasher.finalize().as_bytes())
}

/// The representation at the goal with its sidecar; goes on with a search that was `saved`.
fn sidecar(
    arguments: &Arguments,
    quantizer: &Quantizer<'_>,
    goal: Option<Goal>,
    original: &mut Original,
    kept: &Kept,
    saved: Option<SearchState>,
) -> anyhow::Result<Representation> {
    let start = match &saved {
        Some(state) => state.representation().clone(),
        None => quantized(quantizer, goal, original)?,
    };
    let Original { targets: Some(targets), evaluators } = original else {
        bail!("--sidecar needs --original CLIP");
    };
    let judge = match (evaluators, &targets.outputs) {
        (Some(evaluators), Some(outputs)) => {
            Judge::Metric { evaluators, originals: &outputs.samples, clip_bytes: targets.info.clip_bytes }
        }
        _ => Judge::Pixels { lambda: arguments.lambda.unwrap_or_default() },
    };
    let passes = arguments.sidecar_passes.into();
    let mut search = Search::new(&start, quantizer.latent_curvature(), targets, judge, passes)?;
    let mut state = match saved {
        Some(state) => {
            eprintln!("search: goes on behind step {} of {}", state.finished(), search.steps());
            state
        }
        None => {
            // The way here took its time too.
            let state = search.begin();
            kept.write(&state)?;
            state
        }
    };
    let mut progress = Progress::new("search", search.steps() as u64);
    let mut written = Instant::now();
    while state.finished() < search.steps() {
        search.step(&mut state)?;
        progress.set(state.finished() as u64, || {
            let count = state.representation().sidecar.corrections().len();
            format!("{:.5} without the bytes, {count} corrections", search.cost(&state))
        });
        let interrupted = cli::interrupted();
        if interrupted || written.elapsed() > SAVE_EVERY {
            kept.write(&state)?;
            written = Instant::now();
        }
        if interrupted {
            eprintln!("search: stopped, kept in {}; the same command goes on", kept.path.display());
            return Err(cli::Interrupted.into());
        }
    }
    progress.finish(format!("{} corrections", state.representation().sidecar.corrections().len()));
    Ok(state.representation().clone())
}
