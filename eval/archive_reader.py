#!/usr/bin/env python3
"""A second reader of archive.bin, made from docs/archive-format.md alone: what the page says is what is decoded here.

    eval/archive_reader.py [--json] ARCHIVE

prints what an archive holds: a line for each section with its name, its shape and a SHA-256 over its integers (4 bytes each,
little-endian; floats as their bits). `eval/format` compares the lines with those of the program.
"""

import argparse
import hashlib
import json
import struct
import zlib
from itertools import count

from format_reader.bits import Malformed, RangeDecoder
from format_reader.maps import class_maps
from format_reader.payload import TensorModel, latents, sidecar


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        taken = self.data[self.at : self.at + size]
        if len(taken) < size:
            raise Malformed("the header ends early")
        self.at += size
        return taken

    def number(self):
        value = 0
        for i in range(5):
            (byte,) = self.take(1)
            value |= (byte & 127) << 7 * i
            if byte < 128:
                if value >= 2**32 or (byte == 0 and i > 0):
                    raise Malformed("a number is not in its shortest form")
                return value
        raise Malformed("a number of more than 32 bits")

    def numbers(self, names):
        return {name: self.number() for name in names.split()}

    def flags(self, names):
        bits, names = self.number(), names.split()
        if bits >> len(names):
            raise Malformed("a flag is unknown")
        return {name: bool(bits >> i & 1) for i, name in enumerate(names)}


def header(reader, version):
    head = reader.numbers("latent_dim channels height width")
    names = {2: "", 3: "image single tanh", 4: "image single tanh mapped carried"}[version]
    flags = dict.fromkeys("image single tanh mapped carried".split(), False)
    head |= flags | (reader.flags(names) if names else {})
    head["classes"] = reader.number() if head["mapped"] else 0
    names = "coefficients height width channels bits"
    head["carrier"] = reader.numbers(names) if head["carried"] else dict.fromkeys(names.split(), 0)
    layers = reader.number()
    if layers > 32:
        raise Malformed("too many layers")
    head["layers"] = [layer(reader, version) for _ in range(layers)]
    head |= reader.numbers("frames clip_height clip_width")
    head["name"] = reader.take(reader.number()).decode()
    return head


