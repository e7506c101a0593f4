"""How a machine computes: device, number format, memory layout. None of it belongs to a run's configuration."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from transferlib.errors import TransferlibError

Precision = Literal["auto", "bf16", "fp16", "fp32"]
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True)
class Execution:
    """The device and the number format that autocast uses on it; float32 means no autocast."""

    device: torch.device
    dtype: torch.dtype
    compiled: bool = False

    @property
    def scaled(self) -> bool:
        """Whether gradients must be scaled: only float16 has too few exponents for them."""
        return self.dtype == torch.float16

    def autocast(self) -> torch.autocast:
        """The context in which forward passes run."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

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
        name = {dtype: name for name, dtype in _DTYPES.items()}[self.dtype]
        return f"{self.device.type} {name}{' compiled' if self.compiled else ''}"


def execution(device: str | None = None, precision: str = "auto", compiled: bool = False) -> Execution:
    """Choose the device (a GPU where there is one) and the format that it is good at.

    Raises:
        TransferlibError: for a GPU asked for where there is none, or an unknown device or precision.
    """
    name = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise TransferlibError(f"unknown device {name!r}: expected cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise TransferlibError("no CUDA device on this machine: leave --device out, or give --device cpu")
    if precision not in ("auto", *_DTYPES):
        raise TransferlibError(f"unknown precision {precision!r}: expected auto, bf16, fp16 or fp32")
    dtype = _DTYPES[precision] if precision != "auto" else _good_dtype(name)
    return Execution(torch.device(name), dtype, compiled)


def _good_dtype(device: str) -> torch.dtype:
    if device == "cuda":
        # without the argument a T4 says yes, and emulates
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    return torch.bfloat16 if cpu_has_bf16() else torch.float32


def cpu_has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 natively; elsewhere it is emulated, about ten times as slow."""
    return any(getattr(torch.cpu, probe, bool)() for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))


def device_name(device: torch.device) -> str:
    """The device as a person would name it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'s' * (threads > 1)}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 (a device file, not a path of ours)
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
