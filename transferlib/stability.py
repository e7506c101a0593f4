"""How sharp the loss is where a network stands, and how sharp it may be for the rate that it is trained at.

Gradient descent on a loss that curves more than its rate allows does not settle: it is thrown from side to side. The
sharpness is the largest eigenvalue of the loss's Hessian in the weights that are trained (Cohen et al., "Gradient
descent on neural networks typically occurs at the edge of stability", ICLR 2021). The paper measures nothing of it.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

from transferlib.streams import generator
from transferlib.train import Family, Member, centre_batches


def limit(rate: float, momentum: float, nesterov: bool = False) -> float:
    """The sharpness beyond which steps on a quadratic loss grow, of SGD with momentum.

    It is 2 (1 + β) / rate, and with Nesterov's momentum 2 (1 + β) / ((1 + 2 β) rate).

    >>> round(limit(0.2, 0.9), 6), round(limit(0.2, 0.0), 6)
    (19.0, 10.0)
    """
    return 2 * (1 + momentum) / rate / (1 + 2 * momentum if nesterov else 1)


def fixed_batch(family: Family, count: int = 256) -> tuple[Tensor, Tensor]:
    """Training images of a family, cut at the centre and the same ones always: (count, 3, R, R), labels (count,)."""
    count = min(count, len(family.train))
    rows = torch.linspace(0, len(family.train) - 1, count).long()
    some = dataclasses.replace(family.train, rows=family.train.rows[rows], labels=family.train.labels[rows])
    ((images, labels),) = centre_batches(some, family.spec, family.execution.device, count)
    return images, labels


def sharpness(member: Member, taps: Tensor, labels: Tensor, iterations: int = 20) -> float:
    """The largest eigenvalue of the Hessian of a run's loss in its trained weights, by power iteration.

    Args:
        member: the run; its dropout is off while it is measured.
        taps: the frozen activations after layer ``member.frozen``, of the image where nothing is frozen, (B, ...).
        labels: (B,).
        iterations: products of the Hessian with a vector; each costs two backward passes.
    """
    member.net.eval()
    loss = F.cross_entropy(member.net(taps, start=member.frozen).float(), labels)
    gradients = torch.autograd.grad(loss, member.trained, create_graph=True)
    draw = generator("sharpness")
    vector = [torch.randn(p.shape, generator=draw).to(p.device) for p in member.trained]
    eigenvalue = 0.0
    for _ in range(iterations):
        norm = torch.stack([(v**2).sum() for v in vector]).sum().sqrt()
        vector = [v / norm for v in vector]
        product = torch.autograd.grad(gradients, member.trained, vector, retain_graph=True)
        eigenvalue = float(sum((a * b).sum() for a, b in zip(vector, product, strict=True)))
        vector = [*product]
    member.train_mode()
    return eigenvalue
