"""The microscope: each method against an independent computation on a small network, which stays as it was."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
import small
import torch
from torch.nn import functional

from transferlib.attribution import (
    METHODS,
    agreement_with_untrained,
    as_input,
    crops,
    method,
    strongest_units,
    top_patches,
)
from transferlib.errors import TransferlibError
from transferlib.nets import network, outline
from transferlib.train import fresh_network, to_input

CPU = torch.device("cpu")
PICTURES = {
    "noise": np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8),
    "ramp": np.linspace(0, 255, 16 * 16 * 3).reshape(16, 16, 3).astype(np.uint8),
}


@pytest.fixture(scope="module")
def net():
    return fresh_network(small.SPEC, 5, (0, "test"), CPU).eval()


@pytest.fixture(scope="module")
def image():
    return as_input([PICTURES["noise"]], small.SPEC)


def tiny():
    return fresh_network(network("alexnet32-tiny"), 10, (0, "test"), CPU).eval()


def tail_gradient(net, image, n, target):
    """The layer's answer and the slope of the class's score over it, by autograd alone."""
    answer = net(image, stop=n).detach().requires_grad_()
    net(answer, start=n)[0, target].backward()
    return answer.detach(), answer.grad


def near(view, expected):
    np.testing.assert_allclose(view, expected / np.abs(expected).max(), atol=1e-5)


def enlarged(values):
    """Each cell of a square map repeated up to the picture's 8 pixels."""
    return functional.interpolate(values[None, None], (8, 8), mode="nearest")[0, 0].numpy()


@pytest.mark.parametrize("n", [1, 3, 5])
def test_activation_shows_the_map_of_the_strongest_channel(net, image, n):
    answer = net(image, stop=n).detach()[0]
    channel = answer.flatten(1).amax(1).argmax()
    assert strongest_units(net, image, n).item() == channel
    near(METHODS["activation"].see(net, image, n, 0), enlarged(answer[channel]))


@pytest.mark.parametrize("n", [2, 4, 5])
def test_gradcam_weighs_channels_by_their_mean_slope_and_drops_the_negative(net, image, n):
    for target in range(5):
        answer, slope = tail_gradient(net, image, n, target)
        expected = (answer * slope.mean((2, 3), keepdim=True)).sum(1)[0].relu()
        if expected.any():
            near(METHODS["Grad-CAM"].see(net, image, n, target), enlarged(expected))


def test_gradcam_of_a_layer_without_positions_is_value_times_slope_of_each_unit(net, image):
    answer, slope = tail_gradient(net, image, 6, 2)
    view = METHODS["Grad-CAM"].see(net, image, 6, 2)
    assert view.shape == (3, 4)  # 12 units
    near(view.ravel(), (answer * slope)[0].numpy())


@pytest.mark.parametrize("n", [1, 5, 7])
def test_conductance_adds_up_over_the_path_from_the_mean_colour(net, image, n):
    """Its sum is the class's rise from the mean colour to the image, whatever the layer (Dhamdhere et al., 2018)."""
    from captum.attr import LayerConductance

    rise = (net(image) - net(torch.zeros_like(image)))[0, 1].item()
    whole = LayerConductance(net, net.layers[n - 1]).attribute(image, target=1, n_steps=400)
    assert whole.sum().item() == pytest.approx(rise, rel=0.02, abs=0.02)
    expected = whole.sum(1)[0].detach() if n <= 5 else whole[0].detach()
    view = METHODS["conductance"].see(net, image, n, 1)
    shown = torch.from_numpy(view).ravel() if n > 5 else torch.from_numpy(view)
    target = torch.from_numpy(enlarged(expected)) if n <= 5 else expected
    assert torch.corrcoef(torch.stack([shown.flatten()[: target.numel()], target.flatten()]))[0, 1] > 0.95


def test_ablation_is_the_fall_of_the_strongest_unit_without_each_patch(net, image):
    answer = net(image, stop=7).detach()[0]
    unit = int(answer.argmax())
    falls = np.zeros((8, 8))
    for row in range(8):
        for column in range(8):
            painted = image.clone()
            painted[..., row, column] = 0  # 8 x 8 patches of 8 pixels: one pixel each
            falls[row, column] = float((answer - net(painted, stop=7).detach()[0])[unit])
    near(METHODS["ablation"].see(net, image, 7, 0), falls)


def test_guided_backpropagation_is_the_gradient_where_no_path_falls(net, image):
    """With every weight above the image positive, nothing is cut off and it must equal the gradient."""
    positive = fresh_network(small.SPEC, 5, (1,), CPU).eval()
    with torch.no_grad():
        for weight in positive.parameters():
            weight.abs_()
    x = image.clone().requires_grad_()
    answer = positive(x, stop=6)[0]
    answer.max().backward()
    near(METHODS["guided backpropagation"].see(positive, image, 6, 0), x.grad[0].permute(1, 2, 0).numpy())


