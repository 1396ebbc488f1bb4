"""What the cores multiply at most: `python benchmarks/gemm.py [--seconds 2] [--json]`.

A process a core, one thread each, all at once, as the sampler runs: matrices of three shapes (two square, one the
generator's largest) through TensorFlow's own `matmul`; the best shape counts. GFLOP/s of all cores together.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time

import psutil

SHAPES = ((1024, 1024, 1024), (2048, 2048, 2048), (1000, 512, 1568))
PRECISIONS = ("float32", "bfloat16")


def peak(precision: str, seconds: float) -> float:
    """Return the GFLOP/s of one process over the best shape."""
    from ganmodel.device import configure_tensorflow

    tf = configure_tensorflow(threads=1, use_gpus=False)
    rates = []
    for rows, inner, columns in SHAPES:
        a, b = (tf.cast(tf.random.normal(shape), precision) for shape in ((rows, inner), (inner, columns)))
        tf.matmul(a, b).numpy()
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds / len(SHAPES):
            tf.matmul(a, b).numpy()
            count += 1
        rates.append(count * 2e-9 * rows * inner * columns / (time.perf_counter() - began))
    return max(rates)


def all_cores(precision: str, seconds: float) -> float:
    """Return the GFLOP/s of a process a core together."""
    cores = psutil.cpu_count() or 1
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        pool.starmap(peak, [(precision, 0.1)] * cores, chunksize=1)  # TensorFlow is there before it counts
        return sum(pool.starmap(peak, [(precision, seconds)] * cores, chunksize=1))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {precision: all_cores(precision, options.seconds) for precision in PRECISIONS}
    if options.json:
        print(json.dumps(found))
        return
    for precision, gflops in found.items():
        print(f"{precision:10} {gflops:>8,.0f} GFLOP/s, {psutil.cpu_count()} cores")


if __name__ == "__main__":
    main()
