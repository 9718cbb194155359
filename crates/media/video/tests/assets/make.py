"""Makes the small clips beside this file and frames.json, the SHA-256 of their RGB frames: python3 make.py

Needs numpy and an ffmpeg with libx264, libx265, libaom and the png encoder. The tests read the committed files and need neither.
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


def leb128(value):
    return bytes([value & 0x7F | 0x80, *leb128(value >> 7)]) if value > 0x7F else bytes([value])


def annex_b(source, name):
    """An AV1 stream of OBUs with size fields (AV1 specification, 5.2) in the framing of its Annex B, a frame unit a frame."""
    ffmpeg("-i", HERE / source, "-c", "copy", "-f", "obu", HERE / "low.obu")
    stream, units, position = (HERE / "low.obu").read_bytes(), [], 0
    (HERE / "low.obu").unlink()
    while position < len(stream):
        head, size, shift = stream[position], 0, 0
        position += 1
        while True:
            byte = stream[position]
            size, shift, position = size | (byte & 0x7F) << shift, shift + 7, position + 1
            if byte < 0x80:
                break
        if head >> 3 == 2:  # a temporal delimiter
            units.append(b"")
        obu = bytes([head & ~2]) + stream[position : position + size]
        units[-1] += leb128(len(obu)) + obu
        position += size
    frames = [leb128(len(unit)) + unit for unit in units]
    (HERE / name).write_bytes(b"".join(leb128(len(frame)) + frame for frame in frames))


def rgb(name, width, height):
    """Decoded by the ffmpeg tool, converted here: BT.601, limited range, f32, chroma upsampled 2x bilinearly."""
    data = np.frombuffer(ffmpeg("-i", HERE / name, "-map", "0:V:0", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"), np.uint8)
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

for container in ["ts", "avi", "flv"]:
    remux("h264.mp4", f"h264.{container}")
remux("hevc.mkv", "hevc.ts")
remux("h264.mp4", "h264-index-first.mp4", "-movflags", "faststart")
annex_b("av1-odd.mkv", "av1-annexb.obu")
# Cut out at a picture that is no IDR picture, behind which references to what was before are dropped.
open_gop = "log-level=none:open-gop=1:keyint=12:bframes=3:b-pyramid=normal:ref=4"
encode("long.mkv", "libx264", "-x264-params", open_gop, "-crf", 24, "-pix_fmt", "yuv420p", frames=36)
ffmpeg("-ss", 0.9, "-i", HERE / "long.mkv", "-c", "copy", HERE / "h264-open-gop.mkv")
(HERE / "long.mkv").unlink()
# Two tracks, of which FFmpeg thinks the second one better, and a cover.
encode("first.mkv", "libx264", *x264, "-pix_fmt", "yuv420p", size="32x16", frames=3)
ffmpeg("-f", "lavfi", "-i", "color=s=128x128", "-frames:v", 1, HERE / "cover.png")
dispositions = ["-disposition:v:0", 0, "-disposition:v:1", "default", "-disposition:v:2", "attached_pic"]
parts = [part for name in ["first.mkv", "hevc.mkv", "cover.png"] for part in ("-i", HERE / name)]
ffmpeg(*parts, "-map", 0, "-map", 1, "-map", 2, "-c", "copy", *dispositions, HERE / "tracks.mp4")
(HERE / "first.mkv").unlink()
(HERE / "cover.png").unlink()

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
good += ["h264.ts", "h264.avi", "h264.flv", "hevc.ts", "h264-index-first.mp4", "av1-annexb.obu", "h264-open-gop.mkv", "tracks.mp4"]
sizes = {"av1-odd.mkv": (63, 47), "av1-annexb.obu": (63, 47), "tracks.mp4": (32, 16)}
hashes = {name: rgb(name, *sizes.get(name, (64, 48))) for name in good}
(HERE / "frames.json").write_text(json.dumps(hashes, indent=1) + "\n")
