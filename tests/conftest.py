"""What all tests share: one thread, and things small enough to train for real in milliseconds."""

from __future__ import annotations

import os
import shutil

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch counts the cores

import pytest
import small
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def browser():
    """Chromium for pages that a test writes itself; ended with the module, whose event loop would be in others' way."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or pytest.skip("no chromium")
    with playwright.sync_playwright() as p:
        running = p.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


ALEXNETS = [small.SPEC, small.SPEC_BN]
TODAYS = [small.RESNET, small.RESNET_PLAIN, small.VIT]


@pytest.fixture(params=[*ALEXNETS, *TODAYS], ids=lambda spec: spec.name)
def spec(request):
    return request.param


@pytest.fixture(params=ALEXNETS, ids=lambda spec: spec.name)
def alexnet(request):
    return request.param


@pytest.fixture
def recipe():
    return small.RECIPE


@pytest.fixture
def cpu():
    return small.CPU


@pytest.fixture
def half():
    return small.random_half(1)
