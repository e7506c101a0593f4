"""Photographs and first-layer filters: known pictures, known permutations, and what chance gives."""

from __future__ import annotations

import numpy as np
import pytest
import small
import torch

from transferlib.attribution import (
    PHOTOGRAPHS,
    filter_tiles,
    kernels,
    match_by_chance,
    match_filters,
    photograph,
    square,
)
from transferlib.errors import TransferlibError
from transferlib.nets import network
from transferlib.train import fresh_network


def tiny(seed):
    return fresh_network(network("alexnet32-tiny"), 4, (seed, "test"), torch.device("cpu"))


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_are_colour_pictures_that_may_be_written_to(name):
    picture = photograph(name)
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    assert picture.std() > 20 and picture.flags.writeable
    assert all([PHOTOGRAPHS[name].author, PHOTOGRAPHS[name].licence, PHOTOGRAPHS[name].source])


def test_an_unknown_photograph_is_named_with_those_that_exist():
    with pytest.raises(TransferlibError, match="'lena': expected one of chelsea"):
        photograph("lena")


def test_square_keeps_the_centre_and_averages_instead_of_skipping():
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, 20:60, 0] = 255  # the central square, red
    picture[:, :, 2] = 255 - picture[:, :, 0]
    picture[::2, :, 1] = 200  # lines of one pixel: antialiased, they become a flat 100
    small = square(picture, 10)
    assert small.shape == (10, 10, 3)
    assert (small[..., 0] > 230).all() and (small[..., 2] < 25).all()  # a little from beyond the edge
    assert np.abs(small[3:-3, :, 1].astype(int) - 100).max() <= 3


@pytest.mark.parametrize("picture, side", [(np.zeros((4, 4), np.uint8), 2), (np.zeros((4, 4, 3)), 2)])
def test_square_refuses_what_is_no_picture_in_bytes(picture, side):
    with pytest.raises(TransferlibError, match="uint8"):
        square(picture, side)


def test_square_refuses_an_empty_side():
    with pytest.raises(TransferlibError, match="at least 1"):
        square(np.zeros((4, 4, 3), np.uint8), 0)


def test_matching_recovers_a_permutation_with_signs_and_scales():
    net_a, net_b = tiny(0), tiny(1)
    draw = torch.Generator().manual_seed(3)
    order = torch.randperm(16, generator=draw)
    factor = torch.where(torch.rand(16, generator=draw) < 0.5, -2.0, 0.5)
    with torch.no_grad():
        net_b.layers[0].conv.weight.copy_(kernels(net_a)[order] * factor[:, None, None, None])
    found = match_filters(net_a, net_b)
    assert order[found["b"].tolist()].tolist() == found["a"].tolist()
    np.testing.assert_allclose(found["correlation"], factor[found["b"].tolist()].sign(), atol=1e-5)


def test_matching_sees_through_a_shift_of_one_pixel():
    net_a, net_b = tiny(0), tiny(1)
    inner = torch.zeros(16, 3, 5, 5)
    inner[:, :, 1:4, 1:4] = kernels(net_a)[:, :, 1:4, 1:4]
    with torch.no_grad():
        net_a.layers[0].conv.weight.copy_(inner)
        net_b.layers[0].conv.weight.copy_(inner.roll((1, -1), (2, 3)))
    found = match_filters(net_a, net_b)
    assert (found["a"] == found["b"]).all()
    np.testing.assert_allclose(found["correlation"], 1, atol=1e-5)


def test_untrained_filters_match_no_better_than_the_null_of_untrained_filters():
    chance = match_by_chance(tiny(0), tiny(1), "untrained", draws=30)
    found = match_filters(tiny(0), tiny(1))["correlation"].abs().mean()
    assert chance.shape == (30, 16) and (np.diff(chance, axis=1) <= 0).all()
    assert chance.mean(1).min() < found < chance.mean(1).max()


def test_scrambled_kernels_keep_their_spectrum_but_not_their_pattern():
    from transferlib.attribution.filters import _scrambled, kernel_correlations

    weights = kernels(tiny(0))
    moved = _scrambled(weights, torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.fft.fft2(moved).abs(), torch.fft.fft2(weights).abs(), atol=1e-4, rtol=1e-4)
    assert kernel_correlations(weights, moved).diagonal().abs().max() < 0.95


def test_chance_refuses_an_unknown_null():
    with pytest.raises(TransferlibError, match="untrained, scrambled"):
        match_by_chance(tiny(0), tiny(1), "shuffled")


def test_kernels_of_different_sizes_are_not_matched():
    with pytest.raises(TransferlibError, match="one size"):
        match_filters(tiny(0), fresh_network(small.SPEC, 4, (0,), torch.device("cpu")))


def test_tiles_show_each_kernel_scaled_by_its_largest_weight():
    net = tiny(0)
    with torch.no_grad():
        net.layers[0].conv.weight.zero_()
        net.layers[0].conv.weight[9, 1, 2, 2] = -3.0
    sheet = filter_tiles(net, columns=8)
    assert sheet.shape == (2 * 6 + 1, 8 * 6 + 1, 3)
    tile = sheet[7:12, 7:12]  # filter 9: second row, second column
    assert tile[2, 2].tolist() == [128, 0, 128] and tile[0, 0].tolist() == [128, 128, 128]
    assert (sheet[0] == 255).all() and (sheet[:, 6] == 255).all()
