"""Makes networks.json, the reference values of tests/golden.rs, with torch: python3 make.py > networks.json

Needs torch. Two small layer tables that use every kind of layer, factor and kernel size; parameters and latents come from
the formula in `noise`, which the test repeats, so that the file holds results only. The tests need no Python.
"""

import json
import math

import torch
import torch.nn.functional as F

TABLES = [
    {
        "latent_dim": 5,
        "stem": {"channels": 4, "height": 2, "width": 3},
        "layers": [
            {"kind": "stage", "channels": 4, "upscale": 2, "kernel": 3},
            {"kind": "stage", "channels": 7, "upscale": 3, "kernel": 3},
            {"kind": "refine", "hidden": 3, "dilation": 2, "gain": 0.1},
        ],
    },
    {
        "latent_dim": 3,
        "stem": {"channels": 3, "height": 2, "width": 3},
        "layers": [
            {"kind": "stage", "channels": 8, "upscale": 4, "kernel": 1},
            {"kind": "refine", "hidden": 10, "dilation": 4, "gain": -0.5},
            {"kind": "stage", "channels": 5, "upscale": 1, "kernel": 3},
        ],
    },
]
SIZES = [(27, 41), (19, 23)]


def noise(seed, shape, scale):
    """Value j is scale * (((31 j + 7919 seed + 7) * 2654435761 mod 2^16) / 32768 - 1): exact in f32."""
    count = math.prod(shape)
    values = [((31 * j + 7919 * seed + 7) * 2654435761 % 65536) / 32768 - 1 for j in range(count)]
    return torch.tensor(values).reshape(shape) * scale


class Parameters:
    """Weight and bias of layer after layer; the seed counts tensors, the scale is the power of two below sqrt(3/fan_in)."""

    def __init__(self):
        self.seed = 0

    def next(self, shape):
        scale = 2.0 ** math.floor(math.log2(math.sqrt(3 / math.prod(shape[1:]))))
        weight, bias = noise(self.seed, shape, scale), noise(self.seed + 1, shape[:1], 0.5)
        self.seed += 2
        return weight, bias


def forward(table, latent):
    p = Parameters()
    c, h, w = table["stem"]["channels"], table["stem"]["height"], table["stem"]["width"]
    x = torch.sin(F.linear(latent, *p.next((c * h * w, table["latent_dim"])))).reshape(1, c, h, w)
    for layer in table["layers"]:
        if layer["kind"] == "stage":
            out, r, k = layer["channels"], layer["upscale"], layer["kernel"]
            y = F.pixel_shuffle(F.conv2d(x, *p.next((out * r * r, c, k, k)), padding=k // 2), r)
            skip = F.interpolate(x, scale_factor=r, mode="bilinear", align_corners=False) if r > 1 else x
            if out != c:
                skip = F.conv2d(skip, *p.next((out, c, 1, 1)))
            x, c = torch.sin(y + skip), out
        else:
            hidden, d = layer["hidden"], layer["dilation"]
            y = F.conv2d(x, *p.next((hidden, c, 3, 3)), padding=d, dilation=d)
            x = x + layer["gain"] * torch.sin(F.conv2d(y, *p.next((c, hidden, 3, 3)), padding=1))
    return [255 * torch.sigmoid(F.conv2d(x, *p.next((3, c, 3, 3)), padding=1)) for _ in range(2)]


def main():
    cases = []
    for table, size in zip(TABLES, SIZES):
        frames = forward(table, noise(1000, (1, table["latent_dim"]), 2.0))
        camera = [F.interpolate(f, size=size, mode="bicubic", align_corners=False).clamp(0, 255).round() for f in frames]
        cases.append(
            {
                "architecture": table,
                "size": size,
                "native": [[round(v, 4) for v in f.flatten().tolist()] for f in frames],
                "camera": [bytes(f[0].permute(1, 2, 0).flatten().to(torch.uint8).tolist()).hex() for f in camera],
            }
        )
    print(json.dumps(cases, separators=(",", ":")))


main()
