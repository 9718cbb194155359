//! Whole networks: batches, passes, what is refused.

use super::*;
use ops::frozen::Op;

fn kinds(network: &Network<B>, input: [usize; 4]) -> Vec<&'static str> {
    let graph = network.graph(input).unwrap();
    graph.live().map(|id| graph.node(id).op.kind()).filter(|kind| *kind != "input").collect()
}

#[test]
fn any_batch_is_taken_and_gives_the_same_as_its_parts() {
    let conv = node("Conv", "x w", "c", vec![]);
    let flatten = [node("Flatten", "c", "f", vec![]), node("MatMul", "f b", "y", vec![])];
    let model = tiny([vec![conv], flatten.into()].concat(), vec![weights("w", &[3, 4, 3, 3]), weights("b", &[60, 2])]);
    let network = read(&encode(&model), [2, 4, 6, 7]).unwrap();
    let image = 4 * 6 * 7;
    let x = noise(1, 5 * image);
    let (shape, together, _) = run(&network, &x, [5, 4, 6, 7], None);
    assert_eq!(shape, [5, 2]);
    for (part, expected) in x.chunks(image).zip(together.chunks(2)) {
        let (_, alone, _) = run(&network, part, [1, 4, 6, 7], None);
        alone.iter().zip(expected).for_each(|(a, b)| assert!((a - b).abs() < 1e-5));
    }
}

#[test]
fn a_file_for_one_batch_is_run_on_parts() {
    let model = |batch: i64, rest: i64| {
        let nodes = vec![node("Sigmoid", "x", "s", vec![]), node("Reshape", "s shape", "y", vec![])];
        encode(&tiny(nodes, vec![ints("shape", &[batch, rest])]))
    };
    let declared = |bytes: &[u8], batch: i64| {
        let mut file = proto::Model::decode(bytes).unwrap();
        let graph = file.graph.as_mut().unwrap();
        let tensor = graph.input[0].r#type.as_mut().and_then(|kind| kind.tensor_type.as_mut()).unwrap();
        tensor.shape.as_mut().unwrap().dim[0].dim_value = Some(batch);
        file.encode_to_vec()
    };
    // Made for two and says so; made for one and says so, or does not; for one with all else in its second dimension; says two
    // but takes any number.
    let files = [
        (declared(&model(2, 168), 2), [2, 6]),
        (declared(&model(1, 168), 1), [1, 6]),
        (model(1, 168), [5, 6]),
        (model(1, -1), [5, 6]),
        (declared(&model(-1, 168), 2), [3, 6]),
    ];
    for (bytes, batches) in files {
        for n in batches {
            let input = [n, 4, 6, 7];
            let network = read(&bytes, input).unwrap();
            let x = noise(1, n * 168);
            let (shape, y, gradient) = run(&network, &x, input, Some(&vec![1.0; n * 168]));
            assert_eq!(shape, [n, 168]);
            for ((x, y), slope) in x.iter().zip(&y).zip(&gradient) {
                let expected = 1.0 / (1.0 + (-x).exp());
                assert!((y - expected).abs() < 1e-5 && (slope - expected * (1.0 - expected)).abs() < 1e-5);
            }
        }
    }
    // Two alone can be run, so neither one nor three are.
    let network = read(&declared(&model(2, 168), 2), [2, 4, 6, 7]).unwrap();
    let fits = |input: [usize; 4]| network.expect(input, |found| found.len() == 2, "[n, k]");
    fits([4, 4, 6, 7]).unwrap();
    for n in [1, 3] {
        let message = fits([n, 4, 6, 7]).unwrap_err().to_string();
        assert!(message.contains("(Reshape)") && !message.contains('\n'), "{message}");
    }
    let message = network.expect([2, 4, 6, 7], |found| found.len() == 4, "[n, classes, 6, 7]").unwrap_err().to_string();
    assert!(message.contains("[2, 168], [n, classes, 6, 7] is needed"), "{message}");
}

