"""Makes the small clips beside this file and frames.json, the SHA-256 of their RGB frames: python3 make.py

Needs numpy and an ffmpeg with libx264, libx265 and libaom. The tests read the committed files and need neither.
"""

import hashlib
import json
import pathlib
import subprocess

import numpy as np

HERE = pathlib.Path(__file__).parent


def ffmpeg(*arguments):
    *arguments, output = map(str, arguments)
    command = ["ffmpeg", "-v", "error", "-y", *arguments, "-fflags", "+bitexact", output]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def encode(name, codec, *options, size="64x48", frames=12):
    source = ["-f", "lavfi", "-i", f"testsrc2=s={size}:r=20,format=rgb24", "-frames:v", frames]
    ffmpeg(*source, "-c:v", codec, *options, "-flags:v", "+bitexact", HERE / name)


def remux(source, name, *options):
    ffmpeg("-i", HERE / source, "-c", "copy", *options, HERE / name)


def rgb(name, width, height):
    """Decoded by the ffmpeg tool, converted here: BT.601, limited range, f32, chroma upsampled 2x bilinearly."""
    data = np.frombuffer(ffmpeg("-i", HERE / name, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"), np.uint8)
    half = ((height + 1) // 2, (width + 1) // 2)
    sizes = [height * width, half[0] * half[1], half[0] * half[1]]
    f = np.float32

    def double(plane, axis):
        edge = [(1, 1) if a == axis else (0, 0) for a in range(2)]
        padded = np.pad(plane, edge, mode="edge")
        before, after = (np.delete(padded, ends, axis) for ends in ([-1, -2], [0, 1]))
        return np.stack([0.75 * plane + 0.25 * before, 0.75 * plane + 0.25 * after], axis + 1).reshape(
            [n * (2 if a == axis else 1) for a, n in enumerate(plane.shape)]
        )

    frames = []
    for frame in data.reshape(-1, sum(sizes)):
        y, u, v = np.split(frame.astype(f), np.cumsum(sizes)[:-1])
        u, v = (double(double(p.reshape(half), 0), 1)[:height, :width].astype(f) for p in (u, v))
        y = (y.reshape(height, width) - f(16)) * f(255 / 219)
        u, v = ((p - f(128)) * f(255 / 224) for p in (u, v))
        image = np.stack([y + f(1.402) * v, y - f(0.344136) * u - f(0.714136) * v, y + f(1.772) * u], -1)
        frames.append(np.rint(np.clip(image, 0, 255)).astype(np.uint8))
    sha256 = hashlib.sha256(b"".join(map(bytes, frames))).hexdigest()
    return {"frames": len(frames), "width": width, "height": height, "sha256": sha256}


x265 = ["-x265-params", "log-level=none:info=0:keyint=6", "-crf", 24]
x264 = ["-x264-params", "log-level=none", "-crf", 24]
encode("hevc.mkv", "libx265", *x265, "-pix_fmt", "yuv420p")
remux("hevc.mkv", "hevc.hevc")
remux("hevc.mkv", "hevc-live.mkv", "-live", 1)
encode("h264.mp4", "libx264", *x264, "-pix_fmt", "yuv420p")
remux("h264.mp4", "h264-fragments.mp4", "-movflags", "frag_keyframe+empty_moov")
encode("h264-full-range.mkv", "libx264", *x264, "-pix_fmt", "yuvj420p")
encode("av1-odd.mkv", "libaom-av1", "-cpu-used", 8, "-crf", 40, "-pix_fmt", "yuv420p", size="63x47", frames=6)

encode("ten-bit.mkv", "libx265", *x265, "-pix_fmt", "yuv420p10le", frames=3)
encode("yuv444.mp4", "libx264", *x264, "-pix_fmt", "yuv444p", frames=3)
encode("mpeg4.mp4", "mpeg4", frames=3)
ffmpeg("-f", "lavfi", "-i", "color=s=8194x16", "-frames:v", 1, "-c:v", "libx264", *x264, HERE / "too-wide.mkv")
ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", "-c:a", "flac", HERE / "audio.mkv")
# A bare stream may go on in another size.
encode("large.hevc", "libx265", *x265, "-pix_fmt", "yuv420p", size="96x64", frames=3)
small, large = HERE / "hevc.hevc", HERE / "large.hevc"
(HERE / "size-change.hevc").write_bytes(small.read_bytes() + large.read_bytes())
large.unlink()

good = ["hevc.mkv", "hevc.hevc", "hevc-live.mkv", "h264.mp4", "h264-fragments.mp4", "av1-odd.mkv"]
hashes = {name: rgb(name, *((63, 47) if "odd" in name else (64, 48))) for name in good}
(HERE / "frames.json").write_text(json.dumps(hashes, indent=1) + "\n")
