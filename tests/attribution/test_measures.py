"""Probes, CKA, concepts and what is made of them: known answers, independent formulas, chance where nothing is."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import small
import torch
from torch import nn

from transferlib.attribution import (
    CONCEPTS,
    cka_matrix,
    concept_separability,
    concept_sets,
    draw_concept,
    layer_measures,
    likeness,
    linear_cka,
    own_over_foreign,
    probe,
    ridge_direction,
    tcav_scores,
)
from transferlib.attribution.concepts import ridge_classifier
from transferlib.attribution.probes import capped
from transferlib.errors import TransferlibError
from transferlib.train import fresh_network, to_input

CPU = torch.device("cpu")
SPEC = dataclasses.replace(small.SPEC, resolution=16)


@pytest.fixture(scope="module")
def net():
    return fresh_network(SPEC, 4, (0, "test"), CPU).eval()


def coloured(count, seed, classes=3, side=16):
    """Noise whose brightest colour is its class: any linear probe of the pixels' means can read it."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, count)
    pixels = draw.integers(0, 120, (count, side, side, 3))
    pixels[np.arange(count), :, :, labels] += 100
    return pixels.astype(np.uint8), 10 * labels  # labels need not be 0, 1, 2


# --- probes ---


def test_a_probe_reads_what_is_there_from_every_layer(net):
    table = probe(net, coloured(300, 0), coloured(120, 1))
    assert table["layer"].tolist() == list(range(8))
    assert (table["accuracy"][:5] > 0.97).all() and (table["accuracy"] > 0.6).all()  # ten random units lose some
    assert (table["low"] < table["accuracy"]).all()
    assert (table["train_images"] == 300).all() and table["features"].tolist()[0] == 48


def test_a_probe_of_labels_that_mean_nothing_is_at_chance(net):
    draw = np.random.default_rng(0)
    sets = [(draw.integers(0, 256, (n, 16, 16, 3), dtype=np.uint8), draw.integers(0, 3, n)) for n in (300, 600)]
    table = probe(net, *sets)
    assert (np.abs(table["accuracy"] - 1 / 3) < 0.08).all() and (table["low"] < 0.34).all()


