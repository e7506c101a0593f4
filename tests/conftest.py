"""What all tests share: one thread, and things small enough to train for real in milliseconds."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch counts the cores

import pytest
import small
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


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
