//! Where the time goes in an ONNX model's forward pass and input gradient on the CPU:
//!
//! `onnx_speed MODEL CHANNELS ROWS COLUMNS BATCH` prints milliseconds by kind of node, each node timed on its own, and the slowest ones.
//! `onnx_speed MODEL CHANNELS ROWS COLUMNS BATCH serve` answers each line on standard input, a number of runs, with mean
//! milliseconds of forward and gradient together.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use burn_autodiff::Autodiff;
use burn_core::tensor::ops::FloatTensorOps;
use burn_core::tensor::{Shape, Tensor, TensorData, TensorPrimitive};
use burn_flex::Flex;
use onnx_burn::Network;
use onnx_burn::graph::{Graph, Node};
use ops::FrozenOps;
use ops::frozen::Op;

/// As in `hnerv`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type B = Autodiff<Flex>;

/// Runs of each node; the fastest counts.
const ROUNDS: usize = 7;
/// Nodes shown one by one.
const SLOWEST: usize = 16;

fn noise<const D: usize>(shape: [usize; D]) -> Tensor<B, D> {
    let values = (0..shape.iter().product()).map(|i: usize| ((i * 7919) % 1009) as f32 / 4.0).collect::<Vec<f32>>();
    Tensor::from_data(TensorData::new(values, shape), &Default::default())
}

/// Forward and gradient of the whole model, in milliseconds.
fn run(network: &Network<B>, input: &Tensor<B, 4>, rank: usize) -> Result<f64> {
    let started = Instant::now();
    let input = input.clone().require_grad();
    let gradients = match rank {
        2 => network.forward::<2>(input.clone())?.backward(),
        4 => network.forward::<4>(input.clone())?.backward(),
        _ => bail!("an output of {rank} dimensions; this example takes 2 or 4"),
    };
    input.grad(&gradients).context("no gradient")?;
    Ok(1e3 * started.elapsed().as_secs_f64())
}

/// Milliseconds of a node's forward and backward pass.
fn time(graph: &Graph, node: &Node) -> (f64, f64) {
    let layer = B::prepare(&node.op, &node.shape, &Default::default());
    let mut best = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        let leaf = |shape: &[usize]| {
            let flat = noise([shape.iter().product()]).require_grad().into_primitive().tensor();
            B::float_reshape(flat, Shape::from(shape.to_vec()))
        };
        let inputs = node.inputs.iter().map(|&input| leaf(graph.shape(input))).collect();
        let started = Instant::now();
        let output = layer(inputs);
        let forward = started.elapsed().as_secs_f64();
        let started = Instant::now();
        // The rank in the type does not matter here.
        drop(Tensor::<B, 1>::from_primitive(TensorPrimitive::Float(output)).backward());
        best = (best.0.min(1e3 * forward), best.1.min(1e3 * started.elapsed().as_secs_f64()));
    }
    best
}

/// Multiplications and additions of a convolution's forward pass, in 1e9.
fn gflop(node: &Node) -> f64 {
    let Op::Conv(conv) = &node.op else { return 0.0 };
    let pixels: usize = node.shape.iter().product();
    2e-9 * (pixels * conv.weight.len() / conv.shape.outputs) as f64
}

fn describe(node: &Node) -> String {
    let Op::Conv(conv) = &node.op else { return format!("{} -> {:?}", node.op.kind(), node.shape) };
    let shape = &conv.shape;
    let sources = shape.sources.iter().map(|source| format!("{}x{}", source.channels, source.upsample));
    let sources = sources.collect::<Vec<_>>().join("+");
    let [kernel, stride] = [shape.kernel, shape.stride].map(|[rows, columns]| format!("{rows}x{columns}"));
    let then =
        conv.activation.as_ref().map_or_else(String::new, |program| format!(", {} steps", program.steps().len()));
    format!("convolution {kernel}/{stride} of {sources}, {} groups -> {:?}{then}", shape.groups, node.shape)
}

fn report(network: &Network<B>, input: [usize; 4]) -> Result<()> {
    let graph = network.graph(input)?;
    let nodes = graph.live().map(|id| graph.node(id)).filter(|node| !node.inputs.is_empty());
    let timed: Vec<(&Node, (f64, f64))> = nodes.map(|node| (node, time(&graph, node))).collect();
    let mut kinds: BTreeMap<&str, (usize, f64, f64, f64)> = BTreeMap::new();
    for (node, (forward, backward)) in &timed {
        let kind = kinds.entry(node.op.kind()).or_default();
        *kind = (kind.0 + 1, kind.1 + forward, kind.2 + backward, kind.3 + gflop(node));
    }
    println!(
        "{:24} {:>5} {:>9} {:>9} {:>7} {:>7} {:>7}",
        "kind", "nodes", "forward", "backward", "GFLOP", "G/s", "G/s"
    );
    let mut rows: Vec<_> = kinds.into_iter().collect();
    rows.sort_by(|a, b| (b.1.1 + b.1.2).total_cmp(&(a.1.1 + a.1.2)));
    for (kind, (count, forward, backward, gflop)) in rows {
        let [there, back] = [forward, backward].map(|time| 1e3 * gflop / time);
        println!("{kind:24} {count:5} {forward:9.2} {backward:9.2} {gflop:7.3} {there:7.0} {back:7.0}");
    }
    let total = |pick: fn(&(f64, f64)) -> f64| timed.iter().map(|(_, times)| pick(times)).sum::<f64>();
    println!("{:24} {:5} {:9.2} {:9.2}", "all, node by node", timed.len(), total(|t| t.0), total(|t| t.1));
    let mut slowest = timed.clone();
    slowest.sort_by(|(_, a), (_, b)| (b.0 + b.1).total_cmp(&(a.0 + a.1)));
    for (node, (forward, backward)) in slowest.iter().take(SLOWEST) {
        let [there, back] = [forward, backward].map(|time| 1e3 * gflop(node) / time);
        println!("{forward:7.2} {backward:7.2} ms {there:5.0} {back:5.0} G/s  {}", describe(node));
    }
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, sizes @ ..] = arguments.as_slice() else {
        bail!("usage: onnx_speed MODEL CHANNELS ROWS COLUMNS BATCH [serve]")
    };
    let [channels, rows, columns, batch, rest @ ..] = sizes else { bail!("four sizes are needed") };
    let [channels, rows, columns, batch] = [channels, rows, columns, batch].map(|size| size.parse::<usize>());
    let shape = [batch?, channels?, rows?, columns?];
    let network = Network::<B>::read(Path::new(path), shape, &Default::default())?;
    let (input, rank) = (noise(shape), network.output_shape(shape)?.len());
    if rest.first().is_some_and(|word| word == "serve") {
        for line in std::io::stdin().lock().lines() {
            let runs: usize = line?.trim().parse()?;
            let times = (0..runs).map(|_| run(&network, &input, rank)).collect::<Result<Vec<f64>>>()?;
            println!("{}", times.iter().sum::<f64>() / runs as f64);
        }
        return Ok(());
    }
    report(&network, shape)?;
    let times = (0..=ROUNDS).map(|_| run(&network, &input, rank)).collect::<Result<Vec<f64>>>()?;
    let best = times.into_iter().fold(f64::INFINITY, f64::min);
    println!(
        "forward and gradient together: {best:.1} ms, {:.1} for one of the batch of {}",
        best / shape[0] as f64,
        shape[0]
    );
    Ok(())
}
