"""The reference architecture in PyTorch, with random weights."""

import torch
from torch import nn
from torch.nn import functional as F

CHANNELS = (36, 36, 36, 27, 20, 18, 18)
HIDDEN = 9
LATENT_DIM = 28
CLIP_SIZE = (874, 1164)


class Stage(nn.Module):
    """3x3 convolution, pixel shuffle, plus the input upsampled bilinearly, sine.

    Where channels differ, a 1x1 convolution of the input comes before the upsampling: the values are those of the other
    order, for a quarter of the operations.
    """

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv2d(inputs, 4 * outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x):
        skip = F.interpolate(self.skip(x), scale_factor=2, mode="bilinear", align_corners=False)
        return torch.sin(F.pixel_shuffle(self.conv(x), 2) + skip)


class Reference(nn.Module):
    """Latents [n, 28] to frames [n, 6, 64 * rows, 64 * columns] in 0..1, first frame in channels 0 to 2."""

    def __init__(self, rows=6, columns=8):
        super().__init__()
        self.stem_shape = (CHANNELS[0], rows, columns)
        self.stem = nn.Linear(LATENT_DIM, CHANNELS[0] * rows * columns)
        self.stages = nn.Sequential(*(Stage(*pair) for pair in zip(CHANNELS, CHANNELS[1:])))
        self.refine = nn.Sequential(
            nn.Conv2d(CHANNELS[-1], HIDDEN, 3, padding=2, dilation=2), nn.Conv2d(HIDDEN, CHANNELS[-1], 3, padding=1)
        )
        # Both heads read the same input, so one convolution serves them.
        self.heads = nn.Conv2d(CHANNELS[-1], 6, 3, padding=1)

    def forward(self, latents):
        x = torch.sin(self.stem(latents)).view(-1, *self.stem_shape)
        x = self.stages(x)
        x = x + 0.1 * torch.sin(self.refine(x))
        return torch.sigmoid(self.heads(x))


def gflop(rows=6, columns=8):
    """Operations of one pair, two a multiply-add, as executed by both sides: 1x1 convolutions before the upsampling."""
    pixels = rows * columns
    products = LATENT_DIM * CHANNELS[0] * pixels
    for inputs, outputs in zip(CHANNELS, CHANNELS[1:]):
        products += pixels * inputs * outputs * (36 + (inputs != outputs))
        pixels *= 4
    return 2e-9 * (products + 9 * pixels * CHANNELS[-1] * (2 * HIDDEN + 6))


assert sum(p.numel() for p in Reference().parameters()) == 228_958