def layer(reader, version):
    kind = reader.number()
    if kind == 0:
        entry = reader.numbers("hidden dilation")
        return {"kind": "refine", **entry, "gain": struct.unpack("<I", reader.take(4))[0]}
    if version == 2:
        entry = {"upscale": (kind + 1) // 2, "kernel": 1 if kind % 2 else 3, "bare": False, "gelu": False}
        return {"kind": "stage", **entry, **reader.numbers("channels")}
    if version == 4 and kind == 16:
        return {"kind": "residual", **reader.numbers("hidden kernel dilation"), **reader.flags("gelu")}
    entry = {"upscale": kind, **reader.numbers("kernel"), **reader.flags("bare gelu")}
    return {"kind": "stage", **entry, **reader.numbers("channels")}


def tensors(head):
    """Name, shape, role, phases and columns of the grid of each tensor."""
    found, c, stages, refines, blocks = [], head["channels"], count(), count(), count()

    def both(name, shape, role, phases=1, width=1):
        for part, shape in (("weight", shape), ("bias", shape[:1])):
            found.append({"name": f"{name}.{part}", "shape": shape, "role": role, "phases": phases, "width": width})

    numbers, carrier = head["latent_dim"] - head["carrier"]["coefficients"], head["carrier"]
    pixels = head["height"] * head["width"]
    if head["classes"]:
        both("stem", [c, head["classes"] + 4 + numbers], "stem")
    elif not head["image"]:
        both("stem", [c * pixels, head["latent_dim"]], "stem", pixels, head["width"])
    for entry in head["layers"]:
        if entry["kind"] == "stage":
            phases, number, channels = entry["upscale"] ** 2, next(stages), entry["channels"]
            both(f"blocks.{number}", [channels * phases, c, entry["kernel"], entry["kernel"]], "hidden", phases)
            if not entry["bare"] and channels != c:
                both(f"skips.{number}", [channels, c, 1, 1], "skip")
            c = channels
        elif entry["kind"] == "refine":
            both(f"refine.{next(refines)}", [entry["hidden"], c, 3, 3], "hidden")
            both(f"refine.{next(refines)}", [c, entry["hidden"], 3, 3], "hidden")
        else:
            number, kernel = next(blocks), entry["kernel"]
            both(f"residual.{number}.0", [entry["hidden"], c, kernel, kernel], "hidden")
            both(f"residual.{number}.1", [c, entry["hidden"], 1, 1], "hidden")
    for frame in range(int(head["carried"]), 1 if head["single"] else 2):
        both(f"rgb_{frame}", [3, c, 3, 3], "head")
    if head["carried"]:
        pixels = carrier["height"] * carrier["width"]
        both("carrier", [carrier["channels"] * pixels, carrier["coefficients"]], "stem", pixels, carrier["width"])
    return found


def flat(value):
    """The numbers of a header in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for entry in value for number in flat(entry)]
    return list(value.encode()) if isinstance(value, str) else [int(value)]


def read(archive):
    """Sections of an archive: (name, shape, integers)."""
    if archive[:4] != b"HNRV":
        raise Malformed("not an archive")
    reader = Reader(archive[:-4])
    reader.at = 5
    version = archive[4] if len(archive) > 4 else 0
    if version not in (2, 3, 4):
        raise Malformed(f"version {version}")
    if reader.number() != len(reader.data) - reader.at or zlib.crc32(reader.data) != struct.unpack("<I", archive[-4:])[0]:
        raise Malformed("damaged")
    head = header(reader, version)
    samples = max(1, head["frames"] // 2)
    shape = [samples, head["height"], head["width"], head["classes"]]
    maps = reader.take(reader.number()) if head["classes"] else b""
    coder = RangeDecoder(reader.data[reader.at :])

    integers = [version] + flat({k: v for k, v in head.items() if k not in ("layers", "name")})
    kinds = {"refine": 0, "stage": 1, "residual": 2}
    for entry in head["layers"]:
        integers += flat({**entry, "kind": kinds[entry["kind"]]})
    yield "header", [len(integers)], integers
    yield "name", [len(head["name"].encode())], flat(head["name"])
    model = TensorModel()
    for tensor in tensors(head):
        bits, steps, values = model.decode(coder, tensor)
        yield f"{tensor['name']} {bits} bits", tensor["shape"], values
        yield f"{tensor['name']} steps", [len(steps)], steps
    per_sample, coefficients = 2 if head["single"] else 1, head["carrier"]["coefficients"]
    runs = [("latents", head["latent_dim"] - coefficients, 8), ("coefficients", coefficients, head["carrier"]["bits"])]
    for name, dim, bits in runs:
        if dim:
            minima, steps, values = latents(coder, samples * per_sample, dim, bits)
            yield f"{name} minima", [dim], minima
            yield f"{name} steps", [dim], steps
            yield name, [samples * per_sample, dim], values
    corrections = sidecar(coder, samples, per_sample * head["latent_dim"])
    yield "sidecar", [len(corrections), 3], [number for correction in corrections for number in correction]
    coder.finish()
    if head["classes"]:
        yield "class maps", shape[:3], class_maps(maps, shape)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    sections = []
    try:
        with open(arguments.archive, "rb") as file:
            archive = file.read()
        for name, shape, integers in read(archive):
            digest = hashlib.sha256(b"".join((value % 2**32).to_bytes(4, "little") for value in integers)).hexdigest()
            sections.append({"name": name, "shape": shape, "sha256": digest})
            if not arguments.json:
                print(name, "x".join(map(str, shape)), digest, sep="\t", flush=True)
    except (Malformed, OSError, UnicodeDecodeError) as error:
        parser.exit(2, f"archive_reader.py: {arguments.archive}: {error}\n")
    if arguments.json:
        print(json.dumps(sections, indent=2))


if __name__ == "__main__":
    main()
