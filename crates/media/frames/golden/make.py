"""Makes values.json, the reference values of tests/golden.rs, with torch: python3 make.py > values.json

Needs torch and numpy. The tests read the committed values.json and need no Python.
"""

import json

import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(7)


def floats(values):
    """As few digits as give back the same f32."""
    return [float(str(v)) for v in values.flatten().numpy()]


def resized(mode, channels, size, to):
    """Resampling of random 8-bit values: torch's own interpolate, no antialiasing."""
    image = torch.randint(0, 256, (1, channels, *size)).float()
    out = F.interpolate(image, size=to, mode=mode, align_corners=False, antialias=False)
    return {
        "mode": mode,
        "channels": channels,
        "from": size,
        "to": to,
        "input": image.int().flatten().tolist(),
        "output": floats(out),
    }


def yuv6(size):
    """The official harness's RGB -> YUV6 (comma video compression challenge, frame_utils.py), in f32."""
    rgb = torch.rand(3, *size) * 255
    rgb[:, :2, :2] = torch.tensor([255.0, 0.0, 0.0])[:, None, None]  # saturates V
    rgb = rgb.round()
    even = rgb[:, : size[0] // 2 * 2, : size[1] // 2 * 2]
    r, g, b = even
    y = (r * 0.299 + g * 0.587 + b * 0.114).clamp(0, 255)
    u = ((b - y) / 1.772 + 128).clamp(0, 255)
    v = ((r - y) / 1.402 + 128).clamp(0, 255)
    mean = lambda p: (p[0::2, 0::2] + p[1::2, 0::2] + p[0::2, 1::2] + p[1::2, 1::2]) * 0.25
    out = torch.stack([y[0::2, 0::2], y[1::2, 0::2], y[0::2, 1::2], y[1::2, 1::2], mean(u), mean(v)])
    return {"size": size, "input": rgb.int().flatten().tolist(), "output": floats(out)}


def yuv420(height, width):
    """The official harness's YUV 4:2:0 -> RGB; an odd size is the even one cropped."""
    y = torch.randint(0, 256, (height, width)).float()
    u, v = torch.randint(0, 256, (2, (height + 1) // 2, (width + 1) // 2)).float()
    up = lambda p: F.interpolate(p[None, None], scale_factor=2, mode="bilinear", align_corners=False)[0, 0, :height, :width]
    # numpy rounds after every operation and never fuses.
    luma, blue, red = (p.numpy().astype(np.float32) for p in (y, up(u), up(v)))
    k = np.float32
    luma = (luma - k(16)) * k(255 / 219)
    blue = (blue - k(128)) * k(255 / 224)
    red = (red - k(128)) * k(255 / 224)
    rgb = np.stack([luma + k(1.402) * red, luma - k(0.344136) * blue - k(0.714136) * red, luma + k(1.772) * blue], -1)
    out = np.rint(np.clip(rgb, 0, 255)).astype(np.uint8)
    ints = lambda p: p.int().flatten().tolist()
    return {"width": width, "height": height, "y": ints(y), "u": ints(u), "v": ints(v), "rgb": out.flatten().tolist()}


sizes = [
    ((7, 9), (14, 18)),
    ((7, 9), (3, 4)),
    ((5, 6), (13, 11)),
    ((11, 5), (11, 5)),
    ((1, 1), (3, 2)),
    ((2, 3), (1, 1)),
]
# The sides that the challenge uses, one axis at a time.
down = [((874, 1), (384, 1)), ((1, 1164), (1, 512))]
up = [((384, 1), (874, 1)), ((1, 512), (1, 1164))]
cases = [resized(mode, 2, *size) for mode in ("bilinear", "bicubic") for size in sizes]
cases += [resized("bilinear", 1, *size) for size in down] + [resized("bicubic", 1, *size) for size in up]
values = {
    "resize": cases,
    "yuv6": [yuv6((4, 6)), yuv6((7, 5))],
    "yuv420": [yuv420(*size) for size in [(2, 2), (6, 8), (7, 9), (1, 1), (5, 12), (24, 38)]],
}
print("{")
for i, (name, entries) in enumerate(values.items()):
    body = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
    print(f'"{name}": [\n{body}\n]' + ("," if i + 1 < len(values) else ""))
print("}")
