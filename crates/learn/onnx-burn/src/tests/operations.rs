//! Every operation in the ways it is used: outputs against ONNX Runtime's, gradients against finite differences.

use super::*;

/// Checks an output against ONNX Runtime's, where that is installed, and the gradient against differences of outputs.
fn check(name: &str, tiny: &Tiny) {
    let bytes = encode(tiny);
    let count = tiny.input.iter().product();
    let x: Vec<f32> = noise(1, count).into_iter().map(|v| if tiny.positive { v + 1.3 } else { 2.0 * v }).collect();
    let network = read(&bytes, tiny.input).unwrap_or_else(|error| panic!("{name}: {error}"));
    let (shape, y, _) = run(&network, &x, tiny.input, None);
    if let Some(environment) = environment() {
        let (expected_shape, expected) = reference(environment, &bytes, &x, tiny.input);
        assert_eq!(shape, expected_shape, "{name}");
        let largest = expected.iter().fold(1e-3f32, |largest, v| v.abs().max(largest));
        let worst = y.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= 2e-5 * largest, "{name}: off by {worst} of {largest}");
    }
    let weight = noise(5, y.len());
    let (_, same, gradient) = run(&network, &x, tiny.input, Some(&weight));
    assert_eq!(same, y, "{name}: gradients change the output");
    let loss = |x: &[f32]| -> f64 {
        let (_, y, _) = run(&network, x, tiny.input, None);
        y.iter().zip(&weight).map(|(y, w)| f64::from(*y) * f64::from(*w)).sum()
    };
    let length = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
    for seed in 11..14 {
        const STEP: f32 = 4e-3;
        let direction = noise(seed, count);
        let moved = |sign: f32| -> Vec<f32> { x.iter().zip(&direction).map(|(x, d)| x + sign * STEP * d).collect() };
        let difference = (loss(&moved(1.0)) - loss(&moved(-1.0))) / (2.0 * f64::from(STEP));
        let expected: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
        // Of two such vectors at a right angle nothing would be left but about 0.05 of this.
        let scale = length.max(1e-3) * direction.iter().map(|&d| f64::from(d).powi(2)).sum::<f64>().sqrt();
        let off = (difference - expected).abs() / scale;
        assert!(off <= 2e-3, "{name}: {difference} is not {expected}, off by {off} of {scale}");
    }
}

fn all(cases: Vec<(&str, Tiny)>) {
    cases.iter().for_each(|(name, tiny)| check(name, tiny));
}

/// A model of one node that reads `x` and the constants, named as they come.
fn one(op: &str, attributes: Vec<Attribute>, constants: Vec<proto::Tensor>) -> Tiny {
    let inputs: Vec<&str> = std::iter::once("x").chain(constants.iter().map(|tensor| tensor.name.as_str())).collect();
    tiny(vec![node(op, &inputs.join(" "), "y", attributes)], constants)
}

/// The same before `opset`.
fn old(opset: i64, tiny: Tiny) -> Tiny {
    Tiny { opset, ..tiny }
}

fn positive(tiny: Tiny) -> Tiny {
    Tiny { positive: true, ..tiny }
}

fn scalar(name: &str, value: f32) -> proto::Tensor {
    floats(name, &[], &[value])
}

