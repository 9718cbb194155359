"""The machine's f32 matrix-product rate: `product.py THREADS`. For each line on standard input that names a library, prints
the seconds that one GFLOP takes it."""

import os
import sys
import time

THREADS = sys.argv[1]
# OpenBLAS reads it when it is loaded.
os.environ["OPENBLAS_NUM_THREADS"] = THREADS

import numpy as np  # noqa: E402
import torch  # noqa: E402

SIDE = 2048
TIMES = 4

torch.set_num_threads(int(THREADS))
torch.set_grad_enabled(False)
a, b, out = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE), torch.empty(SIDE, SIDE)
arrays = [tensor.numpy().copy() for tensor in (a, b, out)]
image = torch.rand(1, SIDE, 64, SIDE // 64).to(memory_format=torch.channels_last)
kernel = torch.rand(SIDE, SIDE, 1, 1).to(memory_format=torch.channels_last)
products = {
    "torch.mm": lambda: torch.mm(a, b, out=out),
    "numpy.matmul": lambda: np.matmul(arrays[0], arrays[1], out=arrays[2]),
    # torch.conv2d leaves some shapes to other libraries.
    "oneDNN": lambda: torch.mkldnn_convolution(image, kernel, None, [0, 0], [1, 1], [1, 1], 1),
}
for line in sys.stdin:
    product = products[line.strip()]
    start = time.perf_counter()
    for _ in range(TIMES):
        product()
    print((time.perf_counter() - start) / (TIMES * 2e-9 * SIDE**3), flush=True)
