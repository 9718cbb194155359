#!/usr/bin/env python3
"""Makes the tiny ONNX models beside this file (pip install onnx).

segnet.onnx, posenet.onnx fit. Each of the others is wrong in the one way that its name says; those with "unknown" in the
name declare no sizes, so that only running them shows it.
"""

from pathlib import Path

import onnx
from onnx import TensorProto, helper, numpy_helper

IMAGE = ["n", 3, 384, 512]
LOGITS = ["n", 4, 384, 512]
YUV = ["n", 12, 192, 256]
FLOAT = TensorProto.FLOAT


def tensor(name, shape, values):
    return helper.make_tensor(name, FLOAT, shape, values)


def save(name, nodes, inputs, outputs, weights=(), beside=None):
    value = lambda entry: helper.make_tensor_value_info(*entry)
    graph = helper.make_graph(nodes, "g", [value(i) for i in inputs], [value(o) for o in outputs], list(weights))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    folder = Path(__file__).parent
    if beside:
        options = dict(save_as_external_data=True, location=beside, size_threshold=0)
        onnx.save(model, folder / f"{name}.onnx", **options)
        (folder / beside).unlink()
    else:
        onnx.save(model, folder / f"{name}.onnx")


# Four classes: dark, and the three colours when they stand out.
CLASSES = [
    tensor("w", [4, 3, 1, 1], [0, 0, 0, 1, -0.5, -0.5, -0.5, 1, -0.5, -0.5, -0.5, 1]),
    tensor("b", [4], [10, 0, 0, 0]),
]
CONV = helper.make_node("Conv", ["image", "w", "b"], ["logits"])
save("segnet", [CONV], [("image", FLOAT, IMAGE)], [("logits", FLOAT, LOGITS)], CLASSES)

RAW = [numpy_helper.from_array(numpy_helper.to_array(weight), weight.name) for weight in CLASSES]
save("segnet-weights-beside", [CONV], [("image", FLOAT, IMAGE)], [("logits", FLOAT, LOGITS)], RAW, beside="weights.data")

MEAN = [
    helper.make_node("GlobalAveragePool", ["yuv6_pair"], ["mean"]),
    helper.make_node("Flatten", ["mean"], ["flat"]),
    helper.make_node("Mul", ["flat", "scale"], ["pose"]),
]
SCALE = [tensor("scale", [1], [0.01])]
save("posenet", MEAN, [("yuv6_pair", FLOAT, YUV)], [("pose", FLOAT, ["n", 12])], SCALE)

# Declare any number of images and hold a constant on the way: that of one can be run on one after another.
for name, count in [("posenet-of-one", 1), ("posenet-of-two", 2)]:
    KEPT = [helper.make_node("Reshape", ["mean", "kept"], ["held"]), helper.make_node("Reshape", ["held", "flattened"], ["flat"])]
    SHAPES = [
        helper.make_tensor("kept", TensorProto.INT64, [3], [count, 12, -1]),
        helper.make_tensor("flattened", TensorProto.INT64, [2], [-1, 12]),
    ]
    save(name, [MEAN[0], *KEPT, MEAN[2]], [("yuv6_pair", FLOAT, YUV)], [("pose", FLOAT, ["n", 12])], [*SCALE, *SHAPES])

POOL = [helper.make_node("AveragePool", ["conv"], ["logits"], kernel_shape=[2, 2], strides=[2, 2])]
CONV_THEN = helper.make_node("Conv", ["image", "w", "b"], ["conv"])
HALF = [CONV_THEN, *POOL]
save("segnet-half-size", HALF, [("image", FLOAT, IMAGE)], [("logits", FLOAT, ["n", 4, 192, 256])], CLASSES)
save("segnet-unknown-half-size", HALF, [("image", FLOAT, ["n", 3, "h", "w"])], [("logits", FLOAT, ["n", 4, "a", "b"])], CLASSES)

NAN = [CONV_THEN, helper.make_node("Sqrt", ["conv"], ["logits"])]
save("segnet-not-a-number", NAN, [("image", FLOAT, IMAGE)], [("logits", FLOAT, LOGITS)], CLASSES)

DOUBLE = [helper.make_node("Cast", ["image"], ["single"], to=FLOAT), helper.make_node("Conv", ["single", "w", "b"], ["logits"])]
save("segnet-double", DOUBLE, [("image", TensorProto.DOUBLE, IMAGE)], [("logits", FLOAT, LOGITS)], CLASSES)

TWO = [helper.make_node("Add", ["image", "second"], ["sum"]), helper.make_node("Conv", ["sum", "w", "b"], ["logits"])]
save("segnet-two-inputs", TWO, [("image", FLOAT, IMAGE), ("second", FLOAT, IMAGE)], [("logits", FLOAT, LOGITS)], CLASSES)

FIVE = [*MEAN[:2], helper.make_node("Gather", ["flat", "first"], ["pose"], axis=1)]
FIRST = [helper.make_tensor("first", TensorProto.INT64, [5], [0, 1, 2, 3, 4])]
save("posenet-five-values", FIVE, [("yuv6_pair", FLOAT, YUV)], [("pose", FLOAT, ["n", 5])], FIRST)