#[test]
fn functions_of_elements() {
    let simple = [
        "Relu",
        "Sigmoid",
        "Tanh",
        "Erf",
        "Exp",
        "Neg",
        "Abs",
        "Softplus",
        "HardSwish",
        "Identity",
        "LeakyRelu",
        "Elu",
        "Celu",
        "Selu",
        "Mish",
        "Softsign",
    ];
    let mut cases: Vec<(&str, Tiny)> = simple.map(|op| (op, one(op, vec![], vec![]))).into();
    cases.extend(["Sqrt", "Log", "Reciprocal"].map(|op| (op, positive(one(op, vec![], vec![])))));
    cases.extend([
        ("LeakyRelu of 0.3", one("LeakyRelu", vec![float("alpha", 0.3)], vec![])),
        ("Elu of 0.3", one("Elu", vec![float("alpha", 0.3)], vec![])),
        ("Celu of 0.7", one("Celu", vec![float("alpha", 0.7)], vec![])),
        ("Selu of others", one("Selu", vec![float("alpha", 0.7), float("gamma", 1.4)], vec![])),
        ("HardSigmoid", one("HardSigmoid", vec![float("alpha", 0.4), float("beta", 0.6)], vec![])),
        ("Gelu", old(20, one("Gelu", vec![], vec![]))),
        ("Gelu of tanh", old(20, one("Gelu", vec![text("approximate", "tanh")], vec![]))),
        ("Clip", one("Clip", vec![], vec![scalar("low", -0.5), scalar("high", 0.8)])),
        ("Clip from above", tiny(vec![node("Clip", "x - high", "y", vec![])], vec![scalar("high", 0.8)])),
        ("Clip of old", old(10, one("Clip", vec![float("min", -0.5)], vec![]))),
        ("Dropout", one("Dropout", vec![], vec![])),
        ("Cast", one("Cast", vec![int("to", 1)], vec![])),
    ]);
    all(cases);
}

#[test]
fn pairs_of_tensors_and_constants() {
    let by = |op: &str, dims: &[i64]| one(op, vec![], vec![weights("c", dims)]);
    let swapped = |op: &str, c: proto::Tensor| positive(tiny(vec![node(op, "c x", "y", vec![])], vec![c]));
    let mut cases = Vec::new();
    for op in ["Add", "Sub", "Mul", "Div", "Max", "Min"] {
        let constants: [&[i64]; 8] =
            [&[], &[1], &[7], &[6, 1], &[4, 1, 1], &[1, 4, 1, 1], &[2, 1, 6, 7], &[3, 1, 1, 1, 1]];
        cases.extend(constants.map(|dims| (op, by(op, dims))));
        cases.push((op, swapped(op, scalar("c", 0.7))));
        cases.push((op, swapped(op, weights("c", &[4, 1, 1]))));
        let half = [ints("start", &[0]), ints("end", &[1]), ints("axes", &[1])];
        let slice = node("Slice", "x start end axes", "part", vec![]);
        cases.push((op, positive(tiny(vec![slice, node(op, "x part", "y", vec![])], half.into()))));
    }
    cases.extend([1.0, 2.0, 3.0, 0.5, -1.0].map(|e| ("Pow", positive(one("Pow", vec![], vec![scalar("e", e)])))));
    cases.push(("Pow of negative", one("Pow", vec![], vec![scalar("e", 2.0)])));
    cases.push(("Pow by integer", one("Pow", vec![], vec![ints("e", &[3])])));
    cases.push((
        "Max of three",
        tiny(vec![node("Max", "x c d", "y", vec![])], vec![scalar("c", 0.1), weights("d", &[7])]),
    ));
    all(cases);
}

#[test]
fn convolutions() {
    let conv = |channels: i64, kernel: [i64; 2], attributes: Vec<Attribute>| {
        one("Conv", attributes, vec![weights("w", &[6, channels, kernel[0], kernel[1]]), weights("bias", &[6])])
    };
    let depthwise = |attributes| one("Conv", attributes, vec![weights("w", &[8, 1, 3, 3])]);
    all(vec![
        ("plain", conv(4, [3, 3], vec![])),
        ("padded", conv(4, [3, 3], vec![list("pads", &[1, 1, 1, 1])])),
        ("asymmetric", conv(4, [3, 2], vec![list("pads", &[2, 0, 1, 3]), list("strides", &[2, 1])])),
        ("dilated", conv(4, [3, 3], vec![list("pads", &[2, 2, 2, 2]), list("dilations", &[2, 2])])),
        ("grouped", conv(2, [1, 3], vec![int("group", 2)])),
        ("depthwise", depthwise(vec![int("group", 4), list("pads", &[1, 1, 1, 1]), list("strides", &[2, 2])])),
        ("same upper", conv(4, [2, 4], vec![text("auto_pad", "SAME_UPPER"), list("strides", &[1, 2])])),
        ("same lower", conv(4, [2, 4], vec![text("auto_pad", "SAME_LOWER"), list("strides", &[2, 2])])),
        ("valid", conv(4, [2, 4], vec![text("auto_pad", "VALID"), list("kernel_shape", &[2, 4])])),
    ]);
}

