"""Decoding, ours beside PyTorch's: see eval/bench_inflate."""

import itertools
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from common import (
    BINARIES,
    ROOT,
    THREADS,
    WORK,
    Product,
    Program,
    alternate,
    footer,
    keep,
    median,
    peers,
    pin,
    spread,
    table,
)
from reference import gflop

PAIRS = 8
BATCHES = (1, 8)
STEMS = ((3, 4), (3, 8), (6, 8))
TORCH_PAIRS = 60


def forward(speed, torch):
    """Table of the forward pass, PyTorch's better batches on the most threads, matrix-product rates by threads."""
    rows, batches, rates = [], {}, {}
    for threads in THREADS:
        product = Product(threads)
        for stem in STEMS:
            turns = product.turns()
            turns["ours"] = lambda: float(speed.ask("native", *stem, threads, 3 * PAIRS)) / (3 * PAIRS)
            turns["frames"] = lambda: float(speed.ask("frames", *stem, threads, 3 * PAIRS)) / (3 * PAIRS)
            for (name, peer), batch in itertools.product(torch.items(), BATCHES):
                request = ("forward", *stem, threads, batch, PAIRS)
                turns[name, batch] = lambda peer=peer, request=request: float(peer.ask(*request)) / PAIRS
            times = alternate(turns)
            for name in torch:
                batches[name] = min(BATCHES, key=lambda batch: median(times[name, batch]))
            rates[threads] = product.rates(times)
            ours, rate = median(times["ours"]), product.rate(times)
            theirs = [times[key] for key in batches.items()]
            row = [f"{64 * stem[0]}x{64 * stem[1]}", threads, f"{1e3 * ours:.1f}", f"{1e3 * median(times['frames']):.1f}"]
            row += [f"{1e3 * median(values):.1f}" for values in theirs]
            row += [spread([b / a for a, b in zip(times["ours"], values)]) for values in theirs]
            speeds = [gflop(*stem) / value for value in [ours, *map(median, theirs)]]
            row += [f"{speeds[0]:.0f}", f"{rate:.0f}"] + [f"{100 * speed / rate:.0f}%" for speed in speeds]
            rows.append(row)
        product.close()
    header = ["resolution", "threads", "ours, ms a pair", "ours with bicubic to the clip's size"]
    header += [f"{name}, ms a pair" for name in torch]
    header += [f"{name} : ours" for name in torch]
    header += ["ours, GFLOP/s", "matrix product, GFLOP/s", "ours, share"] + [f"{name}, share" for name in torch]
    return table(header, rows), batches, rates


def convolutions():
    """Table of the convolutions alone."""
    program = Program(BINARIES / "examples/convolution_speed")
    found = {}
    rates = {}
    for threads in THREADS:
        product, answers = Product(threads), []

        def turn():
            answers.append([part.split("=") for part in program.ask(threads, 3).split(";")])
            return 0.0

        rates[threads] = product.rate(alternate(product.turns() | {"ours": turn}))
        product.close()
        for layers in zip(*answers[1:]):
            name, _, operations = layers[0]
            found.setdefault(name, (int(operations), []))[1].append(median([float(layer[1]) for layer in layers]))
    program.close()
    total = (sum(v[0] for v in found.values()), [sum(v[1][i] for v in found.values()) for i in range(len(THREADS))])
    rows = []
    for name, (operations, times) in [*found.items(), ("all", total)]:
        row = [name, f"{1e-9 * operations:.3f}"]
        for threads, time_ in zip(THREADS, times):
            speed = 1e-9 * operations / time_
            row += [f"{1e3 * time_:.3f}", f"{speed:.0f}", f"{100 * speed / rates[threads]:.0f}%"]
        rows.append(row)
    header = ["convolution", "GFLOP"]
    for threads in THREADS:
        header += [f"ms, {threads} threads", "GFLOP/s", "share of the matrix product"]
    return table(header, rows)


def peak_memory(pid, peaks):
    """Follows a process's largest resident set in MiB. What wait4 gives of a process started by a larger one is that one's."""
    while True:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return
        peak = re.search(r"VmHWM:\s*(\d+) kB", status)
        if not peak:
            return
        peaks.append(int(peak[1]) / 1024)
        time.sleep(0.05)


