"""What the benchmarks share: processors, turns, the machine's matrix-product rate, tables."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "eval/work"
THREADS = (1, 2)
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))


def binaries():
    """Where cargo puts release programs: CARGO_TARGET_DIR and its settings may say another place."""
    command = ["cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"]
    found = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    return Path(json.loads(found)["target_directory"]) / "release"


BINARIES = binaries()


def pin():
    """Keeps this process and all that it starts on as many processors as the most threads need."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: max(THREADS)])


class Program:
    """A program that answers a line with a line."""

    def __init__(self, *command, environment=None):
        environment = os.environ | (environment or {})
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment, cwd=ROOT)

    def ask(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.process.args} ended with {self.process.wait()}")
        return answer.strip()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def alternate(turns, rounds=ROUNDS):
    """Runs every turn (name: function that returns seconds) once to warm up, then in rounds; lists of seconds by name."""
    times = {name: [] for name in turns}
    for number in range(rounds + 1):
        for name, turn in turns.items():
            # Lets the threads of the turn before fall asleep.
            time.sleep(0.2)
            seconds = turn()
            if number > 0:
                times[name].append(seconds)
    return times


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


# A malloc that keeps its pages: PyTorch, like our trainer, spends much of its time on page faults without one.
KEEP_PAGES = {"GLIBC_TUNABLES": f"glibc.malloc.mmap_threshold={1 << 33}:glibc.malloc.trim_threshold={1 << 34}"}


def peers():
    """PyTorch by name, as it comes and at its best."""
    command = (sys.executable, ROOT / "eval/bench/peer.py")
    return {
        "PyTorch": Program(*command, "contiguous"),
        "PyTorch tuned": Program(*command, "channels-last", environment=KEEP_PAGES),
    }


class Product(Program):
    """The f32 matrix product, 2048x2048, of several libraries on some threads."""

    LIBRARIES = ("torch.mm", "numpy.matmul", "oneDNN")

    def __init__(self, threads):
        super().__init__(sys.executable, ROOT / "eval/bench/product.py", str(threads))

    def turns(self):
        """A turn for each library: seconds of one GFLOP."""
        return {("product", library): lambda library=library: float(self.ask(library)) for library in self.LIBRARIES}

    @staticmethod
    def rate(times):
        """GFLOP/s of the fastest library, by its median."""
        return max(1 / median(values) for key, values in times.items() if key[0] == "product")

    @staticmethod
    def rates(times):
        """GFLOP/s of every library, in words."""
        return ", ".join(f"{key[1]} {1 / median(values):.0f}" for key, values in times.items() if key[0] == "product")


median = statistics.median


def spread(values):
    """Median, then smallest and largest."""
    return f"**{median(values):.2f}** ({min(values):.1f} to {max(values):.1f})"


def table(header, rows):
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def footer():
    """How it was measured; the machine, the date and the commit come from eval/keep."""
    flags = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            flags = "AVX-512" if "avx512f" in line else "AVX2" if "avx2" in line else "no AVX2"
    return (
        f"- {flags}; pinned to {len(os.sched_getaffinity(0))} cores; {ROUNDS} rounds after one to warm up; "
        f"PyTorch {version('torch')}, {platform.python_implementation()} {platform.python_version()}\n"
    )


def keep(name, text):
    """Prints the tables and keeps them in eval/results."""
    subprocess.run([ROOT / "eval/keep", name], input=text, text=True, check=True)