#[test]
fn slopes_below_zero() {
    let slopes = |dims: &[i64]| one("PRelu", vec![], vec![weights("slope", dims)]);
    let computed = vec![
        node("ReduceMean", "x axes", "mean", vec![]),
        node("Sigmoid", "mean", "slope", vec![]),
        node("PRelu", "x slope", "y", vec![]),
    ];
    all(vec![
        ("of one", slopes(&[1])),
        ("of channels", slopes(&[4, 1, 1])),
        ("of columns", slopes(&[7])),
        ("of every element", slopes(&[2, 4, 6, 7])),
        ("computed", tiny(computed, vec![ints("axes", &[2, 3])])),
    ]);
    // Far out nothing overflows.
    for op in ["Elu", "Celu", "Selu", "Mish", "Softsign"] {
        let input = [1, 4, 1, 1];
        let network = read(&encode(&Tiny { input, ..one(op, vec![], vec![]) }), input).unwrap();
        let (_, y, gradient) = run(&network, &[-1e4, -200.0, 200.0, 1e4], input, Some(&[1.0; 4]));
        assert!(y.iter().chain(&gradient).all(|value| value.is_finite()), "{op}: {y:?}, {gradient:?}");
    }
}

#[test]
fn transposed_convolutions() {
    // Five channels from four, or six from four in two groups.
    let conv = |kernel: [i64; 2], attributes: Vec<Attribute>| {
        one("ConvTranspose", attributes, vec![weights("w", &[4, 5, kernel[0], kernel[1]]), weights("bias", &[5])])
    };
    let grouped = |attributes: Vec<Attribute>| {
        let attributes = [vec![int("group", 2)], attributes].concat();
        one("ConvTranspose", attributes, vec![weights("w", &[4, 3, 3, 2])])
    };
    let two = |name: &str, rows: i64, columns: i64| list(name, &[rows, columns]);
    let same = |mode: &str, strides: [i64; 2]| vec![text("auto_pad", mode), list("strides", &strides)];
    all(vec![
        ("plain", conv([3, 3], vec![])),
        ("of one element", conv([1, 1], vec![two("strides", 2, 3)])),
        ("as networks upsample", conv([2, 2], vec![two("strides", 2, 2)])),
        ("overlapping", conv([4, 4], vec![two("strides", 2, 2), list("pads", &[1, 1, 1, 1])])),
        (
            "with output padding",
            conv([3, 3], vec![two("strides", 2, 2), list("pads", &[1; 4]), two("output_padding", 1, 1)]),
        ),
        ("uneven", conv([3, 4], vec![two("strides", 3, 2), list("pads", &[2, 0, 1, 3])])),
        ("far apart", conv([2, 3], vec![two("strides", 5, 4), two("output_padding", 4, 2)])),
        ("dilated", conv([3, 2], vec![two("dilations", 2, 3), two("strides", 3, 2), list("pads", &[1, 2, 0, 1])])),
        ("dilated by its stride", conv([3, 3], vec![two("dilations", 2, 2), two("strides", 2, 2)])),
        ("cut deep", conv([2, 2], vec![list("pads", &[3, 1, 2, 4]), two("strides", 2, 2)])),
        ("grouped", grouped(vec![two("strides", 2, 1), list("pads", &[1, 0, 0, 1])])),
        (
            "depthwise",
            one("ConvTranspose", vec![int("group", 4), two("strides", 2, 2)], vec![weights("w", &[4, 1, 3, 3])]),
        ),
        ("same upper", conv([3, 4], same("SAME_UPPER", [2, 1]))),
        ("same lower", conv([4, 3], same("SAME_LOWER", [2, 2]))),
        ("same of a small kernel", conv([1, 2], same("SAME_UPPER", [2, 3]))),
        ("valid", conv([2, 3], vec![text("auto_pad", "VALID"), two("strides", 2, 2), list("kernel_shape", &[2, 3])])),
        ("of a size", conv([3, 3], vec![two("output_shape", 12, 15), two("strides", 2, 2)])),
        (
            "of a size and mode",
            conv([3, 4], vec![two("output_shape", 11, 14), two("strides", 2, 2), text("auto_pad", "SAME_UPPER")]),
        ),
    ]);
}

