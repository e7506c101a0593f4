"""Feature visualisation: pictures made from nothing but a unit, by climbing to what excites it (Olah et al., 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from transferlib.attribution.microscope import examined
from transferlib.nets import NetworkSpec, Stack

# a row each: brightness, blue against yellow, green against magenta, by about how much photographs vary along them
OPPONENTS = torch.tensor([[0.27, 0.27, 0.27], [0.09, 0.0, -0.09], [0.03, -0.06, 0.03]])
JITTER = 8  # pixels to each side by which a picture is moved about: no pattern can hold on to one place
START = 0.01  # so faint is the noise that it starts from
CONTRAST = 2.0
RATE, DECAY = 0.05, 1.0  # of AdamW: what nothing asks for fades


@dataclass(frozen=True)
class _Canvas:
    """Pictures as waves, whose size falls with their frequency as it does in photographs."""

    side: int

    def noise(self, count: int, draw: torch.Generator) -> Tensor:
        """Where the climb starts: float32 (count, 3, side, side // 2 + 1, 2)."""
        return START * torch.randn(count, 3, self.side, self.side // 2 + 1, 2, generator=draw)

    def painted(self, waves: Tensor) -> Tensor:
        """The pictures that some waves are, in 0..1: float32 (count, 3, side, side)."""
        down, across = torch.fft.fftfreq(self.side)[:, None], torch.fft.rfftfreq(self.side)
        length = 1 / torch.hypot(down, across).clamp_min(1 / self.side)
        channels = torch.fft.irfft2(torch.view_as_complex(waves) * length, s=(self.side, self.side), norm="ortho")
        return torch.sigmoid(CONTRAST * torch.einsum("uchw,cr->urhw", channels, OPPONENTS))


@torch.enable_grad()
def visualise(net: Stack, n: int, units: Sequence[int], steps: int = 64, seed: int = 0) -> np.ndarray:
    """The pictures that some units of a layer like best, each climbed to from faint noise.

    A picture is made of waves and moved about at every step; without both, what comes out is noise to our eyes (Olah,
    Mordvintsev and Schubert, 2017). What is climbed is the unit before its rectifier, its mean over positions: where
    it is off there is no slope behind it.

    Args:
        net: in evaluation mode; it stays as it is.
        n: the layer, 1..8. (Layer 1 is linear: what it likes best on the whole is a flat colour.)
        units: their numbers in the layer.
        steps: of the climb.
        seed: of the noise and of the moves.

    Returns:
        uint8 (units, R, R, 3).

    Raises:
        TransferlibError: for a layer that it lacks, or a network that is being trained.
    """
    examined(net, n)
    side, draw = net.spec.resolution, torch.Generator().manual_seed(seed)
    canvas = _Canvas(side + 2 * JITTER)
    waves = canvas.noise(len(units), draw).requires_grad_()
    optimiser = torch.optim.AdamW([waves], RATE, weight_decay=DECAY)
    for _ in range(steps):
        top, left = torch.randint(0, 2 * JITTER + 1, (2,), generator=draw).tolist()
        moved = canvas.painted(waves)[..., top : top + side, left : left + side]
        excited = _answers(net, _normalised(moved, net.spec), n)[range(len(units)), list(units)]
        (waves.grad,) = torch.autograd.grad(-excited.sum(), waves)
        optimiser.step()
    with torch.no_grad():
        found = canvas.painted(waves)[..., JITTER : JITTER + side, JITTER : JITTER + side]
    return (255 * found).round().byte().permute(0, 2, 3, 1).numpy()


def _normalised(pictures: Tensor, spec: NetworkSpec) -> Tensor:
    """Pictures in 0..1 as a network's input, (B, 3, R, R); ``train.to_input`` is for bytes, and has no slopes."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (spec.mean, spec.std))
    return (255 * pictures - mean) / std


def _answers(net: Stack, images: Tensor, n: int) -> Tensor:
    """Each unit of layer ``n`` before its rectifier, in the mean over positions: (B, units)."""
    heard: list[Tensor] = []

    def hear(module: nn.Module, given: object, answer: Tensor) -> None:
        heard.append(answer)

    hook = next(net.layer(n).children()).register_forward_hook(hear)
    try:
        net(images, stop=n)
    finally:
        hook.remove()
    return heard[0].flatten(2).mean(2) if heard[0].dim() > 2 else heard[0]