def test_the_probe_is_a_ridge_regression_on_one_hot_targets(net):
    """Against scikit-learn at the strength that was chosen."""
    from sklearn.linear_model import Ridge

    train, test = coloured(200, 0), (np.random.default_rng(2).integers(0, 256, (300, 16, 16, 3), dtype=np.uint8), None)
    test = test[0], coloured(300, 3)[1]
    noisy = (train[0] // 8 + np.random.default_rng(4).integers(0, 224, train[0].shape)).astype(np.uint8), train[1]
    table = probe(net, noisy, test, per_class=None)
    for layer in (1, 6):
        features = []
        for pixels in (noisy[0], test[0]):
            tap = net.taps(to_input(torch.from_numpy(pixels), net.spec, CPU), layer)[layer].detach()
            features.append(tap.flatten(1).double().numpy())
        x = features[0]
        alpha = len(x) * table["strength"][layer] * x.var(0).mean()
        fitted = Ridge(alpha=alpha).fit(x, np.eye(3)[noisy[1] // 10])
        expected = (fitted.predict(features[1]).argmax(1) == test[1] // 10).mean()
        assert table["accuracy"][layer] == pytest.approx(expected, abs=0.011)


def test_a_cap_keeps_as_many_images_of_each_class():
    labels = np.repeat([3, 5, 9], [10, 4, 7])
    chosen = capped(labels, 5, seed=0)
    assert dict(zip(*np.unique(labels[chosen], return_counts=True), strict=True)) == {3: 5, 5: 4, 9: 5}
    assert (capped(labels, 5, seed=0) == chosen).all() and len(np.unique(chosen)) == len(chosen)
    assert len(capped(labels, None, 0)) == 21


def test_probes_refuse_other_sizes_and_unknown_classes(net):
    train = coloured(30, 0)
    with pytest.raises(TransferlibError, match="16 px"):
        probe(net, train, coloured(30, 1, side=6))
    with pytest.raises(TransferlibError, match="every class"):
        probe(net, train, (train[0], train[1] + 1))


# --- CKA ---


def features(seed, n=200, p=30):
    return torch.randn(n, p, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_cka_of_a_rotated_scaled_and_moved_copy_is_one():
    x = features(0)
    rotation = torch.linalg.qr(features(1, 30, 30)).Q
    assert linear_cka(x, 3 * x @ rotation + 5) == pytest.approx(1, abs=1e-9)
    assert linear_cka(x, x @ features(2, 30, 30)) < 0.99


def test_cka_of_independent_noise_is_about_zero_though_features_outnumber_images():
    found = [linear_cka(features(k, 50, 400), features(k + 100, 50, 400)) for k in range(20)]
    assert abs(np.mean(found)) < 0.02 and min(found) < 0 < max(found)


def test_cka_is_the_formula_of_song_and_the_classical_one_for_many_images():
    x, y = features(0, 12, 5), features(1, 12, 5) + features(0, 12, 5)
    n = len(x)

    def hsic(a, b):  # term by term, over all distinct images
        k, m = (a @ a.T).numpy(), (b @ b.T).numpy()
        np.fill_diagonal(k, 0)
        np.fill_diagonal(m, 0)
        one = np.ones(n)
        inner = (
            np.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * one @ k @ m @ one
        )
        return inner / (n * (n - 3))

    assert linear_cka(x, y) == pytest.approx(hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y)))
    x, y = features(0, 3000, 5), features(1, 3000, 5) + features(0, 3000, 5)
    x, y = x - x.mean(0), y - y.mean(0)
    classical = (y.T @ x).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm())
    assert linear_cka(x, y) == pytest.approx(float(classical), abs=0.003)


def test_the_cka_matrix_is_one_on_the_diagonal_of_a_network_with_itself_permuted(net):
    """Shuffling the units of a layer is a rotation: nothing about the layer has changed."""
    twin = fresh_network(SPEC, 4, (0, "test"), CPU).eval()
    order = torch.randperm(12)
    with torch.no_grad():
        for parameter in twin.layers[5].fc.parameters():
            parameter.copy_(parameter[order].clone())
        twin.layers[6].fc.weight.copy_(twin.layers[6].fc.weight[:, order].clone())
    pixels = np.random.default_rng(0).integers(0, 256, (600, 16, 16, 3), dtype=np.uint8)
    matrix = cka_matrix(net, twin, pixels)
    assert matrix.shape == (8, 8)
    np.testing.assert_allclose(matrix.diagonal(), 1, atol=1e-5)
    halves = [net.taps(to_input(torch.from_numpy(part), net.spec, CPU), 8) for part in (pixels[:300], pixels[300:])]
    assert matrix[1, 6] == pytest.approx(np.mean([linear_cka(t[2].detach(), t[7].detach()) for t in halves]), abs=0.03)


@pytest.mark.parametrize("count", [0, 3])
def test_cka_needs_a_few_images(net, count):
    with pytest.raises(TransferlibError, match="at least 4"):
        linear_cka(features(0, count), features(1, count))
    with pytest.raises(TransferlibError, match="at least 4"):
        cka_matrix(net, net, np.zeros((count, 16, 16, 3), np.uint8))


# --- concepts ---


def test_concepts_differ_in_pattern_but_not_in_brightness_or_contrast():
    sets = concept_sets(32, 300)
    assert set(sets) == {*CONCEPTS, "random"}
    means = {name: pixels.mean() for name, pixels in sets.items()}
    spreads = {name: pixels.std((1, 2)).mean() for name, pixels in sets.items()}
    assert np.ptp(list(means.values())) < 12 and np.ptp(list(spreads.values())) < 15
    for name, pixels in sets.items():
        assert pixels.shape == (300, 32, 32, 3) and pixels.dtype == np.uint8
        assert (pixels[:5] == draw_concept(name, 5, 32)).all()  # more images leave the first ones alone
        assert (pixels[:5] != draw_concept(name, 5, 32, seed=1)).any()


def test_stripes_are_constant_along_one_direction():
    """Their spectrum has one peak and its mirror image: the others' energy is spread."""
    peaks = {}
    for name in ("stripes", "random"):
        grey = draw_concept(name, 40, 32).mean(-1)
        power = np.abs(np.fft.fft2(grey - grey.mean((1, 2), keepdims=True))) ** 2
        peaks[name] = np.mean(np.sort(power.reshape(40, -1))[:, -6:].sum(1) / power.sum((1, 2)))
    assert peaks["stripes"] > 0.6 > 0.5 > peaks["random"]


def test_trivially_different_sets_are_told_apart_and_equal_ones_are_not(net):
    light = np.random.default_rng(0).integers(150, 256, (80, 16, 16, 3), dtype=np.uint8)
    dark = np.random.default_rng(1).integers(0, 100, (80, 16, 16, 3), dtype=np.uint8)
    again = np.random.default_rng(2).integers(0, 100, (80, 16, 16, 3), dtype=np.uint8)
    table = concept_separability(net, {"bright": light, "same": again, "random": dark})
    bright = table[(table["concept"] == "bright") & (table["layer"] <= 5)]
    assert (bright["accuracy"] == 1).all()
    same = table[table["concept"] == "same"]
    assert abs(same["accuracy"].mean() - 0.5) < 0.12 and ((same["low"] < 0.5) | (same["accuracy"] < 0.5)).sum() >= 6
    assert table["test_images"].eq(80).all() and sorted(same["layer"]) == list(range(8))


def test_the_counter_set_is_asked_for(net):
    with pytest.raises(TransferlibError, match="'random'"):
        concept_separability(net, {"bright": np.zeros((4, 16, 16, 3), np.uint8)})
    with pytest.raises(TransferlibError, match="at least 16"):
        draw_concept("stripes", 1, 8)
    with pytest.raises(TransferlibError, match="'plaid': expected one of stripes"):
        draw_concept("plaid", 1, 16)


def test_the_direction_is_the_ridge_with_the_smallest_leave_one_out_error():
    from sklearn.linear_model import RidgeCV

    from transferlib.attribution.concepts import STRENGTHS

    x = features(0, 40, 100)
    y = torch.sign(x[:, 0] + features(1, 40, 1)[:, 0])
    centred = x - x.mean(0)
    scale = float(torch.linalg.eigvalsh(centred @ centred.T).clamp_min(0).mean())
    expected = RidgeCV([strength * scale for strength in STRENGTHS]).fit(x.numpy(), y.numpy())
    direction, bias = ridge_direction(x, y)
    np.testing.assert_allclose(direction, expected.coef_, atol=1e-5)
    assert float(bias) == pytest.approx(expected.intercept_, abs=1e-5)


def test_captum_is_given_the_same_direction_for_the_first_concept():
    x = features(0, 30, 10).float()
    labels = torch.tensor([7] * 15 + [3] * 15)
    classifier = ridge_classifier()
    stats = classifier.train_and_eval([(x[:20], labels[:20]), (x[20:], labels[20:])])
    direction, _ = ridge_direction(x, torch.where(labels == 7, 1.0, -1.0))
    assert classifier.classes() == [7, 3] and 0.5 < float(stats["accs"]) <= 1
    torch.testing.assert_close(classifier.weights(), torch.stack([direction, -direction]))


def test_tcav_scores_are_the_share_of_rising_slopes(tmp_path, monkeypatch):
    """Against the slope along the direction by autograd; and no file is left behind."""
    monkeypatch.chdir(tmp_path)
    net = fresh_network(SPEC, 4, (3, "test"), CPU).eval()
    before = small.copies(net)
    pixels = np.random.default_rng(0).integers(0, 256, (25, 16, 16, 3), dtype=np.uint8)
    found = tcav_scores(net, pixels, 2, concepts=("objects",), layers=(3, 6), images=12, draws=2)
    assert list(found["concept"].unique()) == ["objects", "random"] and list(found["layer"].unique()) == [3, 6]
    for layer in (3, 6):
        shares = []
        for k in range(2):
            sets = [draw_concept("objects", 12, 16, 1000 + k), draw_concept("random", 12, 16, 1000 + 2 + k)]
            inputs = to_input(torch.from_numpy(np.concatenate(sets)), net.spec, CPU)
            acts = net(inputs, stop=layer).detach().flatten(1)
            direction, _ = ridge_direction(acts, torch.tensor([1.0] * 12 + [-1.0] * 12))
            answer = net(to_input(torch.from_numpy(pixels), net.spec, CPU), stop=layer).detach().requires_grad_()
            net(answer, start=layer)[:, 2].sum().backward()
            shares.append((answer.grad.flatten(1) @ direction > 0).float().mean().item())
        row = found[(found["concept"] == "objects") & (found["layer"] == layer)].iloc[0]
        assert row["score"] == pytest.approx(np.mean(shares), abs=1e-6)
        assert 0 <= row["low"] <= row["score"] <= row["high"] <= 1
    assert list(tmp_path.iterdir()) == []
    assert all(torch.equal(tensor, before[key]) for key, tensor in net.state_dict().items())
    assert all(not m._forward_hooks for m in net.modules() if isinstance(m, nn.Module))


# --- all together ---


def test_measures_are_plain_and_say_what_they_were_made_of(net):
    other = fresh_network(SPEC, 3, (1, "test"), CPU).eval()
    sets = {"A": (coloured(90, 0), coloured(60, 1)), "B": (coloured(90, 2, classes=2), coloured(60, 3, classes=2))}
    found = layer_measures(net, other, sets, per_class=20, concept_images=20, cka_images=40)
    assert json.loads(json.dumps(found)) == found
    assert len(found["probes"]) == 3 * 2 * 8 and len(found["concepts"]) == 3 * len(CONCEPTS) * 8
    alone = probe(other, *sets["B"], per_class=20)["accuracy"].tolist()
    rows = [row for row in found["probes"] if (row["network"], row["classes"]) == ("B", "B")]
    assert [row["accuracy"] for row in rows] == pytest.approx(alone, abs=1e-6)
    assert np.shape(found["cka"]["A, B"]) == (8, 8) and found["made_of"]["cka"]["images"] == 40
    assert found["made_of"]["probe"]["classes"] == {"A": 3, "B": 2} and "captum" in found["made_of"]["versions"]
    assert found == layer_measures(net, other, sets, per_class=20, concept_images=20, cka_images=40)


def test_own_classes_are_held_against_foreign_ones_layer_by_layer():
    accuracy = {("A", "A"): 0.5, ("A", "B"): 0.4, ("B", "B"): 0.7, ("B", "A"): 0.55, ("A", "untrained"): 0.9}
    rows = [
        {"layer": layer, "classes": half, "network": net, "accuracy": value + layer * (half == net) / 100}
        for (half, net), value in accuracy.items()
        for layer in (0, 1)
    ]
    assert own_over_foreign({"probes": rows}).to_dict() == pytest.approx({0: 12.5, 1: 13.5})


def test_likeness_is_the_cka_of_the_same_layers_of_two_bases(net):
    other = fresh_network(SPEC, 4, (0, "other"), CPU).eval()
    sets = {half: (coloured(60, 3), coloured(60, seed)) for half, seed in (("A", 4), ("B", 5))}
    found = likeness(net, other, sets, images=400)
    pixels = np.concatenate([sets[half][1][0] for half in "AB"])
    assert found["images"] == len(pixels) == 120
    assert found["cka"] == pytest.approx(cka_matrix(net, other, pixels).diagonal(), abs=1e-5)
    assert likeness(net, net, sets)["cka"] == pytest.approx([1] * 8, abs=1e-5)
    assert json.loads(json.dumps(found)) == found
