"""Which device and number format are chosen, on machines that are only pretended."""

from __future__ import annotations

import psutil
import pytest
import small
import torch

from transferlib import execution as module
from transferlib.errors import TransferlibError
from transferlib.execution import DEVICES, Execution, execution
from transferlib.train import Member
from transferlib.treatments import Treatment


@pytest.fixture
def machine(monkeypatch):
    def pretend(cuda=False, native=False, cpu_bf16=False, mps=False):
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
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
    with pytest.raises(TransferlibError, match="unknown device 'tpu': expected one of cpu, cuda, mps"):
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
    assert execution("cpu").device_name.endswith(", 1 thread")


def test_apples_gpu_is_taken_when_asked_for_and_in_float32_alone(machine):
    machine(mps=True)
    assert str(execution()) == "cpu fp32"
    assert str(execution("mps")) == str(execution("mps", "fp32")) == "mps fp32"
    for precision in ("bf16", "fp16"):
        with pytest.raises(TransferlibError, match=f"mps computes in fp32 here, not in {precision}"):
            execution("mps", precision)
    machine(mps=False)
    with pytest.raises(TransferlibError, match="no MPS device on this machine"):
        execution("mps")


def test_apples_gpu_gets_its_random_numbers_from_the_processor_and_no_fused_optimiser(monkeypatch):
    class Elsewhere(module.Mps):
        kind = "meta"  # a device whose tensors can be made here

    monkeypatch.setitem(DEVICES, "meta", Elsewhere())
    there, asked = Execution(torch.device("meta"), torch.float32), []
    mixed = module.hashed_uniform
    monkeypatch.setattr(module, "hashed_uniform", lambda *a: asked.append(a[2].type) or mixed(*a))
    assert there.uniform(5, 7).device.type == "meta" and asked == ["cpu"]
    net = small.fresh_network(small.SPEC, 3, ("x",), torch.device("meta"))
    assert not Member(Treatment("base"), net, small.RECIPE, there).optimizer.defaults["fused"]


def test_running_out_of_memory_is_told_from_other_errors():
    ours, apples = torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("MPS backend out of memory (MPS …)")
    assert [DEVICES[kind].is_out_of_memory(ours) for kind in DEVICES] == [True, True, True]
    assert [DEVICES[kind].is_out_of_memory(apples) for kind in DEVICES] == [False, False, True]
    assert not any(DEVICES[kind].is_out_of_memory(RuntimeError("shapes do not fit")) for kind in DEVICES)


def test_the_processors_memory_is_the_machines():
    here = execution("cpu")
    assert here.on.memory() is None and 2**20 < here.free_bytes() <= psutil.virtual_memory().total
