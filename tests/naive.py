"""The experiment once more, as plainly as it can be written: no sharing, no fusing, one image at a time.

Nothing of ``transferlib`` is used. Random numbers are drawn again from the streams' names.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

MASK = 2**64 - 1


def seed_of(*name):
    return int(hashlib.sha256("/".join(map(str, name)).encode()).hexdigest()[:16], 16) // 4


def splitmix64(seed, count):
    """The first numbers of SplitMix64, in Python's unbounded integers."""
    numbers, state = [], seed
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        numbers.append(z ^ (z >> 31))
    return numbers


def uniform(seed, count):
    return [(z >> 40) / 2**24 for z in splitmix64(seed, count)]


def draws(stream, epoch, count, low, high):
    """An epoch's order, and the top, left and mirror of each position."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed_of(*stream, "order", epoch)))
    crops = torch.Generator().manual_seed(seed_of(*stream, "crops", epoch))
    top, left = (torch.randint(low, high + 1, (count,), generator=crops) for _ in range(2))
    mirror = torch.randint(0, 2, (count,), generator=crops, dtype=torch.bool)
    return [t.tolist() for t in (order, top, left, mirror)]


def masks(stream, epoch, step, p, batch, widths=(12, 10)):
    """Dropout after layers 6 and 7 of the test network."""
    found = {}
    for k, width in zip((6, 7), widths, strict=True):
        numbers = uniform(seed_of(*stream, "dropout", k, epoch, step), batch * width)
        kept = [0.0 if number < p else 1 / (1 - p) for number in numbers]
        found[k] = torch.tensor(kept).reshape(batch, width)
    return found


def crop(image, top, left, mirror, side, margin=7):
    """Cut one image (H, W, 3); beyond its edges it is mirrored."""
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    cut = padded[top + margin : top + margin + side, left + margin : left + margin + side]
    return cut[:, ::-1] if mirror else cut


def as_input(image, mean=(100, 120, 140), std=(50, 60, 70)):
    channels = [(image[..., c].astype(np.float64) - mean[c]) / std[c] for c in range(3)]
    return torch.from_numpy(np.stack(channels)).float()


def network(batch_norm, classes, state):
    """The test network written out, with the given state in order."""

    def bn(channels, kind=nn.BatchNorm2d):
        return [kind(channels)] if batch_norm else []

    layers = [
        [
            nn.Conv2d(3, 4, 3, padding=1),
            *bn(4),
            nn.ReLU(),
            nn.MaxPool2d(2, 2),
            nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0),
        ],
        [nn.Conv2d(4, 6, 3, padding=1, groups=2), *bn(6), nn.ReLU()],
        [nn.Conv2d(6, 6, 3, padding=1), *bn(6), nn.ReLU()],
        [nn.Conv2d(6, 8, 3, padding=1, groups=2), *bn(8), nn.ReLU()],
        [nn.Conv2d(8, 6, 3, padding=1), *bn(6), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)],
        [nn.Flatten(), nn.Linear(6 * 2 * 2, 12), *bn(12, nn.BatchNorm1d), nn.ReLU()],
        [nn.Linear(12, 10), *bn(10, nn.BatchNorm1d), nn.ReLU()],
        [nn.Linear(10, classes)],
    ]
    net = nn.Sequential(*(nn.Sequential(*layer) for layer in layers))
    net.load_state_dict(dict(zip(net.state_dict(), (t.clone() for t in state.values()), strict=True)))
    return net


def forward(net, x, dropout=None):
    for k, layer in enumerate(net, start=1):
        x = layer(x)
        if dropout and k in dropout:
            x = x * dropout[k]
    return x


def optimizer_of(net, recipe):
    weights, rest = [], []
    for module in net.modules():
        matrix = isinstance(module, (nn.Conv2d, nn.Linear))
        for name, p in module.named_parameters(recurse=False):
            if p.requires_grad:
                (weights if matrix and name == "weight" else rest).append(p)
    groups = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=1.0, momentum=recipe.momentum, nesterov=True, fused=False, foreach=False)


def rate(recipe, moment):
    if moment < recipe.warmup_epochs:
        return recipe.learning_rate * moment / recipe.warmup_epochs
    return recipe.learning_rate * (recipe.epochs - moment) / (recipe.epochs - recipe.warmup_epochs)


def train(net, frozen, half, recipe, stream, side, steps):
    """Train a plain network whose first layers are frozen; returns each step's loss and the first step's gradients."""
    for layer in net[:frozen]:
        layer.requires_grad_(False)
    optimizer, losses, gradients = optimizer_of(net, recipe), [], None
    pixels, rows, labels = half.pixels.numpy(), half.rows.tolist(), half.labels
    spare, batch = pixels.shape[1] - side, recipe.batch_size
    per_epoch = len(rows) // batch
    for done in range(steps):
        epoch, step = divmod(done, per_epoch)
        order, top, left, mirror = draws(stream, epoch, len(rows), -recipe.crop_padding, spare + recipe.crop_padding)
        now = range(step * batch, (step + 1) * batch)
        images = [as_input(crop(pixels[rows[order[i]]], top[i], left[i], mirror[i], side)) for i in now]
        net.train()
        for layer in net[:frozen]:
            layer.eval()
        for group in optimizer.param_groups:
            group["lr"] = rate(recipe, (done + 1) / per_epoch)
        optimizer.zero_grad()
        logits = forward(net, torch.stack(images), masks(stream, epoch, step, recipe.dropout, batch))
        loss = F.cross_entropy(logits, labels[[order[i] for i in now]])
        loss.backward()
        gradients = gradients or {name: p.grad.clone() for name, p in net.named_parameters() if p.requires_grad}
        optimizer.step()
        losses.append(loss.item())
    return losses, gradients


@torch.no_grad()
def evaluate(net, half, side):
    """Mean loss and which images are right, one image at a time, cut at the centre."""
    net.eval()
    losses, correct = [], []
    margin = (half.pixels.shape[1] - side) // 2
    for row, label in zip(half.rows.tolist(), half.labels.tolist(), strict=True):
        image = half.pixels[row].numpy()[margin : margin + side, margin : margin + side]
        scores = net(as_input(image)[None])[0].double()
        losses.append(float(torch.logsumexp(scores, 0) - scores[label]))
        correct.append(int(scores.argmax()) == label)
    return sum(losses) / len(losses), correct
