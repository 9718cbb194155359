//! No bytes whatever bring a panic or an endless computation.

use super::*;
use crate::build::build;
use crate::model::Model;
use crate::optimize::optimize;

/// A model with most of what can go wrong: attributes, shape arithmetic, indices, sizes.
fn model() -> Vec<u8> {
    let nodes = vec![
        node("Conv", "x w bias", "c", vec![list("pads", &[1, 1, 1, 1]), list("strides", &[2, 1]), int("group", 2)]),
        node("MaxPool", "c", "p", vec![list("kernel_shape", &[2, 2]), list("pads", &[0, 1, 1, 0])]),
        node("Resize", "p - scales", "r", vec![text("mode", "linear")]),
        node("ConvTranspose", "r up", "u", vec![list("strides", &[2, 3])]),
        node("SpaceToDepth", "u", "deep", vec![int("blocksize", 2)]),
        node("Einsum", "deep mix", "r2", vec![text("equation", "bchw,cd->bdhw")]),
        node("Shape", "r2", "s", vec![]),
        node("Slice", "s zero two", "front", vec![]),
        node("Concat", "front minus", "target", vec![int("axis", 0)]),
        node("Reshape", "r2 target", "flat", vec![]),
        node("Softmax", "flat", "soft", vec![int("axis", -1)]),
        node("Transpose", "soft", "turned", vec![list("perm", &[0, 2, 1])]),
        node("Gather", "turned at", "picked", vec![int("axis", 1)]),
        node("Split", "picked sizes", "a b", vec![int("axis", 1)]),
        node("Pad", "a pads", "padded", vec![text("mode", "reflect")]),
        node("ReduceMean", "padded zero", "y", vec![int("keepdims", 0)]),
    ];
    let constants = vec![
        weights("w", &[4, 2, 3, 3]),
        weights("bias", &[4]),
        weights("up", &[4, 1, 2, 3]),
        weights("mix", &[4, 4]),
        floats("scales", &[4], &[1.0, 1.0, 1.5, 2.0]),
        ints("zero", &[0]),
        ints("two", &[2]),
        ints("minus", &[-1]),
        ints("at", &[3, 1, 1, -2]),
        ints("sizes", &[3, 1]),
        ints("pads", &[0, 1, 1, 0, 2, 0]),
    ];
    encode(&tiny(nodes, constants))
}

/// Makes a graph of it and, if that works and is no larger than it should be, runs it.
fn survive(bytes: &[u8]) -> bool {
    let input = [2, 4, 6, 7];
    let Ok(mut graph) = Model::decode(bytes).and_then(|model| build(&model, &input)) else { return false };
    optimize(&mut graph);
    let elements: usize = graph.live().map(|id| graph.shape(id).iter().product::<usize>()).sum();
    if elements < 10_000 && (1..=5).contains(&graph.shape(graph.output()).len()) {
        run(&read(bytes, input).unwrap(), &noise(1, 336), input, None);
    }
    true
}

#[test]
fn cut_and_damaged_files_are_errors() {
    let bytes = model();
    assert!(survive(&bytes));
    for end in 0..bytes.len() {
        assert!(!survive(&bytes[..end]), "cut at {end}");
    }
    let mut refused = 0;
    for at in 0..bytes.len() {
        for change in [0x01, 0x10, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= change;
            refused += usize::from(!survive(&damaged));
        }
    }
    // Changes of names alone, of weights and of what has a default mean nothing.
    assert!(refused > bytes.len(), "{refused} of {}", 4 * bytes.len());
}
