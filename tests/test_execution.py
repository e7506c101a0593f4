"""Which device and number format are chosen, on machines that are only pretended."""

from __future__ import annotations

import pytest
import torch

from transferlib import execution as module
from transferlib.errors import TransferlibError
from transferlib.execution import Execution, device_name, execution


@pytest.fixture
def machine(monkeypatch):
    def pretend(cuda, native=False, cpu_bf16=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        # a T4 says yes unless it is asked not to emulate
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native
        )
        monkeypatch.setattr(module, "cpu_has_bf16", lambda: cpu_bf16)

    return pretend


@pytest.mark.parametrize(
    "what, chosen",
    [
        ({"cuda": True, "native": True}, "cuda bf16"),
        ({"cuda": True, "native": False, "cpu_bf16": True}, "cuda fp16"),
        ({"cuda": False, "cpu_bf16": True, "native": True}, "cpu bf16"),
        ({"cuda": False, "cpu_bf16": False}, "cpu fp32"),
    ],
)
def test_the_format_is_what_the_device_is_good_at(machine, what, chosen):
    machine(**what)
    assert str(execution()) == chosen


def test_what_is_asked_for_is_given(machine):
    machine(cuda=True, native=True)
    assert str(execution("cpu", "fp32")) == "cpu fp32"
    assert str(execution("cuda", "fp16")) == "cuda fp16"
    assert str(execution("cuda", "fp32", compiled=True)) == "cuda fp32 compiled"


def test_a_gpu_asked_for_where_there_is_none_is_refused(machine):
    machine(cuda=False)
    with pytest.raises(TransferlibError, match="no CUDA device on this machine"):
        execution("cuda")


def test_unknown_names_are_refused(machine):
    machine(cuda=False)
    with pytest.raises(TransferlibError, match="unknown device 'tpu': expected cpu or cuda"):
        execution("tpu")
    with pytest.raises(TransferlibError, match="unknown precision 'fp8': expected auto, bf16, fp16 or fp32"):
        execution("cpu", "fp8")


@pytest.mark.parametrize("dtype, scaled", [(torch.float16, True), (torch.bfloat16, False), (torch.float32, False)])
def test_autocast_and_scaling_follow_the_format(dtype, scaled):
    here = Execution(torch.device("cpu"), dtype)
    assert here.scaled == scaled
    with here.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_a_processor_is_named_with_its_threads():
    assert device_name(torch.device("cpu")).endswith(", 1 thread")