#[test]
fn a_block_of_branches_becomes_two_convolutions() {
    // A training-time RepVGG block, its layer scale and residual, then GELU as PyTorch writes it, then a convolution of an
    // upsampled tensor and another.
    let norm = |name: &str| ["gain", "shift", "mean"].map(|part| weights(&format!("{part}{name}"), &[4]));
    let constants = [norm("a"), norm("b")].concat().into_iter().chain([
        floats("variance", &[4], &[0.5, 1.0, 2.0, 0.1]),
        weights("w1", &[4, 1, 1, 1]),
        weights("w3", &[4, 1, 3, 3]),
        weights("bias", &[4]),
        weights("scale", &[4, 1, 1]),
        floats("root", &[], &[std::f32::consts::SQRT_2]),
        floats("one", &[], &[1.0]),
        floats("half", &[], &[0.5]),
        floats("zero", &[], &[0.0]),
        floats("scales", &[4], &[1.0, 1.0, 2.0, 2.0]),
        floats("back", &[4], &[1.0, 1.0, 0.5, 0.5]),
        weights("w", &[5, 8, 3, 3]),
    ]);
    let branch = |pads: &[i64]| vec![int("group", 4), list("pads", pads)];
    let nearest = || vec![text("coordinate_transformation_mode", "asymmetric"), text("nearest_mode", "floor")];
    let nodes = vec![
        node("Conv", "x w1 bias", "one_by_one", branch(&[0; 4])),
        node("Add", "one_by_one zero", "same", vec![]),
        node("Conv", "x w3", "three_by_three", branch(&[1; 4])),
        node("BatchNormalization", "three_by_three gaina shifta meana variance", "normal", vec![]),
        node("BatchNormalization", "x gainb shiftb meanb variance", "identity", vec![]),
        node("Add", "same normal", "sum", vec![]),
        node("Sub", "sum identity", "difference", vec![]),
        node("Mul", "scale difference", "scaled", vec![]),
        node("Add", "x scaled", "block", vec![]),
        node("Div", "block root", "d", vec![]),
        node("Erf", "d", "e", vec![]),
        node("Add", "e one", "a", vec![]),
        node("Mul", "block a", "m", vec![]),
        node("Mul", "m half", "gelu", vec![]),
        node("Resize", "gelu - back", "small", nearest()),
        node("Resize", "small - scales", "large", nearest()),
        node("Concat", "large gelu", "both", vec![int("axis", 1)]),
        node("Conv", "both w", "c", vec![list("pads", &[1; 4])]),
        node("Relu", "c", "y", vec![]),
    ];
    let model = Tiny { input: [2, 4, 6, 8], ..tiny(nodes, constants.collect()) };
    let bytes = encode(&model);
    let network = read(&bytes, model.input).unwrap();
    assert_eq!(kinds(&network, model.input), ["grouped convolution", "interpolation", "interpolation", "convolution"]);
    let graph = network.graph(model.input).unwrap();
    let last = graph.conv(graph.output()).unwrap();
    assert_eq!(last.shape.sources.iter().map(|source| source.upsample).collect::<Vec<_>>(), [2, 1]);
    assert!(graph.live().all(|id| !matches!(graph.node(id).op, Op::Pointwise(_))));
    if let Some(environment) = environment() {
        let x = noise(1, model.input.iter().product());
        let (_, y, _) = run(&network, &x, model.input, None);
        let (_, expected) = reference(environment, &bytes, &x, model.input);
        y.iter().zip(&expected).for_each(|(a, b)| assert!((a - b).abs() < 1e-4, "{a} {b}"));
    }
}

fn refusal(model: &Tiny) -> String {
    let text = read(&encode(model), model.input).unwrap_err().to_string();
    assert!(!text.contains('\n') && text.contains("; "), "{text}");
    text
}

