"""The evaluators' forward pass and input gradient, ours beside PyTorch's: see eval/bench_evaluators."""

import os
import subprocess
import sys
from pathlib import Path

from common import BINARIES, KEEP_PAGES, ROOT, THREADS, Program, alternate, footer, keep, median, pin, spread, table

EXAMPLE = BINARIES / "examples/onnx_speed"
BATCHES = (1, 2)
RUNS = 2
INPUTS = {"SegNet": (3, 384, 512), "PoseNet": (12, 192, 256)}
LAYOUTS = {"PyTorch": ("contiguous", None), "PyTorch tuned": ("channels-last", KEEP_PAGES)}


def rows(name, path):
    sizes = [str(size) for size in INPUTS[name]]
    for batch in BATCHES:
        for threads in THREADS:
            environment = {"RAYON_NUM_THREADS": str(threads)}
            ours = Program(EXAMPLE, path, *sizes, str(batch), "serve", environment=environment)
            turns = {"ours": lambda: 1e-3 * float(ours.ask(RUNS))}
            peers = {}
            for label, (layout, environment) in LAYOUTS.items():
                peer = Program(sys.executable, ROOT / "eval/bench/onnx_torch.py", path, *sizes, layout, environment=environment)
                peers[label] = peer
                turns[label] = lambda peer=peer: float(peer.ask(threads, batch, RUNS)) / RUNS
            times = alternate(turns)
            for program in (ours, *peers.values()):
                program.close()
            row = [name, batch, threads, f"{1e3 * median(times['ours']):.1f}"]
            row += [f"{1e3 * median(times[label]):.1f}" for label in peers]
            row += [spread([b / a for a, b in zip(times["ours"], times[label])]) for label in peers]
            yield row


def main():
    pin()
    shared = Path(os.environ.get("HNERV_DATA", ROOT / "../shared")) / "evaluators"
    given = [Path(path) for path in sys.argv[1:]] or [shared / "segnet-road.onnx", shared / "posenet-road.onnx"]
    missing = [path for path in given if not path.exists()]
    if missing:
        raise SystemExit(f"{missing[0]} is absent; name two models, or put the outside data where HNERV_DATA says")
    paths = dict(zip(INPUTS, given))
    lines = [row for name, path in paths.items() for row in rows(name, path)]
    header = ["network", "batch", "threads", "ours, ms"] + [f"{name}, ms" for name in LAYOUTS] + [f"{name} : ours" for name in LAYOUTS]
    parts = ""
    for name, path in paths.items():
        command = [EXAMPLE, path, *map(str, INPUTS[name]), "1"]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        parts += f"{name}, a batch of 1, all threads:\n\n```text\n{printed}```\n\n"
    text = f"""# Forward pass and input gradient of the evaluators on the CPU, beside PyTorch

The gradient of the outputs' sum with respect to the input, weights frozen, one run after another; milliseconds for the whole batch. PyTorch runs the same
graph by its own functions (SiLU and GELU fused, batch normalization folded); its figures are as it comes, and tuned: channels last and
a malloc that keeps its pages, as ours does. Medians; the ratio is the median over rounds, in each of which everything took its turn.

{table(header, lines)}
Where our time goes; each node on its own, fastest of several runs, so the parts do not add up to the whole.

{parts}How: `eval/bench_evaluators`.

{footer()}"""
    keep("bench_evaluators.md", text)


main()
