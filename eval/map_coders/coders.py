"""The coders: what each makes of class maps [count, rows, columns], and how its programs are called."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass
class Shape:
    count: int
    rows: int
    columns: int
    classes: int

    def __str__(self):
        return f"{self.count} {self.rows} {self.columns} {self.classes}"


def raw(maps, shape):
    return maps.tobytes()


def from_raw(path, shape):
    return np.fromfile(path, np.uint8)


def per_byte(classes):
    """Most pixels whose classes one byte can tell."""
    return max(count for count in range(1, 9) if classes**count <= 256)


def packed(maps, shape):
    count = per_byte(shape.classes)
    digits = np.pad(maps.ravel(), (0, -maps.size % count)).reshape(-1, count)
    return (digits @ shape.classes ** np.arange(count)).astype(np.uint8).tobytes()


def from_packed(path, shape):
    digits = np.fromfile(path, np.uint8)[:, None] // shape.classes ** np.arange(per_byte(shape.classes)) % shape.classes
    return digits.astype(np.uint8).ravel()[: shape.count * shape.rows * shape.columns]


def gray(maps, shape):
    return b"P5\n%d %d\n255\n" % (shape.columns, shape.rows) + maps.tobytes()


def from_gray(path, shape):
    return np.frombuffer(path.read_bytes(), np.uint8)[-shape.rows * shape.columns :]


def from_colour(path, shape):
    return np.frombuffer(path.read_bytes(), np.uint8)[-3 * shape.rows * shape.columns :: 3]


def npy(maps, shape):
    """An .npy file, version 1.0."""
    head = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({shape.count}, {shape.rows}, {shape.columns})}}"
    head = head.ljust(128 - 10 - 1) + "\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode() + maps.tobytes()


def from_npy(path, shape):
    """The one file in the folder that `hnerv tokens decompress` makes."""
    return np.load(next(path.glob("*.npy"))).ravel()


@dataclass
class Coder:
    """`encode` and `decode` are shell commands of (from, to, shape)."""

    name: str
    # What makes it: a Debian package, or a program of this project.
    source: str | Path
    encode: Callable[[Path, Path, Shape], str]
    decode: Callable[[Path, Path, Shape], str]
    # The bytes of the file that is coded.
    write: Callable[[np.ndarray, Shape], bytes] = raw
    # Pixels of the file that was decoded.
    read: Callable[[Path, Shape], np.ndarray] = from_raw
    # How these files and the coded one end, which some programs go by.
    endings: tuple[str, str, str] = (".raw", ".coded", ".out")
    # Whether each map is a file of its own.
    alone: bool = False


def video(name, ending, options):
    def encode(source, target, shape):
        pixels = f"-f rawvideo -pix_fmt gray -s {shape.columns}x{shape.rows} -r 20"
        return f"ffmpeg -nostdin -v error -y {pixels} -i {source} -c:v {options} -pix_fmt gray {target}"

    def decode(source, target, shape):
        return f"ffmpeg -nostdin -v error -y -threads 1 -i {source} -f rawvideo -pix_fmt gray {target}"

    return Coder(name, "ffmpeg", encode, decode, endings=(".raw", ending, ".out"))


def x265(preset):
    options = f"libx265 -preset {preset} -x265-params lossless=1:pools=none:frame-threads=1:log-level=error"
    return video(f"x265 lossless, {preset}", ".hevc", options)


def av1(speed):
    options = f"libaom-av1 -cpu-used {speed} -threads 1 -aom-params lossless=1:tune-content=screen"
    return video(f"AV1 lossless, libaom, cpu-used {speed}", ".obu", options)


def xz(name, **layout):
    return Coder(
        f"LZMA, xz -9e{name}",
        "xz-utils",
        lambda source, target, shape: f"xz -9e -T1 -c {source} >{target}",
        lambda source, target, shape: f"xz -d -c {source} >{target}",
        **layout,
    )


def zpaq(name, **layout):
    return Coder(
        f"zpaq -m5{name}",
        "zpaq",
        lambda source, target, shape: f"zpaq add {target} {source} -m5 -t1",
        # The archive knows the file that went in by its path.
        lambda source, target, shape: f"zpaq extract {source} {source.with_suffix('.raw')} -to {target} -t1",
        endings=(".raw", ".zpaq", ".out"),
        **layout,
    )


PACKED = {"write": packed, "read": from_packed}


def coders(programs):
    """All of them; this project's programs are in the folder `programs`."""
    maps, hnerv = programs / "examples/map_file", programs / "hnerv"
    return [
        Coder(
            "**class map coder**",
            maps,
            lambda source, target, shape: f"{maps} encode {shape} {source} {target}",
            lambda source, target, shape: f"{maps} decode {shape} {source} {target}",
        ),
        Coder(
            "hnerv tokens",
            hnerv,
            lambda source, target, shape: f"{hnerv} tokens compress {source} -o {target} --threads 1",
            lambda source, target, shape: f"{hnerv} tokens decompress {source} -o {target} --threads 1",
            npy,
            from_npy,
            (".npy", ".coded", ".out"),
        ),
        Coder(
            "JPEG XL, effort 9, each map a file",
            "libjxl-tools",
            lambda source, target, shape: f"cjxl {source} {target} -d 0 -e 9 -g 2 -P 0 --num_threads=0",
            lambda source, target, shape: f"djxl {source} {target} --num_threads=0",
            gray,
            from_gray,
            (".pgm", ".jxl", ".out.pgm"),
            True,
        ),
        zpaq(""),
        zpaq(", packed", **PACKED),
        x265("placebo"),
        x265("slow"),
        xz(""),
        xz(", packed", **PACKED),
        av1(1),
        Coder(
            "WebP lossless, -z 9, each map a file",
            "webp",
            lambda source, target, shape: f"cwebp -quiet -lossless -z 9 {source} -o {target}",
            lambda source, target, shape: f"dwebp -quiet -ppm {source} -o {target}",
            gray,
            from_colour,
            (".pgm", ".webp", ".out.ppm"),
            True,
        ),
    ]
