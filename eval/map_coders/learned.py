"""A learned entropy model for the same maps, of the kind that the challenge's leading entries carry: masked convolutions that
give each pixel's class a probability, from the pixels before it and from the map before, fitted to one clip and sent with it.
Trains one, prints and keeps what it makes of the maps:

    python learned.py ../work/maps/road.maps --channels 64 --minutes 60 --out ../work/maps/learned-road-64.json

Bytes are those of the weights (8 bits, LZMA) and the cross-entropy of all pixels under these weights. There is no coder behind
it: a decoder would run the network once for each pixel, or for each front of pixels that do not see each other.
"""

import argparse
import json
import lzma
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

ROWS, COLUMNS = 384, 512
# Numbers that tell a frame's place in the clip.
PLACES = 4
BATCH, CROP = 8, 128
# How far a pixel sees: 3 of the first convolution, 4 and 4 of the others.
REACH = 11
# The part of the training after which weights are rounded.
ROUNDED = 0.7
RATE = 4e-3
# How values lie in memory: depthwise convolutions of a processor are twice as fast.
LAYOUT = torch.channels_last


def step_of(weight):
    """The step of a tensor on 8 bits."""
    return weight.abs().max().clamp_min(1e-8) / 127


class Rounded(torch.autograd.Function):
    """Weights on 8 bits, one step a tensor; gradients pass."""

    @staticmethod
    def forward(ctx, weight):
        step = step_of(weight)
        return (weight / step).round() * step

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Masked(nn.Conv2d):
    """A convolution that sees what is read before the pixel in the middle; kind B sees that pixel too, None sees all."""

    def __init__(self, inputs, outputs, kernel, kind=None, **options):
        super().__init__(inputs, outputs, kernel, padding="same", **options)
        seen = torch.arange(kernel * kernel) < kernel * kernel // 2 + (kind == "B")
        mask = seen.view(kernel, kernel) if kind else torch.ones(kernel, kernel, dtype=bool)
        self.register_buffer("mask", mask)

    def forward(self, values, rounded):
        weight, bias = self.weight * self.mask, self.bias
        if rounded:
            # Biases, which are few, are sent with 16 bits.
            weight, bias = Rounded.apply(weight), None if bias is None else bias.half().float()
        return self._conv_forward(values, weight, bias)


class Block(nn.Module):
    """Residual: depthwise convolutions over this map's features and, of 3x3, those of the map before, then mixing by 1x1."""

    def __init__(self, channels, kernel, dilation):
        super().__init__()
        depthwise = {"dilation": dilation, "groups": channels}
        self.here = Masked(channels, channels, kernel, "B", **depthwise)
        self.before = Masked(channels, channels, 3, bias=False, **depthwise)
        self.mix = Masked(channels, channels, 1)

    def forward(self, values, before, rounded):
        mixed = F.gelu(self.here(values, rounded) + self.before(before, rounded))
        return values + self.mix(mixed, rounded)


