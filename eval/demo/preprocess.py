"""What the evaluators are given: a clip's RGB frames, resized, and as YUV6 pairs (the challenge's arithmetic, in torch)."""

import subprocess

import numpy as np
import torch
import torch.nn.functional as F

WIDTH, HEIGHT = 1164, 874
SIZE = (384, 512)


def rgb_frames(clip):
    """Yield each frame of a 4:2:0 clip as f32 RGB [3, 874, 1164] of whole numbers in 0..255."""
    command = ["ffmpeg", "-v", "error", "-i", str(clip), "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    luma, chroma = WIDTH * HEIGHT, WIDTH * HEIGHT // 4
    with subprocess.Popen(command, stdout=subprocess.PIPE) as ffmpeg:
        while raw := ffmpeg.stdout.read(luma + 2 * chroma):
            planes = torch.from_numpy(np.frombuffer(raw, np.uint8).astype(np.float32))
            y = planes[:luma].view(HEIGHT, WIDTH)
            uv = planes[luma:].view(1, 2, HEIGHT // 2, WIDTH // 2)
            u, v = F.interpolate(uv, size=(HEIGHT, WIDTH), mode="bilinear", align_corners=False)[0]
            y, u, v = (y - 16) * (255 / 219), (u - 128) * (255 / 224), (v - 128) * (255 / 224)
            rgb = torch.stack([y + 1.402 * v, y - 0.344136 * u - 0.714136 * v, y + 1.772 * u])
            yield rgb.clamp(0, 255).round()
    if ffmpeg.returncode:
        raise SystemExit(f"ffmpeg cannot decode {clip}")


def resize(frames):
    """Frames [n, 3, h, w] to the evaluators' size: bilinear, half-pixel centres, no antialiasing."""
    return F.interpolate(frames, size=SIZE, mode="bilinear", align_corners=False)


def clip_inputs(clip):
    """All frames of a clip at the evaluators' size, f32 [n, 3, 384, 512]."""
    return torch.cat([resize(frame[None]) for frame in rgb_frames(clip)])


def yuv6(frames):
    """RGB [n, 3, h, w] -> [n, 6, h/2, w/2]: the four phases of Y (rows first), then U and V averaged over 2x2."""
    r, g, b = frames.unbind(1)
    y = (0.299 * r + 0.587 * g + 0.114 * b).clamp(0, 255)
    u = ((b - y) / 1.772 + 128).clamp(0, 255)
    v = ((r - y) / 1.402 + 128).clamp(0, 255)
    u, v = (F.avg_pool2d(c[:, None], 2)[:, 0] for c in (u, v))
    return torch.stack([y[:, 0::2, 0::2], y[:, 1::2, 0::2], y[:, 0::2, 1::2], y[:, 1::2, 1::2], u, v], 1)
