"""How a machine computes: all that depends on the device. None of it belongs to a run's configuration.

A kind of device is one class here, entered in ``DEVICES``: whether it is there, which number format it is good at, how
it waits, what memory it has left, what it says when that is too small, and what it can't do.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import psutil
import torch
from torch import Tensor

import transferlib
from transferlib.errors import TransferlibError
from transferlib.streams import hashed_uniform

FORMATS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
PRECISIONS = ("auto", *FORMATS)


class Device:
    """A kind of device, and what is particular about it; this one is the processor."""

    kind = "cpu"
    about = "the processor"
    formats: tuple[str, ...] = tuple(FORMATS)  # that it computes in
    fused_sgd = True  # one kernel an update for all tensors
    mixes_integers = True  # 64-bit products and shifts wrap as the streams of random numbers need it

    def available(self) -> bool:
        """Whether this machine has one."""
        return True

    def good_format(self) -> str:
        """The number format that it is fastest in without emulation."""
        return "bf16" if cpu_has_bf16() else "fp32"

    def name(self) -> str:
        """The device as a person would name it."""
        threads = torch.get_num_threads()
        return f"{_processor()}, {threads} thread{'s' * (threads > 1)}"

    def memory(self) -> tuple[int, int] | None:
        """Free and total bytes of a memory of its own; None where it has none."""
        return None

    def synchronise(self) -> None:
        """Wait until all that was asked of it is done."""

    def empty_cache(self) -> None:
        """Give back the memory that PyTorch keeps for later."""

    def is_out_of_memory(self, error: RuntimeError) -> bool:
        """Whether this is what it raises where its memory is too small."""
        return isinstance(error, torch.OutOfMemoryError)


class Cuda(Device):
    """A GPU of NVIDIA, or one that PyTorch calls so."""

    kind = "cuda"
    about = "a GPU"

    def available(self) -> bool:
        """Whether this machine has one."""
        return torch.cuda.is_available()

    def good_format(self) -> str:
        """Bfloat16 where its arithmetic is native: without the argument a T4 says yes, and emulates."""
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"

    def name(self) -> str:
        """Such as ``NVIDIA H100 80GB HBM3``."""
        return torch.cuda.get_device_name()

    def memory(self) -> tuple[int, int] | None:
        """Free and total bytes on the GPU."""
        return torch.cuda.mem_get_info()

    def synchronise(self) -> None:
        """Wait for all kernels."""
        torch.cuda.synchronize()

    def empty_cache(self) -> None:
        """Give back what the allocator keeps."""
        torch.cuda.empty_cache()


class Mps(Device):
    """A GPU of Apple: written by PyTorch's documentation and reports, and never run by us.

    It computes in float32 only: what its 16-bit formats cost in accuracy is not measured. Its fused optimiser is young,
    so the plain one is used; and its 64-bit integers have been rounded and shifted wrongly in several versions, so
    that random numbers are mixed on the processor.
    """

    kind = "mps"
    about = "Apple's GPU, in float32; not measured"
    formats = ("fp32",)
    fused_sgd = False
    mixes_integers = False

    def available(self) -> bool:
        """Whether this machine has one."""
        return torch.backends.mps.is_available()

    def good_format(self) -> str:
        """The only one."""
        return "fp32"

    def name(self) -> str:
        """The chip's; PyTorch has no name for its GPU."""
        return f"{_processor()}, GPU"

    def memory(self) -> tuple[int, int] | None:
        """What the system advises a process to take, less what the driver holds, of the memory that all share."""
        total = torch.mps.recommended_max_memory()
        return max(total - torch.mps.driver_allocated_memory(), 0), total

    def synchronise(self) -> None:
        """Wait for all kernels."""
        torch.mps.synchronize()

    def empty_cache(self) -> None:
        """Give back what the allocator keeps."""
        torch.mps.empty_cache()

    def is_out_of_memory(self, error: RuntimeError) -> bool:
        """It has no error class of its own for that."""
        return super().is_out_of_memory(error) or "MPS backend out of memory" in str(error)


DEVICES: dict[str, Device] = {device.kind: device for device in (Device(), Cuda(), Mps())}


@dataclass(frozen=True)
class Execution:
    """The device and the number format that autocast uses on it; float32 means no autocast.

    ``asked`` are device and precision as a person has named them: another machine chooses by these.
    """

    device: torch.device
    dtype: torch.dtype
    compiled: bool = False
    asked: tuple[str | None, str] = field(default=(None, "auto"), compare=False)

    @property
    def on(self) -> Device:
        """The kind of device."""
        return DEVICES[self.device.type]

    @property
    def scaled(self) -> bool:
        """Whether gradients must be scaled: only float16 has too few exponents for them."""
        return self.dtype == torch.float16

    @property
    def device_name(self) -> str:
        """The device as a person would name it."""
        return self.on.name()

    def autocast(self) -> torch.autocast:
        """The context in which forward passes run."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def free_bytes(self) -> int:
        """How much memory is left for images."""
        own = self.on.memory()
        return own[0] if own else psutil.virtual_memory().available

    def uniform(self, seed: int, count: int) -> Tensor:
        """``streams.hashed_uniform`` on the device, (count,): mixed there, or on the processor where it can't be."""
        place = self.device if self.on.mixes_integers else torch.device("cpu")
        return hashed_uniform(seed, count, place).to(self.device)

    @contextmanager
    def compile_errors(self) -> Iterator[None]:
        """Say in one line that ``torch.compile`` can't be used here; most often a compiler is missing."""
        try:
            yield
        except Exception as error:
            if not (self.compiled and type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))):
                raise
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise TransferlibError(
                f"torch.compile fails here ({reason[0]}): install a C++ compiler such as g++, or leave --compile out"
            ) from error

    def __str__(self) -> str:
        name = {dtype: name for name, dtype in FORMATS.items()}[self.dtype]
        return f"{self.device.type} {name}{' compiled' if self.compiled else ''}"


def execution(device: str | None = None, precision: str = "auto", compiled: bool = False) -> Execution:
    """Choose the device (a GPU where there is one) and the format that it is good at.

    Args:
        device: among ``DEVICES``; ``cuda`` where there is one, else ``cpu``, by default.
        precision: ``auto`` (what the device is good at), ``bf16``, ``fp16`` or ``fp32``.
        compiled: whether to pass networks through ``torch.compile``.

    Raises:
        TransferlibError: for a device asked for where there is none, or an unknown device or precision.
    """
    name = device or ("cuda" if has_gpu() else "cpu")
    if name not in DEVICES:
        raise TransferlibError(f"unknown device {name!r}: expected one of {', '.join(DEVICES)}")
    if not DEVICES[name].available():
        raise TransferlibError(f"no {name.upper()} device on this machine: leave --device out, or give --device cpu")
    if precision not in PRECISIONS:
        raise TransferlibError(f"unknown precision {precision!r}: expected auto, bf16, fp16 or fp32")
    chosen = DEVICES[name].good_format() if precision == "auto" else precision
    if chosen not in DEVICES[name].formats:
        raise TransferlibError(f"{name} computes in {' or '.join(DEVICES[name].formats)} here, not in {chosen}")
    return Execution(torch.device(name), FORMATS[chosen], compiled, (device, precision))


def has_gpu() -> bool:
    """Whether this machine has a GPU that is taken by default."""
    return DEVICES["cuda"].available()


def cpu_has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 natively; elsewhere it is emulated, about ten times as slow."""
    return any(getattr(torch.cpu, probe, bool)() for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 (a device file, not a path of ours)
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """What a run was made with."""
    return {
        "transferlib": transferlib.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
