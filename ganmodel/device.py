"""What this machine can do, and how TensorFlow is told to use it. TensorFlow is imported on demand."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ganmodel.config import Precision

_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def cpu_flags() -> set[str]:
    """Return the instruction set flags of the CPU; empty where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return set(flags.partition(":")[2].split())


def choose_precision(*, has_gpu: bool, flags: set[str]) -> Precision:
    """Return the policy a device gains from: bfloat16 on GPUs and on CPUs that multiply it in hardware."""
    return "mixed_bfloat16" if has_gpu or flags & _BFLOAT16_FLAGS else "float32"


@contextmanager
def quiet_start() -> Iterator[None]:
    """Keep what Keras and TensorFlow print while they are imported from the user.

    TensorFlow 2.21 writes some lines to file descriptor 2 before it reads TF_CPP_MIN_LOG_LEVEL, so the
    descriptor is turned away for as long. What fails still raises.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    sys.stderr.flush()
    kept = os.dup(2)
    away = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(away, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(away)


def configure_tensorflow(*, threads: int | None = None, logical_cpus: int = 0, use_gpus: bool = True) -> Any:
    """Import TensorFlow, set up its devices and return the module.

    Args:
        threads: cores an operation may use; None leaves TensorFlow to take all of them.
        logical_cpus: split the CPU into this many devices (0: leave it whole), so that several
            replicas can be tried where there is no GPU.
        use_gpus: whether GPUs are used at all. Ray 2.60 hides none from an actor that asked for none.
    """
    with quiet_start():
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if not use_gpus:
            tf.config.set_visible_devices([], "GPU")
            gpus = []
    # A process that has used its GPUs already keeps the memory it took.
    with suppress(RuntimeError):
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    if threads is not None:
        # A process that has used TensorFlow keeps its threads; pixels do not depend on them.
        with suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
    if logical_cpus:
        cpu = tf.config.list_physical_devices("CPU")[0]
        whole = [tf.config.LogicalDeviceConfiguration() for _ in range(logical_cpus)]
        tf.config.set_logical_device_configuration(cpu, whole)
    return tf


def device_facts() -> dict[str, str]:
    """Return what bit-equal pixels depend on: device kind, instruction set, libraries."""
    import keras
    import numpy as np
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        kind = f"GPU {details.get('device_name', 'unknown')}"
    else:
        kind = "CPU"
    vector = ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "avx")
    return {
        "device": kind,
        "machine": platform.machine(),
        "instruction_set": next((f for f in vector if f in cpu_flags()), "baseline"),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }
