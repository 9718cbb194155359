"""Training steps, ours beside PyTorch's: see eval/bench_train."""

import subprocess

from common import BINARIES, THREADS, Product, Program, alternate, footer, keep, median, peers, pin, spread, table
from reference import gflop

EXAMPLES = BINARIES / "examples"
BATCHES = (2, 8)
STEPS = {2: 8, 8: 2}


def steps(threads, torch):
    product, rows = Product(threads), []
    for batch in BATCHES:
        program = Program(EXAMPLES / "step", str(batch), environment={"RAYON_NUM_THREADS": str(threads)})
        turns = product.turns() | {"ours": lambda: 1e-3 * float(program.ask(STEPS[batch]))}
        for name, peer in torch.items():
            request = ("step", threads, batch, STEPS[batch])
            turns[name] = lambda peer=peer, request=request: float(peer.ask(*request)) / request[-1]
        times = alternate(turns)
        program.close()
        ours, rate = median(times["ours"]), product.rate(times)
        theirs = [times[name] for name in torch]
        row = [batch, threads] + [f"{1e3 * value:.0f}" for value in [ours, *map(median, theirs)]]
        row += [f"{1e3 * ours / batch:.1f}"] + [spread([b / a for a, b in zip(times["ours"], values)]) for values in theirs]
        # The backward pass counts as two forward passes.
        speeds = [3 * batch * gflop() / value for value in [ours, *map(median, theirs)]]
        row += [f"{speeds[0]:.0f}", f"{rate:.0f}"] + [f"{100 * speed / rate:.0f}%" for speed in speeds]
        rows.append(row)
    product.close()
    return rows


def main():
    pin()
    torch = peers()
    rows = [row for threads in THREADS for row in steps(threads, torch)]
    header = ["batch, pairs", "threads", "ours, ms a step"] + [f"{name}, ms a step" for name in torch]
    header += ["ours, ms a pair"] + [f"{name} : ours" for name in torch]
    header += ["ours, GFLOP/s", "matrix product, GFLOP/s", "ours, share"] + [f"{name}, share" for name in torch]
    kernels = subprocess.run([EXAMPLES / "training_speed", "10", "2"], check=True, capture_output=True, text=True).stdout
    text = f"""# A training step of the reference architecture on the CPU, beside PyTorch

Pixel loss (mean absolute error at 384x512): targets from uint8, forward, loss, backward, gradient clipping, AdamW (fused in
PyTorch). Ours is a step of `hnerv train`, which also keeps the moving average of the weights and the mean squared error;
PyTorch's does not. Medians; the ratio is the median over rounds, in each of which everything took its turn. The matrix product
is f32, 2048x2048, on the same threads in the same rounds, of the fastest of three libraries (torch.mm, numpy.matmul, a 1x1
convolution in oneDNN). PyTorch's figures are as it comes, and tuned: channels last and a malloc that keeps its pages, as ours
does. A share counts the operations of the convolutions and the linear layer, the backward pass as two forward passes.

{table(header, rows)}
Our kernels alone, without loss, optimizer or the layers' assembly in burn; fastest of 10 rounds, not alternated with anything.

```text
{kernels}```

How: `eval/bench_train`.

{footer()}"""
    keep("bench_train.md", text)


main()