class Model(nn.Module):
    def __init__(self, classes, channels):
        super().__init__()
        self.here = Masked(classes - 1, channels, 7, "A")
        self.before = Masked(classes - 1, channels, 3, bias=False)
        self.place = Masked(PLACES, 2 * channels, 1, bias=False)
        self.blocks = nn.ModuleList([Block(channels, 5, 2), Block(channels, 3, 4)])
        self.head = Masked(channels, classes, 1)
        # At first a frame's place changes nothing.
        nn.init.zeros_(self.place.weight)

    def one_hot(self, maps):
        """All classes but the last, which is none of them."""
        maps = F.one_hot(maps, self.head.out_channels).movedim(-1, 1)[:, :-1]
        return maps.float().contiguous(memory_format=LAYOUT)

    def forward(self, here, before, place, rounded):
        """Logits [n, classes, rows, columns] of maps [n, rows, columns], the maps before, and places [n, PLACES]."""
        before = self.before(self.one_hot(before), rounded)
        scale, shift = self.place(place[..., None, None], rounded).chunk(2, 1)
        values = (self.here(self.one_hot(here), rounded) + before) * (1 + scale) + shift
        for block in self.blocks:
            values = block(F.gelu(values), F.gelu(before), rounded)
        return self.head(F.gelu(values), rounded)

    def size(self):
        """Numbers that are sent, and the bytes that they take."""
        parts = []
        for layer in self.modules():
            if isinstance(layer, Masked):
                weight = layer.weight.detach().cpu()[..., layer.mask.cpu()]
                step = step_of(weight)
                levels = (weight / step).round().to(torch.int8)
                parts.append((weight.numel(), step.numpy().tobytes() + levels.numpy().tobytes()))
                if layer.bias is not None:
                    parts.append((layer.bias.numel(), layer.bias.detach().cpu().half().numpy().tobytes()))
        data = b"".join(part for _, part in parts)
        filters = [{"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "pb": 0}]
        coded = lzma.compress(data, lzma.FORMAT_RAW, filters=filters)
        return sum(count for count, _ in parts), min(len(data), len(coded))


class Maps:
    """Maps [count, rows, columns] and what the model sees of them."""

    def __init__(self, path, device):
        maps = np.fromfile(path, np.uint8).reshape(-1, ROWS, COLUMNS)
        self.classes = int(maps.max()) + 1
        self.maps = torch.from_numpy(maps).to(device)
        times = torch.arange(len(maps), device=device) / max(len(maps) - 1, 1)
        self.places = torch.stack([torch.cos(math.pi * k * times) for k in range(1, PLACES + 1)], 1)

    def part(self, frame, rows, columns):
        """A map's part, and that of the map before; before the first all is the last class."""
        here = self.maps[frame, rows, columns].long()
        return here, self.maps[frame - 1, rows, columns].long() if frame > 0 else torch.full_like(here, self.classes - 1)

    def batch(self, generator):
        """Squares from anywhere, the maps before, their places, and weights: 0 where neighbours lie outside the square."""
        parts, weights, frames = [], [], generator.integers(len(self.maps), size=BATCH)
        for frame in frames:
            top, left = generator.integers(ROWS - CROP + 1), generator.integers(COLUMNS - CROP + 1)
            parts.append(self.part(frame, slice(top, top + CROP), slice(left, left + CROP)))
            weight = torch.zeros(CROP, CROP)
            first, last = top and REACH, CROP - (REACH if left + CROP < COLUMNS else 0)
            weight[first : CROP - (REACH if top + CROP < ROWS else 0), left and REACH : last] = 1
            weights.append(weight)
        here, before = map(torch.stack, zip(*parts))
        return here, before, self.places[frames], torch.stack(weights).to(here.device)


def train(model, maps, minutes, report):
    """Trains for a time; the rate falls as its cosine, and in its last part weights are rounded."""
    generator = np.random.default_rng(0)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0)
    start, step, sums = time.monotonic(), 0, [0.0, 0.0]
    told = start
    while (done := (time.monotonic() - start) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 50) * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)
        here, before, place, weight = maps.batch(generator)
        logits = model(here, before, place, done > ROUNDED)
        bits = (F.cross_entropy(logits, here, reduction="none") * weight).sum() / weight.sum() / math.log(2)
        optimizer.zero_grad()
        bits.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        step += 1
        sums = [sums[0] + bits.item(), sums[1] + 1]
        if time.monotonic() - told > 10:
            report(step, time.monotonic() - start, sums[0] / sums[1])
            told, sums = time.monotonic(), [0.0, 0.0]
    return step


@torch.inference_mode()
def stream(model, maps):
    """Bytes of all maps by their cross-entropy under the rounded weights."""
    bits = 0
    for frame in range(len(maps.maps)):
        here, before = (part[None] for part in maps.part(frame, slice(None), slice(None)))
        logits = model(here, before, maps.places[frame : frame + 1], True)
        bits += F.cross_entropy(logits, here, reduction="none").double().sum().item() / math.log(2)
    return math.ceil(bits / 8)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("maps", type=Path)
    parser.add_argument("--channels", type=int, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    maps = Maps(arguments.maps, device)
    model = Model(maps.classes, arguments.channels).to(device, memory_format=LAYOUT)

    def report(step, seconds, bits):
        stream = bits * maps.maps.numel() / 8
        print(f"step {step}, {seconds:.0f} s: {bits:.5f} bits a pixel, {stream:.0f} bytes for all", flush=True)

    steps = train(model, maps, arguments.minutes, report)
    coded = time.monotonic()
    stream_bytes = stream(model, maps)
    coded = time.monotonic() - coded
    parameters, model_bytes = model.size()
    result = {
        "clip": arguments.maps.stem,
        "maps": len(maps.maps),
        "channels": arguments.channels,
        "parameters": parameters,
        "minutes": arguments.minutes,
        "steps": steps,
        "device": device,
        "threads": torch.get_num_threads(),
        "model": model_bytes,
        "stream": stream_bytes,
        "speed": maps.maps.numel() / coded / 1e6,
    }
    print(json.dumps(result))
    arguments.out.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
