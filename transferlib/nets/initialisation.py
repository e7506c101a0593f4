"""Fresh weights for a layer, whatever it is made of, from a stream of its own."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from transferlib.nets.stack import LAYERS, Layer

Filler = Callable[[int], tuple[float, float]]  # fan-in → standard deviation of the weights, and bias


def he(k: int) -> Filler:
    """He et al. (2015): variance 2 / fan-in in front of a rectifier, 1 / fan-in in layer 8, which has none."""
    return lambda fan_in: (math.sqrt((2.0 if k < LAYERS else 1.0) / fan_in), 0.0)


@torch.no_grad()
def draw_weights(layer: Layer, filler: Filler, draw: torch.Generator) -> None:
    """Draw Gaussian weights for each matrix of a layer, in order; normalisations start as the identity."""
    for module in layer.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm)):
            module.reset_parameters()  # of batch norm its running statistics too
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            std, bias = filler(math.prod(module.weight.shape[1:]))
            module.weight.copy_(torch.empty(module.weight.shape).normal_(0.0, std, generator=draw))
            if module.bias is not None:
                nn.init.constant_(module.bias, bias)
