"""The other side: transfer as one would write it from PyTorch's tutorial "Transfer Learning for Computer Vision".

Plain on purpose: an ``ImageFolder`` opens and decodes every JPEG each time, torchvision transforms the PIL image,
a ``DataLoader`` batches, frozen layers are parameters without gradient, and networks are trained one after another.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler
from torchvision import datasets, transforms

from transferlib.nets import NetworkSpec
from transferlib.train import Recipe


def alexnet(spec: NetworkSpec, classes: int, dropout: float) -> nn.Sequential:
    """The network of ``transferlib.nets`` as one ``nn.Sequential``; each layer has a weight and a bias."""
    modules: list[nn.Module] = []
    for layer in spec.build(classes):
        modules += [] if layer.has_positions else [nn.Flatten()]
        modules += [nn.ReLU(inplace=True) if isinstance(module, nn.ReLU) else module for module in layer]
        modules += [nn.Dropout(dropout)] if layer.dropout else []
    return nn.Sequential(*modules)


def transferred(source: nn.Sequential, fresh: nn.Sequential, n: int) -> nn.Sequential:
    """Copy the first ``n`` layers of a source under fresh ones and freeze them."""
    copied = list(zip(source.parameters(), fresh.parameters(), strict=True))[: 2 * n]
    for old, new in copied:
        new.data.copy_(old.data)
        new.requires_grad = False
    return fresh


def loader(folder: Path, spec: NetworkSpec, batch: int, steps: int, workers: int) -> DataLoader:
    """``steps`` batches of pictures from a folder of class folders.

    One long epoch (permutations one after another), so that the short epochs of a benchmark don't start the workers
    again and again.
    """
    transform = transforms.Compose(
        [
            transforms.Resize(spec.resolution),
            transforms.RandomCrop(spec.resolution, padding=4, padding_mode="reflect"),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize([m / 255 for m in spec.mean], [s / 255 for s in spec.std]),
        ]
    )
    pictures = datasets.ImageFolder(str(folder), transform)
    sampler = RandomSampler(pictures, num_samples=steps * batch)
    return DataLoader(pictures, batch_size=batch, sampler=sampler, num_workers=workers)


def optimizer_of(model: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """SGD on whatever has gradients."""
    return torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
    )


def train(model: nn.Module, optimizer: torch.optim.SGD, batches: Iterable[tuple[Tensor, Tensor]]) -> int:
    """The tutorial's inner loop; returns how many images it saw."""
    criterion = nn.CrossEntropyLoss()
    model.train()
    seen, running_loss, running_corrects = 0, 0.0, torch.tensor(0)
    for inputs, labels in batches:
        optimizer.zero_grad()
        outputs = model(inputs)
        _, preds = torch.max(outputs, 1)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item() * inputs.size(0)
        running_corrects += torch.sum(preds == labels.data)
        seen += inputs.size(0)
    return seen


def timed(models: Sequence[nn.Module], recipe: Recipe, batches: DataLoader, warm: int, steps: int) -> tuple[float, int]:
    """Train one network after another, ``warm`` steps apart and ``steps`` on the clock; (seconds, images on it).

    All of them take their batches from one stream, so that the workers start once, off the clock.
    """
    taken = 0.0
    images, stream = 0, iter(batches)
    for model in models:
        optimizer = optimizer_of(model, recipe)
        train(model, optimizer, itertools.islice(stream, warm))
        start = time.perf_counter()
        images += train(model, optimizer, itertools.islice(stream, steps))
        taken += time.perf_counter() - start
    return taken, images
