"""Codes class maps by every coder, decodes, compares, times. Markdown tables on stdout:

    python compare.py --programs ../../target/release --kept ../work/maps FILE...

FILE is what the example `clip_maps` writes; beside it may lie what learned.py made of it. A coder is measured once and its
figures are kept in a folder until the maps, its commands or its program change.
"""

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from coders import Shape, coders

ROWS, COLUMNS = 384, 512
ROUNDS = 5
# Seconds after which no further round begins.
PATIENCE = 20
# Maps of the challenge's clip.
WHOLE = 600


def seconds(commands):
    """Processor time of shell commands, each of which must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for command in commands:
        subprocess.run(["bash", "-c", command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def round_trip(coder, maps, shape, folder):
    """Bytes, and seconds each way."""
    parts, part = (maps, Shape(1, ROWS, COLUMNS, shape.classes)) if coder.alone else ([maps], shape)
    paths = [[folder / f"{number}{ending}" for ending in coder.endings] for number in range(len(parts))]
    for values, (source, _, _) in zip(parts, paths):
        source.write_bytes(coder.write(values, part))
    encoding = seconds(coder.encode(source, coded, part) for source, coded, _ in paths)
    for source, _, _ in paths:
        source.unlink()
    decoding = seconds(coder.decode(coded, target, part) for _, coded, target in paths)
    for values, (_, _, target) in zip(parts, paths):
        if not np.array_equal(coder.read(target, part), values.ravel()):
            raise SystemExit(f"{coder.name}: {target} is not what was encoded")
    return sum(coded.stat().st_size for _, coded, _ in paths), encoding, decoding


def measure(coder, maps, shape):
    """Bytes, and million pixels a second each way, medians over rounds."""
    turns = []
    while len(turns) < ROUNDS and sum(encoding + decoding for _, encoding, decoding in turns) < PATIENCE:
        with tempfile.TemporaryDirectory() as folder:
            turns.append(round_trip(coder, maps, shape, Path(folder)))
    size, *times = zip(*turns)
    return {"bytes": size[0], "rounds": len(turns), "speeds": [maps.size / statistics.median(way) / 1e6 for way in times]}


def version(package):
    """Of a Debian package, or the hash of a file."""
    if isinstance(package, Path):
        return hashlib.sha256(package.read_bytes()).hexdigest()
    found = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}", package], capture_output=True, text=True)
    return found.stdout or package


def figures(coder, maps, shape, kept):
    """What `measure` finds, from the last time where nothing changed."""
    names = Path("FROM"), Path("TO")
    commands = [coder.encode(*names, shape), coder.decode(*names, shape), version(coder.source)]
    key = hashlib.sha256(json.dumps([coder.name, *commands]).encode() + maps.tobytes()).hexdigest()
    path = kept / f"{key}.json"
    if not path.exists():
        path.write_text(json.dumps(measure(coder, maps, shape)))
    return json.loads(path.read_text())


def table(head, rows):
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def learned_rows(file, shape, own):
    """What learned models make of a clip's maps, beside the `own` coder's bytes."""

    def row(name, parameters, training, model, stream):
        whole = model + stream * WHOLE / shape.count
        return [f"{file.stem}, {name}", parameters, training, model, stream, model + stream, round(whole)]

    models = (json.loads(path.read_text()) for path in file.parent.glob(f"{file.stem}-learned-*.json"))
    rows = [
        row(
            f"learned, {model['channels']} channels",
            model["parameters"],
            f"{model['minutes']:g} on {model['device']}, {model['steps']} steps",
            model["model"],
            model["stream"],
        )
        for model in sorted(models, key=lambda model: model["channels"])
    ]
    return [row("class map coder", 0, "", 0, own), *rows] if rows else []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", type=Path, required=True)
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("files", type=Path, nargs="+")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    arguments.kept.mkdir(parents=True, exist_ok=True)

    found = coders(arguments.programs)
    rows = [[coder.name] for coder in found]
    head, learned = [""], []
    for file in arguments.files:
        maps = np.fromfile(file, np.uint8).reshape(-1, ROWS, COLUMNS)
        shape = Shape(*maps.shape, int(maps.max()) + 1)
        head += [f"{file.stem}, {shape.count} maps, {shape.classes} classes", "in", "out"]
        for coder, row in zip(found, rows):
            told = figures(coder, maps, shape, arguments.kept)
            print(f"{file.stem}, {coder.name}: {told}", file=sys.stderr, flush=True)
            row += [told["bytes"], *(f"{speed:.{2 if speed < 100 else 0}f}" for speed in told["speeds"])]
        learned += learned_rows(file, shape, rows[0][-3])
    print(table(head, rows), end="")
    if learned:
        names = ["", "parameters", "minutes of training", "model, bytes", "stream, bytes", "together", f"{WHOLE} maps"]
        print(f"\n{table(names, learned)}", end="")
    packages = sorted({coder.source for coder in found if isinstance(coder.source, str)})
    (arguments.kept / "versions").write_text(", ".join(map(version, packages)) + "\n")


if __name__ == "__main__":
    main()