#[test]
fn channels_and_pixels() {
    let moved = |op: &str, mode: Option<&str>, input: [usize; 4]| {
        let mode = mode.map(|mode| text("mode", mode));
        Tiny { input, ..one(op, [int("blocksize", 2)].into_iter().chain(mode).collect(), vec![]) }
    };
    all(vec![
        ("DepthToSpace", moved("DepthToSpace", None, [2, 12, 3, 5])),
        ("DepthToSpace by blocks", moved("DepthToSpace", Some("DCR"), [2, 12, 3, 5])),
        ("DepthToSpace by channels", moved("DepthToSpace", Some("CRD"), [2, 12, 3, 5])),
        ("SpaceToDepth", moved("SpaceToDepth", None, [2, 3, 6, 10])),
    ]);
}

#[test]
fn sums_by_letters() {
    let of_one = |equation: &str| one("Einsum", vec![text("equation", equation)], vec![]);
    let by = |equation: &str, dims: &[i64]| one("Einsum", vec![text("equation", equation)], vec![weights("c", dims)]);
    let with_itself = tiny(vec![node("Einsum", "x x", "y", vec![text("equation", "bchw,bdhw->bcd")])], vec![]);
    let three = tiny(
        vec![node("Einsum", "x c d", "y", vec![text("equation", "bchw,cd,dk->bkhw")])],
        vec![weights("c", &[4, 3]), weights("d", &[3, 5])],
    );
    let square = |equation: &str| Tiny { input: [2, 3, 5, 5], ..of_one(equation) };
    all(vec![
        ("transposed", of_one("bchw->hbwc")),
        ("summed", of_one("bchw->bw")),
        ("all in the alphabet's order", of_one("dcba")),
        ("diagonal", square("bcii->bci")),
        ("trace", square("bcii->bc")),
        ("trace without an arrow", square("bcii")),
        ("the rest", of_one("...hw->...wh")),
        ("channels mixed", by("bchw,ck->bkhw", &[4, 5])),
        (
            "channels mixed first",
            tiny(
                vec![node("Einsum", "c x", "y", vec![text("equation", "k c, b c h w -> b k h w")])],
                vec![weights("c", &[5, 4])],
            ),
        ),
        ("by batches", by("bchw,bwk->bchk", &[2, 7, 3])),
        ("weighted", by("bchw,bc->bhw", &[2, 4])),
        ("element by element", by("bchw,bchw->bchw", &[2, 4, 6, 7])),
        ("gated", by("bchw,bc->bchw", &[2, 4])),
        ("outer", by("bchw,k->kbchw", &[3])),
        ("without an arrow", by("bchw,wk", &[7, 3])),
        ("of all but the last", by("...w,wk->...k", &[7, 3])),
        ("the rest repeated", by("...hw,...wk->...hk", &[1, 4, 7, 3])),
        ("the rest of ones", by("...w,...w->...", &[1, 4, 1, 7])),
        ("summed on one side", by("bchw,bk->bc", &[2, 3])),
        ("with itself", with_itself),
        ("of three", three),
    ]);
}

#[test]
fn pooling() {
    let pool = |op, attributes| one(op, attributes, vec![]);
    let kernel = || list("kernel_shape", &[3, 2]);
    let strides = || list("strides", &[2, 2]);
    let mut cases = vec![("GlobalAveragePool", pool("GlobalAveragePool", vec![]))];
    for op in ["MaxPool", "AveragePool"] {
        cases.extend([
            (op, pool(op, vec![kernel()])),
            (op, pool(op, vec![kernel(), strides(), list("pads", &[1, 1, 1, 1])])),
            (op, pool(op, vec![kernel(), strides(), list("pads", &[0, 1, 2, 0])])),
            (op, pool(op, vec![kernel(), list("strides", &[2, 3]), list("pads", &[1, 0, 1, 0]), int("ceil_mode", 1)])),
            (op, pool(op, vec![kernel(), strides(), text("auto_pad", "SAME_UPPER")])),
        ]);
    }
    let counted = vec![kernel(), strides(), list("pads", &[1, 1, 1, 1]), int("count_include_pad", 1)];
    cases.push(("MaxPool dilated", pool("MaxPool", vec![kernel(), list("dilations", &[2, 3])])));
    cases.push(("AveragePool with pads", pool("AveragePool", counted)));
    all(cases);
}

