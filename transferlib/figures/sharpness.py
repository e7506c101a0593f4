"""The figure of the sharpness: how near the loss that is trained comes to the limit of its rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from transferlib.figures.style import DASHES, MARKERS, SMALL, STYLE, WIDE, Look, base_line, clean, legend, shade

Moments = Sequence[Mapping[str, float]]


def figure_sharpness(runs: Mapping[str, Mapping[str, Moments]]) -> Figure:
    """A panel for each rate: the sharpness as a share of the limit of the rate of the moment, against the epoch.

    Args:
        runs: as ``tools/stability.py`` writes them: by what was trained and its rate (``cut, at .2``) the moments of
            each run, with epoch, sharpness and limit.
    """
    measured = _by_rate(runs)
    figure = Figure(figsize=(WIDE, 4.2), layout="constrained")
    axes = figure.subplots(1, len(measured), sharey=True, squeeze=False)[0]
    for ax, (rate, together) in zip(axes, measured.items(), strict=True):
        clean(ax)
        base_line(ax, 1.0)
        for i, (name, moments) in enumerate(together.items()):
            ax.plot([m["epoch"] for m in moments], [m["sharpness"] / m["limit"] for m in moments], **_look(name, i))
        ax.set_title(rate, fontsize=SMALL, loc="left")
        ax.set_xlabel("epoch")
        ax.set_yscale("log")
        ax.label_outer()
        legend(ax, frame=False)
    axes[0].set_ylabel("sharpness / limit of the rate")
    return figure


def _by_rate(runs: Mapping[str, Mapping[str, Moments]]) -> dict[str, dict[str, Moments]]:
    """The runs of each rate together: the base first, then the cut networks."""
    found: dict[str, dict[str, Moments]] = {}
    for name, moments in sorted(runs.items()):
        found.setdefault(f"at {name.split(' at ')[-1]}", {}).update(moments)
    return found


def _look(name: str, i: int) -> Look:
    if name == "base":
        return {"color": STYLE["base"][0], "marker": STYLE["base"][1], "label": name}
    return {"color": shade(0.3 * i), "marker": MARKERS[i], "linestyle": DASHES[i], "label": name}
