"""Decoding, ours beside PyTorch's: see eval/bench_inflate."""

import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import torch
from common import (
    ROOT,
    ROUNDS,
    THREADS,
    WORK,
    Ours,
    Product,
    alternate,
    footer,
    keep,
    median,
    pin,
    seconds,
    spread,
    table,
)
from reference import CLIP_SIZE, LATENT_DIM, Reference, gflop
from torch.nn import functional as F

BINARIES = ROOT / "target/release"
PAIRS = 8
BATCHES = (1, 8)
STEMS = ((3, 4), (3, 8), (6, 8))
TORCH_PAIRS = 60


def torch_forward(model, batch, layout, threads):
    """A turn: seconds a pair."""
    model = model.to(memory_format=layout)
    latents = torch.randn(PAIRS, LATENT_DIM)

    def turn():
        torch.set_num_threads(threads)
        with torch.inference_mode():
            return seconds(lambda: [model(part) for part in latents.split(batch)]) / PAIRS

    return turn


def forward(speed):
    """Table of the forward pass, PyTorch's fastest batch and layout on the most threads, matrix-product rates by threads."""
    rows, fastest, rates = [], None, {}
    for threads in THREADS:
        product = Product(threads)
        for stem in STEMS:
            turns = product.turns()
            turns["ours"] = lambda: float(speed.ask("native", *stem, threads, 3 * PAIRS)) / (3 * PAIRS)
            turns["frames"] = lambda: float(speed.ask("frames", *stem, threads, 3 * PAIRS)) / (3 * PAIRS)
            for batch in BATCHES:
                for layout in (torch.contiguous_format, torch.channels_last):
                    turns["torch", batch, layout] = torch_forward(Reference(*stem).eval(), batch, layout, threads)
            times = alternate(turns)
            theirs = min((key for key in times if key[0] == "torch"), key=lambda key: median(times[key]))
            fastest = theirs[1:]
            rates[threads] = product.rates(times)
            ours, rate = median(times["ours"]), product.rate(times)
            ratio = [b / a for a, b in zip(times["ours"], times[theirs])]
            rows.append([
                f"{64 * stem[0]}x{64 * stem[1]}", threads, f"{gflop(*stem):.2f}",
                f"{1e3 * ours:.1f}", f"{1e3 * median(times['frames']):.1f}",
                f"{1e3 * median(times[theirs]):.1f}", f"**{median(ratio):.1f}**", spread(ratio),
                f"{gflop(*stem) / ours:.0f}", f"{rate:.0f}", f"{100 * gflop(*stem) / ours / rate:.0f}%",
                f"{100 * gflop(*stem) / median(times[theirs]) / rate:.0f}%",
                f"batch {theirs[1]}{', channels last' if theirs[2] == torch.channels_last else ''}",
            ])
        product.close()
    header = ["resolution", "threads", "GFLOP a pair", "ours, ms a pair", "ours with bicubic to the clip's size",
              "PyTorch, ms a pair", "PyTorch : ours", "least to most", "ours, GFLOP/s", "matrix product, GFLOP/s",
              "ours, share", "PyTorch, share", "PyTorch's best"]
    return table(header, rows), fastest, rates


def convolutions():
    """Table of the convolutions alone."""
    program = Ours(BINARIES / "examples/convolution_speed")
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


def whole_torch(model, batch, layout, path):
    """Decodes, resamples, rounds and writes 60 pairs."""
    model = model.to(memory_format=layout)
    latents = torch.randn(TORCH_PAIRS, LATENT_DIM)
    with torch.inference_mode(), open(path, "wb") as file:
        for part in latents.split(batch):
            frames = 255 * model(part).view(-1, 3, 384, 512)
            frames = F.interpolate(frames, size=CLIP_SIZE, mode="bicubic", align_corners=False)
            frames = frames.clamp_(0, 255).round_().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
            file.write(frames.numpy())
    assert path.stat().st_size == TORCH_PAIRS * 2 * 3 * CLIP_SIZE[0] * CLIP_SIZE[1]
    path.unlink()


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


def whole(theirs, rounds):
    """Table of whole runs, from an archive to a file."""
    threads = max(THREADS)
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        folder = Path(folder)
        archives = {"noise": folder / "noise.bin"}
        subprocess.run([BINARIES / "examples/speed", "archive", archives["noise"], "600"], check=True)
        public = Path(os.environ.get("HNERV_DATA", ROOT / "../shared")) / "archives/hnerv-muon-public.bin"
        if public.exists():
            archives["public"] = folder / "public.bin"
            subprocess.run([BINARIES / "hnerv", "import", public, "-o", archives["public"]], check=True, stdout=subprocess.DEVNULL)
        model = Reference().eval()
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
        turns["torch"] = lambda: seconds(lambda: whole_torch(model, *theirs, folder / "torch.raw"))
        times = alternate(turns, rounds)
    per_pair = median(times["torch"]) / TORCH_PAIRS
    rows = []
    for name, pairs in [key for key in times if key != "torch"]:
        elapsed = median(times[name, pairs])
        archive = "weights without meaning" if name == "noise" else "the public archive, imported"
        rows.append([archive, pairs, f"{elapsed:.2f}", f"{1e3 * elapsed / pairs:.1f}", f"{max(memory[name, pairs]):.0f}",
                     f"{per_pair * pairs:.1f}", f"**{per_pair * pairs / elapsed:.1f}**"])
    header = ["archive", "pairs", "inflate, seconds", "ms a pair", "peak memory, MiB", "PyTorch, seconds (scaled)",
              "PyTorch : ours"]
    return table(header, rows)


def main():
    pin()
    WORK.mkdir(exist_ok=True)
    torch.manual_seed(1)
    speed = Ours(BINARIES / "examples/speed", "serve")
    forward_table, fastest, rates = forward(speed)
    speed.close()
    text = f"""# Decoding the reference architecture on the CPU, beside PyTorch

Forward pass, latent to RGB in 0..255 at the decoder's resolution; weights without meaning. Medians; the ratio is the median
over rounds, in each of which everything took its turn. The matrix product is f32, 2048x2048, on the same threads in the same
rounds, of the fastest of three libraries (oneDNN's as a 1x1 convolution). PyTorch's figure is its best of batches of {BATCHES[0]} and {BATCHES[1]}, contiguous and channels last. A share
counts the operations that both sides execute, those of the convolutions and the linear layer: sines, skips, sigmoids and
resampling take time but count nothing.

{forward_table}
Matrix product at {64 * STEMS[-1][0]}x{64 * STEMS[-1][1]}, GFLOP/s: {"; ".join(f"{n} threads {text}" for n, text in rates.items())}.

The convolutions alone, ours, on windows of rows as the decoder runs them (every thread on rows of its own).

{convolutions()}
From an archive to a file of 1164x874 frames, {max(THREADS)} threads. Ours is the whole `inflate` process; PyTorch's side is forward,
bicubic resampling, rounding and writing, without starting Python, loading weights or entropy decoding, measured on
{TORCH_PAIRS} pairs and scaled to the row's number.

{whole(fastest, ROUNDS)}
How: `eval/bench_inflate`.

{footer()}"""
    keep("bench_inflate.md", text)


main()