#[test]
fn resizing() {
    let scaled = |attributes, scales: [f32; 4]| {
        let mut model = one("Resize", attributes, vec![floats("scales", &[4], &scales)]);
        model.nodes[0].input.insert(1, String::new());
        model
    };
    let sized = |attributes, sizes: [i64; 4]| {
        let mut model = one("Resize", attributes, vec![ints("sizes", &sizes)]);
        model.nodes[0].input.splice(1..1, [String::new(), String::new()]);
        model
    };
    let transform = |mode| text("coordinate_transformation_mode", mode);
    let mut cases = Vec::new();
    for mode in ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"] {
        for kind in ["linear", "nearest", "cubic"] {
            let attributes = vec![text("mode", kind), transform(mode)];
            cases.push((mode, scaled(attributes.clone(), [1.0, 1.0, 2.0, 2.0])));
            cases.push((mode, sized(attributes.clone(), [2, 4, 9, 5])));
            cases.push((mode, scaled(attributes, [1.0, 1.0, 0.6, 1.7])));
        }
    }
    for rounding in ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"] {
        let attributes = vec![text("nearest_mode", rounding), transform("asymmetric")];
        cases.push((rounding, scaled(attributes.clone(), [1.0, 1.0, 3.0, 3.0])));
        cases.push((rounding, sized(attributes, [2, 4, 8, 20])));
    }
    let outside = vec![text("mode", "cubic"), int("exclude_outside", 1), float("cubic_coeff_a", -0.5)];
    cases.push(("exclude_outside", scaled(outside, [1.0, 1.0, 1.5, 1.5])));
    let mut upsample =
        one("Upsample", vec![text("mode", "nearest")], vec![floats("scales", &[4], &[1.0, 1.0, 2.0, 2.0])]);
    upsample.opset = 9;
    cases.push(("Upsample", upsample));
    all(cases);
}

#[test]
fn moves() {
    let flat = |op: &str, attributes| one(op, attributes, vec![]);
    let input = |op: &str, attributes, lists: &[(&str, &[i64])]| {
        one(op, attributes, lists.iter().map(|(name, values)| ints(name, values)).collect())
    };
    let slice = |starts: &[i64], ends: &[i64], axes: &[i64], steps: &[i64]| {
        input("Slice", vec![], &[("starts", starts), ("ends", ends), ("axes", axes), ("steps", steps)])
    };
    let pad = |mode, pads: &[i64]| input("Pad", vec![text("mode", mode)], &[("pads", pads)]);
    let squeezed = tiny(
        vec![node("ReduceMean", "x axes", "mean", vec![]), node("Squeeze", "mean axes", "y", vec![])],
        vec![ints("axes", &[-1])],
    );
    let parts = |attributes, constants: Vec<proto::Tensor>, outputs: &str| {
        let inputs = if constants.is_empty() { "x" } else { "x sizes" };
        tiny(vec![node("Split", inputs, outputs, attributes), node("Mul", "a b", "y", vec![])], constants)
    };
    let two = || vec![list("starts", &[1]), list("ends", &[3]), list("axes", &[2])];
    all(vec![
        ("Reshape", input("Reshape", vec![], &[("shape", &[0, -1, 14])])),
        ("Flatten", flat("Flatten", vec![int("axis", 2)])),
        ("Flatten to the end", flat("Flatten", vec![int("axis", -1)])),
        ("Transpose", flat("Transpose", vec![list("perm", &[0, 2, 3, 1])])),
        ("Transpose all", flat("Transpose", vec![])),
        ("Squeeze", squeezed),
        ("Unsqueeze", input("Unsqueeze", vec![], &[("axes", &[-1])])),
        ("Unsqueeze of old", old(12, flat("Unsqueeze", vec![list("axes", &[1])]))),
        ("Concat", tiny(vec![node("Concat", "x c x", "y", vec![int("axis", -1)])], vec![weights("c", &[2, 4, 6, 3])])),
        ("Split", parts(vec![int("axis", 1)], vec![ints("sizes", &[2, 2])], "a b")),
        ("Split evenly", parts(vec![int("axis", 1), int("num_outputs", 2)], vec![], "a b")),
        ("Split of old", old(11, parts(vec![int("axis", 2), list("split", &[3, 3])], vec![], "a b"))),
        ("Slice", slice(&[1, -5], &[3, -1], &[1, 3], &[1, 1])),
        ("Slice backwards", slice(&[-1, 0], &[-100, 100], &[2, 3], &[-2, 3])),
        ("Slice of old", old(9, flat("Slice", two()))),
        ("Gather one", one("Gather", vec![int("axis", 1)], vec![proto::Tensor { dims: vec![], ..ints("at", &[-2]) }])),
        ("Gather several", one("Gather", vec![int("axis", 3)], vec![ints("at", &[5, 0, 0, 3])])),
        ("Pad", pad("constant", &[0, 1, 2, 0, 1, 0, 1, 3])),
        (
            "Pad of value",
            tiny(
                vec![node("Pad", "x pads value axes", "y", vec![])],
                vec![ints("pads", &[1, 2, 0, 3]), scalar("value", 0.5), ints("axes", &[1, -1])],
            ),
        ),
        ("Pad of old", old(10, flat("Pad", vec![list("pads", &[0, 0, 1, 1, 0, 0, 1, 1]), float("value", 2.0)]))),
        ("Pad reflected", pad("reflect", &[0, 0, 2, 3, 0, 0, 1, 0])),
        ("Pad by the edge", pad("edge", &[0, 0, 2, 3, 0, 0, 1, 0])),
    ]);
}