def test_guided_backpropagation_cuts_falling_paths(net, image):
    view = METHODS["guided backpropagation"].see(net, image, 6, 0)
    x = image.clone().requires_grad_()
    net(x, stop=6)[0].max().backward()
    gradient = x.grad[0].permute(1, 2, 0).numpy()
    assert np.abs(view - gradient / np.abs(gradient).max()).max() > 0.05


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("frozen", [False, True])
def test_no_method_changes_the_network(name, frozen, image):
    net = fresh_network(small.SPEC_BN, 5, (0,), CPU).eval().requires_grad_(not frozen)
    before, picture = small.copies(net), image.clone()
    for n in range(1, 9):
        view = METHODS[name].see(net, image, n, 3)
        assert view.dtype == np.float32 and np.isfinite(view).all() and np.abs(view).max() <= 1
    assert all(torch.equal(tensor, before[key]) for key, tensor in net.state_dict().items())
    assert all(p.requires_grad is not frozen and p.grad is None for p in net.parameters())
    assert all(not m._forward_hooks and not m._backward_hooks and not m._forward_pre_hooks for m in net.modules())
    assert torch.equal(image, picture) and not image.requires_grad and not net.training


@pytest.mark.parametrize("name", ["alexnet32", "alexnet32-small", "alexnet32-tiny"])
def test_receptive_field_is_where_the_gradient_reaches(name):
    spec = network(name)
    net = fresh_network(spec, 2, (0,), CPU).eval()
    for n in range(1, 6):
        field = outline(spec, 2).layer(n).field
        at = net(torch.zeros(1, 3, spec.resolution, spec.resolution), stop=n).shape[-1] // 2
        # every path counts: maxima and ReLUs would hide most, so several draws are laid over one another
        reach = torch.zeros(spec.resolution, spec.resolution)
        for _ in range(12):
            x = (3 * torch.randn(1, 3, spec.resolution, spec.resolution)).requires_grad_()
            net(x, stop=n)[0, :, at, at].sum().backward()
            reach += x.grad[0].abs().sum(0)
        rows = reach.sum(1).nonzero()[:, 0]
        first, last = field.start + at * field.step, field.start + at * field.step + field.size - 1
        seen = max(first, 0), min(last, spec.resolution - 1)
        assert seen[0] <= rows.min() <= seen[0] + 2 and seen[1] - 2 <= rows.max() <= seen[1], (n, field)


def test_the_receptive_fields_of_caffenet_are_those_in_the_literature():
    assert [outline(network("caffenet"), 2).layer(n).field.size for n in range(1, 6)] == [19, 67, 99, 131, 195]


def test_a_fully_connected_layer_sees_the_whole_picture():
    net = fresh_network(small.SPEC, 3, (0,), CPU).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    assert net.layer(6).field is None
    assert all(any(np.array_equal(patch, one) for one in pixels) for patch in top_patches(net, pixels, 6, 0)[0])
    with pytest.raises(TransferlibError, match=r"1\.\.8, got 9"):
        top_patches(net, pixels, 9, 0)


def test_top_patches_are_cut_where_the_unit_answers_most():
    net = tiny()
    pixels = np.random.default_rng(1).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    patches, values = top_patches(net, pixels, 2, 3, count=4)
    field = net.layer(2).field
    assert patches.shape == (4, field.size, field.size, 3) and (np.diff(values) <= 0).all()
    answers = net(to_input(torch.from_numpy(pixels), net.spec, CPU), stop=2).detach()[:, 3]
    best = int(answers.flatten(1).amax(1).argmax())
    assert values[0] == pytest.approx(float(answers.max()))
    row, column = (answers[best] == answers[best].max()).nonzero()[0].tolist()
    for i, j in ((2, 2), (7, 8), (12, 12)):
        y, x = field.start + row * field.step + i, field.start + column * field.step + j
        inside = 0 <= y < 32 and 0 <= x < 32
        assert patches[0, i, j].tolist() == (pixels[best, y, x].tolist() if inside else [128] * 3)
    assert top_patches(net, pixels, 7, 0, count=2)[0].shape == (2, 32, 32, 3)


def test_crops_are_squares_of_the_picture_named_by_a_seed():
    cuts = crops(PICTURES["ramp"], 8, 5)
    assert cuts.shape == (5, 8, 8, 3) and cuts.dtype == np.uint8
    assert (cuts == crops(PICTURES["ramp"], 8, 5)).all() and (cuts != crops(PICTURES["ramp"], 8, 5, seed=1)).any()


def test_a_method_on_the_same_untrained_network_agrees_with_itself(net, image):
    fresh = fresh_network(small.SPEC, 5, (7, "untrained"), CPU).eval()
    assert agreement_with_untrained(fresh, image, "ablation", 6, 0, seed=7) == pytest.approx(1)
    assert agreement_with_untrained(fresh, image, "ablation", 6, 0, seed=8) < 0.9


def test_refusals_name_what_is_expected(net, image):
    with pytest.raises(TransferlibError, match="'saliency': expected one of activation"):
        method("saliency")
    with pytest.raises(TransferlibError, match=r"1\.\.8, got 0"):
        METHODS["activation"].see(net, image, 0, 0)
    with pytest.raises(TransferlibError, match="evaluation mode"):
        METHODS["activation"].see(fresh_network(small.SPEC, 5, (0,), CPU), image, 1, 0)


def test_without_captum_the_mend_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "transferlib.attribution")
    monkeypatch.setitem(sys.modules, "captum", None)
    with pytest.raises(TransferlibError, match="pip install captum"):
        importlib.import_module("transferlib.attribution")


def test_every_method_says_what_it_shows_and_what_it_cannot():
    assert all(len(one.shows) > 40 and len(one.cannot_show) > 40 for one in METHODS.values())