#[test]
fn what_is_not_supported_is_named_with_its_node() {
    let mut unknown = node("NonMaxSuppression", "x", "y", vec![]);
    unknown.name = "/head/nms".into();
    assert!(refusal(&tiny(vec![unknown], vec![])).contains("'/head/nms' is a NonMaxSuppression"));
    let foreign = proto::Node { domain: "com.microsoft".into(), ..node("FusedConv", "x", "y", vec![]) };
    assert!(refusal(&tiny(vec![foreign], vec![])).contains("node 'y' is a com.microsoft.FusedConv"));
    let weights_of_x = tiny(vec![node("Conv", "x x", "y", vec![])], vec![]);
    assert!(refusal(&weights_of_x).contains("node 'y' (Conv): input 1 must be constant"));
    let mode = tiny(
        vec![node("Resize", "x - scales", "y", vec![text("mode", "lanczos")])],
        vec![floats("scales", &[4], &[1.0, 1.0, 2.0, 2.0])],
    );
    assert!(refusal(&mode).contains("mode 'lanczos'"));
    let training = tiny(vec![node("Dropout", "x - yes", "y", vec![])], vec![ints("yes", &[1])]);
    assert!(refusal(&training).contains("training mode"));
    let misfit = tiny(vec![node("Add", "x c", "y", vec![])], vec![weights("c", &[5])]);
    assert!(refusal(&misfit).contains("do not fit"));
    assert!(refusal(&Tiny { opset: 6, ..tiny(vec![node("Relu", "x", "y", vec![])], vec![]) }).contains("version 6"));
    let huge = tiny(
        vec![node("ConstantOfShape", "dims", "c", vec![]), node("Add", "x c", "y", vec![])],
        vec![ints("dims", &[1 << 40, 1 << 40])],
    );
    assert!(refusal(&huge).contains("too large"));
    let upscaled = |attributes: Vec<Attribute>| {
        refusal(&tiny(vec![node("ConvTranspose", "x w", "y", attributes)], vec![weights("w", &[4, 2, 3, 3])]))
    };
    assert!(upscaled(vec![list("pads", &[9, 9, 9, 9])]).contains("leave nothing"));
    assert!(upscaled(vec![int("group", 3)]).contains("does not fit 4 channels"));
    assert!(upscaled(vec![list("strides", &[1 << 40, 1])]).contains("too large"));
    assert!(upscaled(vec![list("strides", &[1 << 14, 1 << 14])]).contains("too large"));
    let blocks = tiny(vec![node("DepthToSpace", "x", "y", vec![int("blocksize", 3)])], vec![]);
    assert!(refusal(&blocks).contains("no blocks of 3x3"));
    let slopes = tiny(vec![node("PRelu", "x c", "y", vec![])], vec![weights("c", &[2, 2, 4, 6, 7])]);
    assert!(refusal(&slopes).contains("slopes of [2, 2, 4, 6, 7]"));
    for equation in ["bchw", "bchw,cd->bdz", "bchw,cd->bdhh", "bchw,wd->bchd", "bc?w,cd", "b...,cd->...->d", ""] {
        let sum = node("Einsum", "x c", "y", vec![text("equation", equation)]);
        assert!(refusal(&tiny(vec![sum], vec![weights("c", &[4, 3])])).contains("(Einsum)"), "{equation}");
    }
    let unread = tiny(vec![node("Relu", "x", "z", vec![]), node("Neg", "c", "y", vec![])], vec![weights("c", &[5])]);
    assert!(refusal(&unread).contains("does not depend"));
}

#[test]
fn inputs_and_outputs_that_do_not_fit_are_refused() {
    let model = tiny(vec![node("Relu", "x", "y", vec![])], vec![]);
    let text = read(&encode(&model), [2, 3, 6, 7]).unwrap_err().to_string();
    assert!(text.contains("x [?, 4, 6, 7]") && text.contains("[2, 3, 6, 7]"), "{text}");
    let network = read(&encode(&model), [2, 4, 6, 7]).unwrap();
    let x = Tensor::<B, 4>::zeros([2, 4, 6, 7], &Default::default());
    let text = network.forward::<2>(x).unwrap_err().to_string();
    assert!(text.contains("[2, 4, 6, 7]") && text.contains("2 dimensions"), "{text}");
    let absent = Network::<B>::read("no/such.onnx".as_ref(), [1, 4, 6, 7], &Default::default()).unwrap_err();
    assert!(absent.to_string().contains("no/such.onnx: cannot read"), "{absent}");
}
