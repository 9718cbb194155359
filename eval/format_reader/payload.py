"""The payload: the page's "Tensors", "Latents" and "Sidecar"."""

import math

from .bits import Adaptive, Field, Float, Malformed, clamp, divide
from .values import Levels, Mixer, Regression, Whitening, limited


# Tensors


class Grid:
    """The regression of the stem."""

    def __init__(self, width):
        self.regression, self.width = Regression([20 * 2**18] * 6), width

    def predict(self, cells, cell, channel, input_, inputs):
        width, at = self.width, channel * inputs + input_
        left, up, right = cell % width > 0, cell >= width, cell % width < width - 1
        self.around = [
            cells[cell - 1][at] if left else 0,
            cells[cell - width][at] if up else 0,
            cells[cell - width - 1][at] if up and left else 0,
            cells[cell - width + 1][at] if up and right else 0,
            cells[cell][at - inputs] if channel > 0 else 0,
        ]
        return self.regression.predict(self.around)

    def learn(self, cell, v):
        for i in range(5):
            self.regression.learn(self.around[:i], self.around[i], False)
        self.regression.learn(self.around, v, True)


class AcrossCells:
    def __init__(self, length):
        self.whitening = Whitening(length, 50 * 2**18)

    def predict(self, cells, cell, channel, input_, inputs):
        at = channel * inputs + input_
        return self.whitening.predict(cell, lambda other: cells[other][at])

    def learn(self, cell, v):
        self.whitening.learn(cell, v)


class Group:
    def __init__(self, role, shape, width, before):
        channels, phases, inputs, taps = shape
        self.role, self.shape, self.cells = role, shape, []
        if before and before.role == role == "hidden" and before.shape[1::2] == shape[1::2]:
            self.across_cells = before.across_cells
            self.across_cells.whitening.halve()
        elif role == "stem":
            self.across_cells = Grid(width)
        else:
            cells = phases * taps
            self.across_cells = AcrossCells({"hidden": cells + 1, "head": 2 * cells, "skip": cells}[role])
        self.across_inputs = Whitening(inputs, 300 * 2**18)
        self.across_channels = Whitening(channels, 600 * 2**18)

    def takes(self, role, shape):
        same = self.shape[0] == shape[0] and self.shape[2] == shape[2]
        return same and (self.role, role) in (("hidden", "skip"), ("head", "head"))


