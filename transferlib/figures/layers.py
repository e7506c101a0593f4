"""Pictures of what a layer sees (chapters 1 and 4), and what is measured of it: readable without colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transferlib.attribution.filters import as_pictures, kernels
from transferlib.attribution.measures import Likeness, Measures
from transferlib.attribution.microscope import (
    as_input,
    first_guess,
    method,
    strongest_units,
    top_patches,
)
from transferlib.attribution.photographs import square
from transferlib.attribution.visualisation import visualise
from transferlib.figures.mosaic import Mosaic
from transferlib.figures.style import SMALL, STYLE, WIDE, clean, legend
from transferlib.nets import Stack
from transferlib.train import to_input
from transferlib.treatments import DEPTHS

ON_LIGHT, ON_DARK = "#111111", "#eeeeee"  # letters on a picture, which is the same in the dark


def as_picture(view: np.ndarray) -> np.ndarray:
    """What a method gives as a picture, uint8 (H, W, 3): bright is for, dark against, mid-grey nothing.

    The scale rises in lightness, so it reads without colour too.
    """
    half = (view + 1) / 2
    colours = half if view.ndim == 3 else matplotlib.colormaps["cividis"](half)[..., :3]
    return (255 * np.clip(colours, 0, 1)).round().astype(np.uint8)


def figure_filters(
    net_a: Stack, net_b: Stack, matches: pd.DataFrame, pairs: int = 12, names: tuple[str, str] = ("A", "B")
) -> Mosaic:
    """The best matched first-layer filters of two networks, one above the other, with their correlation.

    A filter of B whose correlation is negative is drawn with its sign turned round, so that pairs look alike; the
    number keeps its sign.

    Args:
        net_a, net_b: the networks.
        matches: of ``match_filters``.
        pairs: how many, at most.
        names: what to call the networks.
    """
    best = matches.head(pairs)
    signs = torch.tensor(best["correlation"].tolist()).sign()[:, None, None, None]
    upper, lower = kernels(net_a)[best["a"].tolist()], kernels(net_b)[best["b"].tolist()] * signs
    notes = [f"{correlation:+.2f}".replace("-", "\N{MINUS SIGN}") for correlation in best["correlation"]]
    return Mosaic([as_pictures(upper), as_pictures(lower)], names, notes=notes)


def figure_match(matches: pd.DataFrame, chance: dict[str, np.ndarray]) -> Figure:
    """How alike matched filters are, best pair first, beside the same matching against filters that learned nothing.

    Args:
        matches: of ``match_filters``.
        chance: what to call a null → the result of ``match_by_chance``; drawn as mean and range over the draws.
    """
    figure = Figure(figsize=(WIDE, 3.2), layout="constrained")
    ax = figure.subplots()
    rank = np.arange(1, len(matches) + 1)
    ax.plot(rank, matches["correlation"].abs(), color=STYLE["base"][0], marker="o", label="A's and B's filters")
    styles = (("#D55E00", "--", "s"), ("#0072B2", ":", "^"))
    for (name, draws), (colour, dash, marker) in zip(chance.items(), styles, strict=False):
        ax.fill_between(rank, draws.min(0), draws.max(0), color=colour, alpha=0.2, linewidth=0)
        ax.plot(rank, draws.mean(0), color=colour, linestyle=dash, marker=marker, markersize=4, label=name)
    ax.set(xlabel="pair, best first", ylabel="absolute correlation", ylim=(0, 1.02))
    legend(ax, frame=False, fontsize=9)
    clean(ax)
    return figure


def figure_views(net: Stack, pictures: Mapping[str, np.ndarray], name: str, layers: Sequence[int] = DEPTHS) -> Mosaic:
    """One method through the layers: a row for each photograph, the network's input first, then a column a layer.

    Args:
        net: in evaluation mode; the class in question is its first guess for each photograph.
        pictures: a label for each picture, uint8 (H, W, 3).
        name: of ``METHODS``.
        layers: among 1..8.
    """
    rows = []
    for picture in pictures.values():
        image = as_input([picture], net.spec)
        target = first_guess(net, image)[0]
        views = [as_picture(method(name).see(net, image, n, target)) for n in layers]
        rows.append([square(picture, net.spec.resolution), *views])
    return Mosaic(rows, list(pictures), ["input", *(f"layer {n}" for n in layers)])


def figure_patches(net: Stack, pixels: np.ndarray, layers: Sequence[int] | None = None, units: int = 2) -> Mosaic:
    """What a layer's units answer to most: patches of images, cut to the receptive field, strongest first.

    The units shown are those that are strongest in most of the images.

    Args:
        net: in evaluation mode.
        pixels: uint8 (N, R, R, 3) of the network's resolution; images that may be shown.
        layers: among 1..8; those whose units have positions by default.
        units: how many of each layer.
    """
    images = to_input(torch.from_numpy(np.ascontiguousarray(pixels)), net.spec, torch.device("cpu"))
    rows, names = [], []
    for n in layers or [k for k, layer in enumerate(net, start=1) if layer.has_positions]:
        field = net.layer(n).field
        size = min(field.size, net.spec.resolution) if field else net.spec.resolution
        wins = torch.bincount(strongest_units(net, images, n)[:, 0])
        for unit in wins.topk(min(units, len(wins))).indices.tolist():
            rows.append(top_patches(net, pixels, n, unit)[0])
            names.append(f"layer {n}\nunit {unit}\n{size} px")
    return Mosaic(rows, names)


def figure_visualised(nets: Mapping[str, Stack], layers: Sequence[int] = range(2, 9), units: int = 4) -> Mosaic:
    """What units like best, made from nothing but the unit: a row for each layer, the networks side by side.

    The units are a layer's first ones, not chosen ones. (Layer 1 needs none of it: its filters are pictures.)

    Args:
        nets: what to call a network → the network, in evaluation mode; all of one architecture.
        layers: among 1..8.
        units: how many of each layer.
    """
    rows = [[visualise(net, n, range(units)) for net in nets.values()] for n in layers]
    titles = [title for name in nets for title in (name, *[""] * (units - 1), "")][:-1]
    return Mosaic([_apart(row) for row in rows], [f"layer {n}" for n in layers], titles)


def _apart(groups: Sequence[np.ndarray]) -> list[np.ndarray | None]:
    """Groups of pictures in one row, an empty place between them."""
    return [picture for group in groups for picture in (*group, None)][:-1]


def figure_concepts(concepts: Mapping[str, np.ndarray]) -> Mosaic:
    """The first eight images of each concept, and of the counter-set.

    Args:
        concepts: of ``concept_sets``.
    """
    return Mosaic([pixels[:8] for pixels in concepts.values()], list(concepts))


# --- numbers by layer ---

_LINES = (("#0072B2", "o", "-"), ("#D55E00", "s", "--"), (STYLE["base"][0], "^", ":"), ("#CC79A7", "D", "-."))


def _by_layer(ax: Axes, table: pd.DataFrame, column: str, labels: Mapping[str, str], chance: float) -> None:
    """A line with intervals for each value of a column: accuracy in percent against the layer."""
    for (value, label), (colour, marker, dash) in zip(labels.items(), _LINES, strict=False):
        rows = table[table[column] == value].sort_values("layer")
        ends = 100 * np.abs(rows[["low", "high"]].to_numpy().T - rows["accuracy"].to_numpy())
        style = {"color": colour, "marker": marker, "linestyle": dash, "capsize": 2}
        ax.errorbar(rows["layer"], 100 * rows["accuracy"], ends, label=label, **style)
    ax.axhline(100 * chance, color="#777777", linewidth=1)
    ax.annotate("chance", (7, 100 * chance), xytext=(0, 3), textcoords="offset points", fontsize=SMALL, ha="right")
    ax.set_xticks(range(8))
    clean(ax)
    ax.set_xlabel("layer (0: the pixels)")


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(WIDE, 3.4), layout="constrained")
    return figure, list(figure.subplots(1, count, sharey=True, squeeze=False)[0])


def figure_separability(measures: Measures) -> Figure:
    """How well each concept is told from random patterns at each layer: base A, and an untrained network.

    Args:
        measures: of ``layer_measures``.
    """
    table = pd.DataFrame(measures["concepts"])
    labels = {name: name for name in table["concept"].unique()}
    figure, axes = _panels(2)
    for ax, (network, title) in zip(axes, {"A": "base A", "untrained": "untrained"}.items(), strict=True):
        _by_layer(ax, table[table["network"] == network], "concept", labels, 0.5)
        ax.set_title(title, fontsize=10, loc="left")
    axes[0].set_ylabel("held-out accuracy (%)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize=SMALL, frameon=False)
    return figure


def figure_probes(measures: Measures) -> Figure:
    """What a linear probe reads from each layer of base A and base B: A's classes, and B's.

    Args:
        measures: of ``layer_measures``.
    """
    table = pd.DataFrame(measures["probes"])
    labels = {"A": "base A", "B": "base B", "untrained": "untrained"}
    classes = measures["made_of"]["probe"]["classes"]
    figure, axes = _panels(2)
    for ax, half in zip(axes, ("A", "B"), strict=True):
        _by_layer(ax, table[table["classes"] == half], "network", labels, 1 / classes[half])
        ax.set_title(f"{half}'s classes", fontsize=10, loc="left")
    axes[0].set_ylabel("probe's accuracy (%)")
    legend(axes[0], frame=False)
    return figure


def figure_cka(measures: Measures) -> Figure:
    """Linear CKA of every layer of base A with every layer of base B, and of an untrained network beside it.

    Args:
        measures: of ``layer_measures``.
    """
    figure = Figure(figsize=(WIDE, 3.7), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, (pair, title) in zip(axes, {"A, B": "base B", "A, untrained": "an untrained network"}.items(), strict=True):
        values = np.array(measures["cka"][pair])
        ax.imshow(values, vmin=0, vmax=1, cmap="cividis", origin="lower", extent=(0.5, 8.5, 0.5, 8.5))
        for row, column in np.ndindex(values.shape):
            ink = ON_LIGHT if values[row, column] > 0.5 else ON_DARK
            words = f"{values[row, column]:.2f}".replace("-", "\N{MINUS SIGN}")
            ax.text(column + 1, row + 1, words, ha="center", va="center", fontsize=SMALL, color=ink)
        ax.set(xlabel=f"layer of {title}", xticks=range(1, 9), yticks=range(1, 9))
    axes[0].set_ylabel("layer of base A")
    return figure


def figure_likeness(found: Mapping[str, Likeness]) -> Figure:
    """Linear CKA of base A with base B at each layer, a line for each network.

    Args:
        found: of ``likeness``, by what the networks are called.
    """
    figure = Figure(figsize=(WIDE, 4.0), layout="constrained")
    ax = figure.subplots()
    for (name, one), (colour, marker, dash) in zip(found.items(), _LINES, strict=False):
        ax.plot(range(1, 9), one["cka"], color=colour, marker=marker, linestyle=dash, label=name)
    ax.set(xlabel="layer", ylabel="CKA of base A with base B", xticks=range(1, 9), ylim=(0, 1.03))
    clean(ax)
    legend(ax, frame=False)
    return figure


def figure_tcav(scores: pd.DataFrame) -> Figure:
    """The share of a class's images that a step towards a concept speaks for, by layer, one panel a concept.

    The band is what directions between two random sets give: a score inside of it says nothing.

    Args:
        scores: of ``tcav_scores``.
    """
    null = scores[scores["concept"] == "random"]
    names = [name for name in scores["concept"].unique() if name != "random"]
    figure, axes = _panels(len(names))
    for ax, name, (colour, marker, dash) in zip(axes, names, _LINES, strict=False):
        rows = scores[scores["concept"] == name]
        ends = np.abs(rows[["low", "high"]].to_numpy().T - rows["score"].to_numpy())
        ax.fill_between(null["layer"], null["low"], null["high"], color="#777777", alpha=0.25, linewidth=0)
        ax.errorbar(rows["layer"], rows["score"], ends, color=colour, marker=marker, linestyle=dash, capsize=2)
        ax.axhline(0.5, color="#777777", linewidth=1)
        ax.set(xlabel="layer", xticks=rows["layer"], ylim=(-0.03, 1.03))
        ax.set_title(name, fontsize=10, loc="left")
        clean(ax, grid=False)
    axes[0].set_ylabel("TCAV score")
    return figure