#[test]
fn sums_products_and_normalizations() {
    let reduce = |op, attributes, axes: &[i64]| one(op, attributes, vec![ints("axes", axes)]);
    let channels = || ["gain", "shift", "mean"].map(|name| weights(name, &[4]));
    let variance = || floats("variance", &[4], &[0.5, 1.0, 2.0, 0.1]);
    let norm = || channels().into_iter().chain([variance()]).collect::<Vec<_>>();
    let shaped = |shape: &[i64], nodes: Vec<proto::Node>, constants: Vec<proto::Tensor>| {
        let first = node("Reshape", "x shape", "flat", vec![]);
        tiny([vec![first], nodes].concat(), [vec![ints("shape", shape)], constants].concat())
    };
    let batch = || node("BatchNormalization", "flat gain shift mean variance", "y", vec![float("epsilon", 1e-3)]);
    let single = ["gain", "shift", "mean", "variance"].map(|name| floats(name, &[1], &[0.7]));
    let gemm = |attributes, b: &[i64], c: &[i64]| {
        shaped(&[8, 42], vec![node("Gemm", "flat b c", "y", attributes)], vec![weights("b", b), weights("c", c)])
    };
    let transposed =
        vec![node("Transpose", "x", "t", vec![list("perm", &[0, 1, 3, 2])]), node("MatMul", "x t", "y", vec![])];
    all(vec![
        ("ReduceMean", reduce("ReduceMean", vec![], &[2, 3])),
        ("ReduceMean of old", old(17, one("ReduceMean", vec![list("axes", &[1, -1]), int("keepdims", 0)], vec![]))),
        ("ReduceSum", reduce("ReduceSum", vec![int("keepdims", 0)], &[1])),
        ("ReduceSum of nothing", one("ReduceSum", vec![int("noop_with_empty_axes", 1)], vec![])),
        ("BatchNormalization", one("BatchNormalization", vec![], norm())),
        ("BatchNormalization of rows", shaped(&[-1, 4], vec![batch()], norm())),
        ("BatchNormalization of one", shaped(&[-1, 1], vec![batch()], single.into())),
        ("InstanceNormalization", one("InstanceNormalization", vec![], channels()[..2].to_vec())),
        ("LayerNormalization", one("LayerNormalization", vec![], vec![weights("gain", &[7]), weights("shift", &[7])])),
        ("LayerNormalization of two", one("LayerNormalization", vec![int("axis", 2)], vec![weights("gain", &[6, 7])])),
        ("Softmax", one("Softmax", vec![], vec![])),
        ("Softmax of channels", one("Softmax", vec![int("axis", 1)], vec![])),
        ("Softmax of old", old(11, one("Softmax", vec![int("axis", 2)], vec![]))),
        ("MatMul", one("MatMul", vec![], vec![weights("b", &[7, 5])])),
        ("MatMul of batches", one("MatMul", vec![], vec![weights("b", &[4, 7, 5])])),
        ("MatMul of a vector", one("MatMul", vec![], vec![weights("b", &[7])])),
        ("MatMul by a vector", tiny(vec![node("MatMul", "a x", "y", vec![])], vec![weights("a", &[6])])),
        ("MatMul with itself", tiny(transposed, vec![])),
        ("Gemm", gemm(vec![], &[42, 5], &[5])),
        ("Gemm transposed", gemm(vec![int("transB", 1), float("alpha", 0.5), float("beta", 2.0)], &[5, 42], &[8, 1])),
        ("Gemm all transposed", gemm(vec![int("transA", 1), int("transB", 1)], &[5, 8], &[1])),
    ]);
}