def run_inflate(archive, out, threads, pairs=None):
    """Wall seconds and peak memory in MiB of one `inflate`, its file deleted."""
    command = [BINARIES / "inflate", archive, out, "--threads", str(threads)]
    command += ["--pairs", f"0..{pairs}"] if pairs else []
    peaks = []
    start = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    follower = threading.Thread(target=peak_memory, args=(process.pid, peaks))
    follower.start()
    status = process.wait()
    elapsed = time.perf_counter() - start
    follower.join()
    if status != 0:
        raise SystemExit(f"inflate ended with status {status}")
    shutil.rmtree(out)
    return elapsed, max(peaks)


def whole(torch, batches):
    """Table of whole runs, from an archive to a file."""
    threads = max(THREADS)
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        folder = Path(folder)
        archives = {"noise": folder / "noise.bin"}
        subprocess.run([BINARIES / "examples/speed", "archive", archives["noise"], "600"], check=True)
        public = Path(os.environ.get("HNERV_DATA", ROOT / "../shared")) / "archives/hnerv-muon-public.bin"
        if public.exists():
            archives["public"] = folder / "public.bin"
            subprocess.run([BINARIES / "hnerv", "import", public, "-o", archives["public"]], check=True, stdout=subprocess.DEVNULL)
        memory = {}

        def ours(name, pairs):
            def turn():
                elapsed, peak = run_inflate(archives[name], folder / "out", threads, pairs)
                memory.setdefault((name, pairs), []).append(peak)
                return elapsed

            return turn

        turns = {("noise", pairs): ours("noise", pairs) for pairs in (100, 300, 600)}
        if public.exists():
            turns["public", 600] = ours("public", 600)
        for name, peer in torch.items():
            request = ("whole", threads, batches[name], TORCH_PAIRS, folder / "torch.raw")
            turns[name] = lambda peer=peer, request=request: float(peer.ask(*request))
        times = alternate(turns)
    per_pair = [median(times[name]) / TORCH_PAIRS for name in torch]
    rows = []
    for name, pairs in memory:
        elapsed = median(times[name, pairs])
        archive = "weights without meaning" if name == "noise" else "the public archive, imported"
        rows.append([
            archive, pairs, f"{elapsed:.2f}", f"{1e3 * elapsed / pairs:.1f}", f"{max(memory[name, pairs]):.0f}",
            *(f"{pair * pairs:.1f}" for pair in per_pair), *(f"**{pair * pairs / elapsed:.1f}**" for pair in per_pair),
        ])
    header = ["archive", "pairs", "inflate, seconds", "ms a pair", "peak memory, MiB"]
    header += [f"{name}, seconds (scaled)" for name in torch]
    header += [f"{name} : ours" for name in torch]
    return table(header, rows)


def main():
    pin()
    WORK.mkdir(exist_ok=True)
    torch = peers()
    speed = Program(BINARIES / "examples/speed", "serve")
    forward_table, batches, rates = forward(speed, torch)
    speed.close()
    text = f"""# Decoding the reference architecture on the CPU, beside PyTorch

Forward pass, latent to RGB in 0..255 at the decoder's resolution; weights without meaning. Medians; the ratio is the median
over rounds, in each of which everything took its turn. The matrix product is f32, 2048x2048, on the same threads in the same
rounds, of the fastest of three libraries (oneDNN's as a 1x1 convolution). PyTorch's figures are the better of batches of {BATCHES[0]} and {BATCHES[1]},
as it comes, and tuned: channels last and a malloc that keeps its pages. A share counts the operations that both sides execute, those of the
convolutions and the linear layer ({gflop():.2f} GFLOP at 384x512): sines, skips, sigmoids and resampling take time but count
nothing.

{forward_table}
Matrix product at {64 * STEMS[-1][0]}x{64 * STEMS[-1][1]}, GFLOP/s: {"; ".join(f"{n} threads {text}" for n, text in rates.items())}.

The convolutions alone, ours, on windows of rows as the decoder runs them (every thread on rows of its own).

{convolutions()}
From an archive to a file of 1164x874 frames, {max(THREADS)} threads. Ours is the whole `inflate` process; PyTorch's side is forward,
bicubic resampling, rounding and writing, without starting Python, loading weights or entropy decoding, measured on
{TORCH_PAIRS} pairs and scaled to the row's number.

{whole(torch, batches)}
How: `eval/bench_inflate`.

{footer()}"""
    keep("bench_inflate.md", text)


main()