class TensorModel:
    def __init__(self):
        self.bits, self.per_row, self.steps = Field(3), Adaptive(), Float()
        self.mixers = [Mixer(Levels.FAMILIES, (16384, 24576, 24576)) for _ in range(2)]
        self.groups = [None, None]

    def decode(self, coder, tensor):
        bits = 2 + self.bits.decode(coder)
        if bits > 8:
            raise Malformed("a tensor of more than 8 bits")
        rows = tensor["shape"][0]
        steps = [self.steps.decode(coder) for _ in range(rows if self.per_row.decode(coder) else 1)]
        bias = len(tensor["shape"]) == 1
        inputs = 1 if bias else tensor["shape"][1]
        taps = math.prod(tensor["shape"][2:])
        shape = (rows // tensor["phases"], tensor["phases"], inputs, taps)
        group = self.groups[bias]
        if not (group and group.takes(tensor["role"], shape)):
            group = self.groups[bias] = Group(tensor["role"], shape, tensor["width"], group)
        return bits, steps, self.integers(coder, self.mixers[bias], group, shape, bits)

    def integers(self, coder, mixer, group, shape, bits):
        channels, phases, inputs, taps = shape
        cells, first_cell = phases * taps, len(group.cells)
        group.cells += [[0] * (channels * inputs) for _ in range(cells)]
        half, levels = 1 << (bits - 1), Levels(bits)
        overall = [half << 14, 1]
        parts = [[[0, 0] for _ in range(n)] for n in (channels * phases, inputs, cells)]
        values = [0] * (channels * phases * inputs * taps)
        after_cells = [0] * inputs
        after_inputs = [[0] * channels for _ in range(cells * inputs)]
        for channel in range(channels):
            for cell in range(cells):
                row = channel * phases + cell // taps
                for input_ in range(inputs):
                    number = first_cell + cell
                    g0 = group.across_cells.predict(group.cells, number, channel, input_, inputs)
                    g1 = group.across_inputs.predict(input_, lambda i: after_cells[i])
                    left = after_inputs[cell * inputs + input_]
                    g2 = group.across_channels.predict(channel, lambda c: left[c])
                    centre = clamp((half << 16) + ((g0 + g1 + g2) >> (10 - bits)), 0, 2 ** (16 + bits) - 1)
                    mean = spread = max(overall[0] // overall[1], 1)
                    own = [part[at] for part, at in zip(parts, (row, input_, cell))]
                    for total, number_of in own:
                        spread = spread * ((total + 80 * mean) // (number_of + 80)) // mean
                    symbol = levels.decode(coder, mixer, centre, spread)
                    deviation = abs((symbol << 16) - centre)
                    for entry in [overall] + own:
                        entry[0] += deviation
                        entry[1] += 1
                    q = symbol - half
                    values[(row * inputs + input_) * taps + cell % taps] = q
                    x = q << (12 - bits)
                    group.cells[number][channel * inputs + input_] = x
                    after_cells[input_] = limited(x - (g0 >> 14))
                    left[channel] = limited(x - ((g0 + g1) >> 14))
                    group.across_cells.learn(number, x)
                    group.across_inputs.learn(input_, after_cells[input_])
                    group.across_channels.learn(channel, left[channel])
        return values


# Latents


class Piece:
    def __init__(self, size):
        self.size = size
        self.innovations = Regression([400 * 480**2] * (2 * size) + [60 * 480**2] * size)
        self.v = [0] * (3 * size)
        self.dimensions = [Dimension() for _ in range(size)]

    def move_on(self):
        self.v = self.v[2 * self.size :] + self.v[: 2 * self.size]
        for j in range(2 * self.size):
            self.innovations.learn(self.v[:j], self.v[j], False)


class Dimension:
    def __init__(self):
        self.past, self.levels = [], Levels(8)
        self.sum, self.count, self.deviation, self.weight = 2560, 20, 30 << 16, 4


class LatentModel:
    def __init__(self, dim, bits):
        self.dim = dim
        self.past = Regression([10 * 480**2] * 21)
        self.pieces = [Piece(min(32, dim - start)) for start in range(0, dim, 32)]
        self.mixer = Mixer(Levels.FAMILIES, (65536, 0, 0))
        self.activity = 65536
        self.low = [Adaptive() for _ in range(bits - 8)]

    def decode(self, coder):
        """One latent."""
        loudness = (65536 + self.activity) // 2
        values, errors = [], 0
        for piece in self.pieces:
            piece.move_on()
            for i in range(piece.size):
                value, relative = self.symbol(coder, piece, i, loudness)
                errors += relative
                for state in self.low:
                    value = 2 * value + state.decode(coder)
                values.append(value)
        self.activity += divide((errors // self.dim - self.activity) * 3, 10)
        return values

    def symbol(self, coder, piece, i, loudness):
        at, own = 2 * piece.size + i, piece.dimensions[i]
        mean = (own.sum << 16) // own.count

        def x(value):
            return ((value << 16) - mean) >> 12

        b = [x(value) for value in own.past] + [0] * (20 - len(own.past))
        usual = divide((11 * b[0] + 5 * b[1]) * 2**14, 20)
        expected = usual + self.past.predict(b)
        guess = expected + piece.innovations.predict(piece.v[:at])
        centre = clamp(mean + (guess >> 2), 0, 2**24 - 1)
        s = own.levels.decode(coder, self.mixer, centre, own.deviation * loudness // 65536)

        for k in range(20):
            self.past.learn(b[:k], b[k], False)
        self.past.learn(b, limited(x(s) - (usual >> 14)), True)
        piece.v[at] = limited(x(s) - (expected >> 14))
        piece.innovations.learn(piece.v[:at], piece.v[at], True)
        error = abs((s << 16) - centre)
        relative = error * 65536 // own.deviation
        own.past = [s] + own.past[:19]
        own.sum += s
        own.count += 1
        own.weight = min(own.weight + 1, 600)
        own.deviation = max(own.deviation + divide(error * 65536 // loudness - own.deviation, own.weight), 8192)
        return s, relative


def latents(coder, number, dim, bits):
    minima, steps = [[state.decode(coder) for _ in range(dim)] for state in (Float(), Float())]
    model = LatentModel(dim, bits)
    return minima, steps, [value for _ in range(number) for value in model.decode(coder)]


# Sidecar


def sidecar(coder, samples, dim):
    """(sample, target, amount) of each correction."""
    corrections = []
    if not Adaptive().decode(coder):
        return corrections
    targets = dim + 60
    by_kind, by_target = [[Adaptive() for _ in range(4)] for _ in range(2)], [Adaptive() for _ in range(targets)]
    by_past, signs = [Adaptive(), Adaptive()], [[Adaptive() for _ in range(3)] for _ in range(2)]
    magnitudes, mixer, last = [Field(5), Field(5)], Mixer((4, 1), (21845,) * 3), [0] * targets
    for sample in range(samples):
        before = 0
        for target in range(targets):
            kind = int(target >= dim)
            states = by_kind[kind][min(before, 3)], by_target[target], by_past[last[target] != 0]
            there = mixer.decode(coder, (min(before, 3), 0), [state.odds() for state in states])
            for state in states:
                state.learn(there)
            amount = 0
            if there:
                negative = signs[kind][0 if last[target] == 0 else 1 if last[target] > 0 else 2].decode(coder)
                amount = magnitudes[kind].decode(coder) + 1
                if amount > 31:
                    raise Malformed("a correction of 32")
                amount = -amount if negative else amount
                corrections.append((sample, target, amount))
                before += 1
            last[target] = amount
        if len(corrections) > 2**20:
            raise Malformed("too many corrections")
    if not corrections:
        raise Malformed("a sidecar without corrections")
    return corrections
