"""What only a GPU can show; skipped where there is none."""

from __future__ import annotations

import pytest
import small
import torch
from small import SPEC, family_of, run

from transferlib.execution import Execution, execution
from transferlib.store import Store
from transferlib.streams import hashed_uniform

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
FROZEN = "A1B A3B A5B A6B A7B"


def full():
    return execution("cuda", "fp32")


def test_hashed_numbers_are_the_processors():
    there = hashed_uniform(12345, 10_000, full().device).cpu()
    assert torch.equal(there, hashed_uniform(12345, 10_000, torch.device("cpu")))


def test_frozen_layers_keep_every_bit_in_the_chosen_precision(spec):
    chosen = execution("cuda")
    family = family_of(FROZEN, spec, execution=chosen)
    before = small.copies(family.prefix)
    run(family)
    for name, tensor in family.prefix.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    for member in family.members:
        assert len(member.curve) == 2 and not member.diverged
        for name, tensor in member.net.state_dict().items():
            if int(name.split(".")[1]) < member.frozen:
                assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("names", [FROZEN, "A2B+ A7B+"])
def test_a_run_alone_gives_its_familys_numbers_within_tolerance(spec, names):
    for member in run(family_of(names, spec, execution=full())).members:
        alone = run(family_of(str(member.treatment), spec, execution=full())).members[0]
        for a, b in zip(member.net.state_dict().values(), alone.net.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-3)
        assert member.curve[-1].loss == pytest.approx(alone.curve[-1].loss, rel=1e-2)


def test_the_gpu_gives_the_processors_numbers_within_tolerance(spec):
    there, here = run(family_of("A3B", spec, execution=full())), run(family_of("A3B", spec))
    assert there.members[0].curve[-1].loss == pytest.approx(here.members[0].curve[-1].loss, rel=0.02)


def test_float16_scales_skips_an_overflow_and_goes_on(tmp_path):
    half = Execution(full().device, torch.float16)
    family, store = family_of("A2B A6B", SPEC, execution=half), Store(tmp_path)
    first = family.members[0]
    assert all(member.scaler.is_enabled() for member in family.members)
    first.scaler = torch.amp.GradScaler("cuda", init_scale=2.0**120)
    before = small.copies(first.net)
    run(family, 1)
    assert all(torch.equal(t, before[name]) for name, t in first.net.state_dict().items())
    assert first.scaler.get_scale() == 2.0**119
    first.scaler.update(2.0**10)
    store.put_checkpoint("0" * 16, *family.state())
    again = family_of("A2B A6B", SPEC, execution=half)
    again.restore(*store.get_checkpoint("0" * 16))
    assert again.members[0].scaler.get_scale() == 2.0**10
    for a, b in zip(run(again).members, run(family).members, strict=True):
        assert a.curve[-1].loss == pytest.approx(b.curve[-1].loss, rel=0.02)
        assert not a.diverged