#[test]
fn shape_arithmetic_is_done_at_load() {
    // What PyTorch writes for x.reshape(n, -1, w), for x.expand and for interpolate to another tensor's size.
    let one_of = |index: i64| {
        let (at, shape) = (format!("d{index}"), format!("s{index}"));
        [node("Shape", "x", &shape, vec![]), node("Gather", &format!("{shape} i{index}"), &at, vec![])]
    };
    let index = |at: i64| proto::Tensor { dims: vec![], ..ints(&format!("i{at}"), &[at]) };
    let mut reshape: Vec<proto::Node> = [one_of(0), one_of(3)].concat();
    reshape.extend([
        node("Unsqueeze", "d0 zero", "u0", vec![]),
        node("Unsqueeze", "d3 zero", "u3", vec![]),
        node("Concat", "u0 minus u3", "target", vec![int("axis", 0)]),
        node("Reshape", "x target", "y", vec![]),
    ]);
    let reshape = tiny(reshape, vec![index(0), index(3), ints("zero", &[0]), ints("minus", &[-1])]);
    let one_value = Attribute { name: "value".into(), t: Some(ints("", &[1])), kind: 4, ..Default::default() };
    let expand = vec![
        node("Unsqueeze", "x five", "wide", vec![]),
        node("ConstantOfShape", "rank", "ones", vec![one_value]),
        node("Mul", "ones minus", "minuses", vec![]),
        node("Equal", "asked minuses", "open", vec![]),
        node("Where", "open ones asked", "target", vec![]),
        node("Expand", "wide target", "y", vec![]),
    ];
    let asked = ints("asked", &[-1, -1, -1, -1, 3]);
    let expand = tiny(expand, vec![ints("five", &[4]), ints("rank", &[5]), ints("minus", &[-1]), asked]);
    let resize = vec![
        node("Shape", "x", "shape", vec![int("start", 2)]),
        node("Cast", "shape", "sides", vec![int("to", 1)]),
        node("Mul", "sides factor", "large", vec![]),
        node("Floor", "large", "floor", vec![]),
        node("Cast", "floor", "whole", vec![int("to", 7)]),
        node("Shape", "x", "all", vec![]),
        node("Slice", "all zero two", "front", vec![]),
        node("Concat", "front whole", "sizes", vec![int("axis", 0)]),
        node("Resize", "x - - sizes", "y", vec![text("mode", "linear")]),
    ];
    let resize = tiny(resize, vec![scalar("factor", 1.5), ints("zero", &[0]), ints("two", &[2])]);
    let range = vec![
        node("Size", "x", "count", vec![]),
        node("Div", "count many", "limit", vec![]),
        node("Range", "first limit step", "range", vec![]),
        node("Gather", "x range", "y", vec![int("axis", 2)]),
    ];
    let number = |name: &str, value| proto::Tensor { dims: vec![], ..ints(name, &[value]) };
    let range = tiny(range, vec![number("many", 56), number("first", 0), number("step", 2)]);
    all(vec![("reshape", reshape), ("expand", expand), ("resize", resize), ("range", range)]);
}
