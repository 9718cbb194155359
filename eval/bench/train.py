"""Training steps, ours beside PyTorch's: see eval/bench_train."""

import subprocess

import torch
from common import ROOT, THREADS, Ours, Product, alternate, footer, keep, median, pin, seconds, spread, table
from reference import LATENT_DIM, Reference, gflop

EXAMPLES = ROOT / "target/release/examples"
BATCHES = (2, 8)
STEPS = {2: 8, 8: 2}
EPOCH = 8


def torch_step(batch, layout, fused):
    """A turn: seconds a step. Frames are uint8 until the step that uses them, as on our side."""
    model = Reference().to(memory_format=layout)
    latents = torch.nn.Parameter(0.1 * torch.randn(EPOCH * batch, LATENT_DIM))
    targets = torch.randint(0, 256, (EPOCH * batch, 6, 384, 512), dtype=torch.uint8)
    groups = [{"params": model.parameters()}, {"params": [latents], "lr": 1e-2}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.0, fused=fused)

    def step(samples):
        target = targets[samples].float().div_(255)
        loss = (model(latents[samples]) - target).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        torch.nn.utils.clip_grad_norm_([latents], 1.0)
        optimizer.step()
        return loss.item()

    def turn():
        orders = torch.randperm(EPOCH * batch).split(batch)[: STEPS[batch]]
        return seconds(lambda: [step(samples) for samples in orders]) / STEPS[batch]

    return turn


def steps(threads):
    torch.set_num_threads(threads)
    product, rows = Product(threads), []
    for batch in BATCHES:
        program = Ours(EXAMPLES / "step", str(batch), environment={"RAYON_NUM_THREADS": str(threads)})
        turns = product.turns() | {"ours": lambda: 1e-3 * float(program.ask(STEPS[batch]))}
        for layout in (torch.contiguous_format, torch.channels_last):
            turns["torch", layout] = torch_step(batch, layout, fused=True)
        times = alternate(turns)
        program.close()
        theirs = min((key for key in times if key[0] == "torch"), key=lambda key: median(times[key]))
        ours, rate = median(times["ours"]), product.rate(times)
        ratio = [b / a for a, b in zip(times["ours"], times[theirs])]
        # Backward counts as two forward passes.
        work = 3 * batch * gflop()
        rows.append([
            batch, threads, f"{1e3 * ours:.0f}", f"{1e3 * ours / batch:.1f}", f"{1e3 * median(times[theirs]):.0f}",
            f"{1e3 * median(times[theirs]) / batch:.1f}", f"**{median(ratio):.2f}**", spread(ratio), f"{work / ours:.0f}",
            f"{rate:.0f}", f"{100 * work / ours / rate:.0f}%", f"{100 * work / median(times[theirs]) / rate:.0f}%",
            "channels last" if theirs[1] == torch.channels_last else "contiguous",
        ])
    product.close()
    return rows


def main():
    pin()
    torch.manual_seed(1)
    rows = [row for threads in THREADS for row in steps(threads)]
    header = ["batch, pairs", "threads", "ours, ms a step", "ours, ms a pair", "PyTorch, ms a step", "PyTorch, ms a pair",
              "PyTorch : ours", "least to most", "ours, GFLOP/s", "matrix product, GFLOP/s", "ours, share", "PyTorch, share",
              "PyTorch's best layout"]
    kernels = subprocess.run([EXAMPLES / "training_speed", "10", "2"], check=True, capture_output=True, text=True).stdout
    text = f"""# A training step of the reference architecture on the CPU, beside PyTorch

Pixel loss (mean absolute error at 384x512): targets from uint8, forward, loss, backward, gradient clipping, AdamW (fused in
PyTorch). Ours is a step of `hnerv train`, which also keeps the moving average of the weights and the mean squared error;
PyTorch's does not. Medians; the ratio is the median over rounds, in each of which everything took its turn. The matrix product
is f32, 2048x2048, on the same threads in the same rounds, of the fastest of three libraries (torch.mm, numpy.matmul, a 1x1
convolution in oneDNN). PyTorch's figure is its best of contiguous and channels last. A share counts the operations of the convolutions and the linear layer, the backward pass as two forward passes.

{table(header, rows)}
Our kernels alone, without loss, optimizer or the layers' assembly in burn; fastest of 10 rounds, not alternated with anything.

```text
{kernels}```

How: `eval/bench_train`.

{footer()}"""
    keep("bench_train.md", text)


main()
