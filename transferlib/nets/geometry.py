"""The one walk over convolutions and poolings: how many positions a side, what each of them sees, what it costs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReceptiveField:
    """Which pixels a unit can see: the one at position i those from ``start + i * step``, ``size`` of them.

    What lies outside of the picture is padding.
    """

    size: int = 1
    step: int = 1
    start: int = 0

    def through(self, kernel: int, stride: int = 1, padding: int = 0) -> ReceptiveField:
        """What a unit sees that looks at such units through a window."""
        return ReceptiveField(
            self.size + (kernel - 1) * self.step, self.step * stride, self.start - padding * self.step
        )


@dataclass(frozen=True)
class Grid:
    """The positions at which a layer's channels answer: ``side`` × ``side``, each with its receptive field.

    A picture is a grid of its pixels; windows, of convolutions or of poolings, lead from one grid to the next.

    >>> Grid(227).through(11, stride=4).through(3, stride=2)
    Grid(side=27, field=ReceptiveField(size=19, step=8, start=0))
    """

    side: int
    field: ReceptiveField = ReceptiveField()

    def through(self, kernel: int, stride: int = 1, padding: int = 0) -> Grid:
        """The grid of a window's positions, as PyTorch counts them."""
        side = (self.side + 2 * padding - kernel) // stride + 1
        return Grid(side, self.field.through(kernel, stride, padding))

    def multiply_adds(self, kernel: int, channels_in: int, channels_out: int, groups: int = 1) -> int:
        """What a convolution costs for one image whose answers lie on this grid."""
        return self.side**2 * channels_out * kernel**2 * channels_in // groups
