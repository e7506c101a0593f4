"""The walk over convolutions and poolings, against PyTorch's own."""

import doctest

import pytest
import torch
from torch import nn

from transferlib.nets import Grid, geometry


@pytest.mark.parametrize("window", [(3, 1, 1), (5, 2, 2), (11, 4, 0), (2, 2, 0), (3, 2, 1)])
@pytest.mark.parametrize("side", [16, 27, 33])
def test_a_grid_has_as_many_positions_as_the_convolution_gives(side, window):
    answer = nn.Conv2d(3, 4, *window)(torch.zeros(1, 3, side, side))
    assert Grid(side).through(*window).side == answer.shape[-1]


def test_what_a_position_sees_is_where_its_gradient_lies():
    windows = [(3, 2, 1), (5, 1, 2), (3, 3, 0)]
    x = torch.randn(1, 1, 64, 64, requires_grad=True)
    grid, y = Grid(64), x
    for window in windows:
        grid, y = (
            grid.through(*window),
            nn.functional.conv2d(y, torch.ones(1, 1, window[0], window[0]), None, *window[1:]),
        )
    at = grid.side // 2
    y[0, 0, at, at].backward()
    seen = x.grad[0, 0].abs().sum(0).nonzero()[:, 0]
    first = grid.field.start + at * grid.field.step
    assert (seen.min(), seen.max()) == (first, first + grid.field.size - 1)


def test_the_docstrings_example_holds():
    found = doctest.testmod(geometry)
    assert found.attempted and not found.failed
