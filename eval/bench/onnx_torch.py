"""An ONNX evaluator in PyTorch: `onnx_torch.py MODEL CHANNELS ROWS COLUMNS LAYOUT`, with LAYOUT `contiguous` or `channels-last`.
Answers each line `THREADS BATCH RUNS` on standard input with seconds of forward pass and input gradient, for all runs.

The network is what one who knows PyTorch would write: weights frozen, shape arithmetic computed once, batch normalization folded
into a convolution right before it, SiLU and GELU by PyTorch's own functions.
"""

import sys
import time
from functools import cache

import onnx
import torch
from onnx import helper, numpy_helper
from torch.nn import functional as F

LAYOUTS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
ELEMENTWISE = {"Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": torch.div, "Pow": torch.pow}
UNARY = {"Sigmoid": torch.sigmoid, "Relu": F.relu, "Tanh": torch.tanh, "Erf": torch.erf, "Sqrt": torch.sqrt, "Exp": torch.exp}


class Network:
    """Runs a list of (function, names of its tensors, name of its result), made for one input shape."""

    def __init__(self, model, example, layout):
        self.layout = layout
        graph = model.graph
        self.input, self.output = graph.input[0].name, graph.output[0].name
        self.constants = {tensor.name: self.tensor(tensor) for tensor in graph.initializer}
        self.nodes = [node for node in graph.node if not self.constant(node)]
        self.made = {node.output[0]: node for node in self.nodes}
        self.readers = {}
        for node in self.nodes:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.fold()
        self.steps = []
        self.trace(example)
        self.prune()

    def tensor(self, stored):
        values = torch.from_numpy(numpy_helper.to_array(stored).copy())
        return values.contiguous(memory_format=self.layout) if values.dim() == 4 else values

    def constant(self, node):
        if node.op_type == "Constant":
            self.constants[node.output[0]] = self.tensor(node.attribute[0].t)
        elif node.op_type == "Identity" and node.input[0] in self.constants:
            self.constants[node.output[0]] = self.constants[node.input[0]]
        return node.output[0] in self.constants

    def fold(self):
        """Folds batch normalization into a convolution that nobody else reads."""
        for node in self.nodes:
            conv = self.made.get(node.input[0])
            if node.op_type != "BatchNormalization" or conv is None or conv.op_type != "Conv" or len(self.readers[node.input[0]]) > 1:
                continue
            epsilon = next((attribute.f for attribute in node.attribute if attribute.name == "epsilon"), 1e-5)
            gain, bias, mean, variance = (self.constants[name] for name in node.input[1:])
            scale = gain / torch.sqrt(variance + epsilon)
            weight = self.constants[conv.input[1]]
            # A convolution may come without a bias: no third input, or one without a name.
            old = self.constants[conv.input[2]] if len(conv.input) > 2 and conv.input[2] else torch.zeros_like(mean)
            names = [node.output[0] + "/weight", node.output[0] + "/bias"]
            self.constants |= dict(zip(names, [weight * scale[:, None, None, None], (old - mean) * scale + bias]))
            conv.input[1:] = names
            node.op_type = "Identity"
            del node.input[1:]

    def trace(self, example):
        """Runs every node once; what does not depend on the input's values is a constant from then on."""
        values = {self.input: example}
        for node in self.nodes:
            result = node.output[0]
            whole = self.known(node)
            if whole and whole[1] in values:
                function, names = whole[0], [whole[1]]
            else:
                function, names = self.function(node), list(node.input)
            dynamic = [name for name in names if name in values]
            if node.op_type == "Shape":
                self.constants[result] = torch.tensor(values[names[0]].shape) if dynamic else function(self.constants[names[0]])
            elif not dynamic:
                self.constants[result] = function(*(self.constants.get(name) for name in names))
            else:
                call = self.bound(function, names, set(dynamic))
                values[result] = call(*(values[name] for name in dynamic))
                self.steps.append((call, dynamic, result))

    def bound(self, function, names, dynamic):
        fixed = [None if name in dynamic else self.constants.get(name) for name in names]
        if len(dynamic) == len(names):
            return function
        places = [index for index, name in enumerate(names) if name in dynamic]

        def call(*values):
            arguments = list(fixed)
            for place, value in zip(places, values):
                arguments[place] = value
            return function(*arguments)

        return call

    def prune(self):
        """Drops steps that nobody reads, such as the parts of what became one function."""
        needed, kept = {self.output}, []
        for step in reversed(self.steps):
            if step[2] in needed:
                needed.update(step[1])
                kept.append(step)
        self.steps = kept[::-1]
        last = {name: index for index, (_, names, _) in enumerate(self.steps) for name in names}
        self.dead = [[name for name, at in last.items() if at == index] for index in range(len(self.steps))]

    def known(self, node):
        """A function of PyTorch that a chain ending in this node is, with the name of what it is applied to."""
        if node.op_type != "Mul":
            return None
        for gate, x in (node.input, reversed(node.input)):
            if gate in self.made and self.made[gate].op_type == "Sigmoid" and self.made[gate].input[0] == x:
                return F.silu, x
        # 0.5 * (x * (1 + curve)), curve being tanh(0.798 * (x + 0.0447 * x * x * x)).
        inner = self.parts(node, 0.5)
        if inner is None or inner.op_type != "Mul":
            return None
        for gate, x in (inner.input, reversed(inner.input)):
            gate = self.made.get(gate)
            curve = self.parts(gate, 1.0) if gate is not None and gate.op_type == "Add" else None
            if curve is not None and curve.op_type == "Tanh":
                return lambda x: F.gelu(x, approximate="tanh"), x
        return None

    def parts(self, node, number):
        """The node that makes the operand beside a number."""
        for one, other in (node.input, reversed(node.input)):
            value = self.constants.get(one)
            if value is not None and value.numel() == 1 and float(value) == number:
                return self.made.get(other)
        return None

    def function(self, node):
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        kind = node.op_type
        if kind in ELEMENTWISE:
            return ELEMENTWISE[kind]
        if kind in UNARY:
            return UNARY[kind]
        return getattr(self, kind.lower())(node, attributes)

    def identity(self, node, attributes):
        return lambda x: x

    def conv(self, node, attributes):
        top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
        assert (top, left) == (bottom, right) and attributes.get("auto_pad", b"NOTSET") == b"NOTSET", node.name
        options = {"padding": (top, left), "groups": attributes.get("group", 1)}
        options |= {"stride": attributes.get("strides", 1), "dilation": attributes.get("dilations", 1)}
        return lambda x, weight, bias=None: F.conv2d(x, weight, bias, **options)

    def batchnormalization(self, node, attributes):
        epsilon = attributes.get("epsilon", 1e-5)
        gain, bias, mean, variance = (self.constants[name] for name in node.input[1:])
        return lambda x, *_: F.batch_norm(x, mean, variance, gain, bias, eps=epsilon)

    def gemm(self, node, attributes):
        assert attributes.get("transB") == 1 and attributes.get("alpha", 1) == attributes.get("beta", 1) == 1
        return lambda x, weight, bias=None: F.linear(x, weight, bias)

    def resize(self, node, attributes):
        assert attributes["mode"] == b"nearest" and attributes["nearest_mode"] == b"floor", node.name

        def resize(x, roi, scales, sizes=None):
            size = [int(v) for v in sizes[2:]] if sizes is not None and sizes.numel() else None
            factor = None if size else [float(v) for v in scales[2:]]
            return F.interpolate(x, size=size, scale_factor=factor, mode="nearest")

        return resize

    def reducemean(self, node, attributes):
        keep = bool(attributes.get("keepdims", 1))
        axes = attributes.get("axes")
        return lambda x, given=None: x.mean(axes or given.tolist(), keepdim=keep)

    def globalaveragepool(self, node, attributes):
        return lambda x: F.adaptive_avg_pool2d(x, 1)

    def concat(self, node, attributes):
        return lambda *parts: torch.cat(parts, attributes["axis"])

    def flatten(self, node, attributes):
        return lambda x: x.flatten(attributes.get("axis", 1))

    def reshape(self, node, attributes):
        return lambda x, shape: x.reshape(shape.tolist())

    def shape(self, node, attributes):
        return lambda x: torch.tensor(x.shape)

    def gather(self, node, attributes):
        return lambda x, index: x.index_select(attributes.get("axis", 0), index.reshape(-1)).reshape(index.shape)

    def unsqueeze(self, node, attributes):
        return lambda x, axes: x.reshape((1,) * axes.numel() + tuple(x.shape))

    def slice(self, node, attributes):
        return lambda x, starts, ends, axes=None, steps=None: x[int(starts) : int(ends)]

    def cast(self, node, attributes):
        return lambda x: x

    def __call__(self, x):
        values = {self.input: x}
        for (function, names, result), dead in zip(self.steps, self.dead):
            values[result] = function(*(values[name] for name in names))
            for name in dead:
                values.pop(name, None)
        return values[self.output]


def main():
    path, channels, rows, columns, layout = sys.argv[1:]
    model, layout = onnx.load(path), LAYOUTS[layout]
    sizes = int(channels), int(rows), int(columns)

    @cache
    def ready(batch):
        count = batch * sizes[0] * sizes[1] * sizes[2]
        x = (torch.arange(count) * 7919 % 1009 / 4.0).reshape(batch, *sizes).contiguous(memory_format=layout)
        with torch.no_grad():
            return Network(model, x, layout), x

    def run(batch):
        network, x = ready(batch)
        x = x.detach().requires_grad_()
        output = network(x)
        output.backward(torch.ones_like(output))

    for line in sys.stdin:
        threads, batch, runs = map(int, line.split())
        torch.set_num_threads(threads)
        ready(batch)
        start = time.perf_counter()
        for _ in range(runs):
            run(batch)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
