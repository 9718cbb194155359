"""PyTorch's side: `peer.py LAYOUT`, with LAYOUT `contiguous` or `channels-last`. Answers each line on standard input with seconds:

    forward ROWS COLUMNS THREADS BATCH PAIRS    the decoder, a stem of ROWS x COLUMNS
    whole THREADS BATCH PAIRS FILE              decoder, bicubic resampling, rounding, writing to a file, which it removes
    step THREADS BATCH STEPS                    training steps with mean absolute error
"""

import sys
import time
from functools import cache
from pathlib import Path

import torch
from reference import CLIP_SIZE, LATENT_DIM, Reference
from torch.nn import functional as F

LAYOUT = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}[sys.argv[1]]
# Batches of an epoch, as in crates/learn/run/examples/step.rs.
EPOCH = 8


@cache
def model(rows, columns):
    return Reference(rows, columns).eval().to(memory_format=LAYOUT)


@torch.inference_mode()
def forward(rows, columns, batch, pairs):
    for latents in torch.randn(pairs, LATENT_DIM).split(batch):
        model(rows, columns)(latents)


@torch.inference_mode()
def whole(batch, pairs, path):
    with open(path, "wb") as file:
        for latents in torch.randn(pairs, LATENT_DIM).split(batch):
            frames = 255 * model(6, 8)(latents).reshape(-1, 3, 384, 512)
            frames = F.interpolate(frames, size=CLIP_SIZE, mode="bicubic", align_corners=False)
            file.write(frames.clamp_(0, 255).round_().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy())


class Trainer:
    """Frames are uint8 until the step that uses them, as on our side."""

    def __init__(self, batch):
        self.batch = batch
        self.model = Reference().to(memory_format=LAYOUT)
        self.latents = torch.nn.Parameter(0.1 * torch.randn(EPOCH * batch, LATENT_DIM))
        self.targets = torch.randint(0, 256, (EPOCH * batch, 6, 384, 512), dtype=torch.uint8)
        groups = [{"params": self.model.parameters()}, {"params": [self.latents], "lr": 1e-2}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.0, fused=True)

    def step(self):
        samples = torch.randperm(EPOCH * self.batch)[: self.batch]
        target = self.targets[samples].float().div_(255)
        loss = (self.model(self.latents[samples]) - target).abs().mean()
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        torch.nn.utils.clip_grad_norm_([self.latents], 1.0)
        self.optimizer.step()
        return loss.item()


trainer = cache(Trainer)


def answer(what, *numbers):
    """Runs a request; seconds without preparation and clearing up."""
    if what == "forward":
        rows, columns, threads, batch, pairs = map(int, numbers)
        model(rows, columns)
        run = lambda: forward(rows, columns, batch, pairs)
    elif what == "whole":
        threads, batch, pairs = map(int, numbers[:3])
        model(6, 8)
        run = lambda: whole(batch, pairs, numbers[3])
    else:
        threads, batch, steps = map(int, numbers)
        training = trainer(batch)
        run = lambda: [training.step() for _ in range(steps)]
    torch.set_num_threads(threads)
    start = time.perf_counter()
    run()
    elapsed = time.perf_counter() - start
    if what == "whole":
        Path(numbers[3]).unlink()
    return elapsed


torch.manual_seed(1)
for line in sys.stdin:
    print(answer(*line.split()), flush=True)
