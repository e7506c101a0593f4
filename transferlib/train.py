"""The training core: a family of runs in one pass. It takes tensors and returns numbers; it knows no files.

Reading order: the recipe, the images of a half, what an epoch draws, one run (a ``Member``), and the ``Family``,
whose members share the images, the crops, the dropout and, where they are frozen, the layers below their cuts.

Shapes: M images of a half, B of a batch, R the side of the network's input, H × W that of the stored images.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transferlib.errors import TransferlibError
from transferlib.execution import Execution
from transferlib.nets import Layer, NetworkSpec, Stack, as_recorded, outline
from transferlib.streams import generator, stream_seed
from transferlib.treatments import Treatment

StreamName = tuple[object, ...]
LATER = {
    "copied_rate": 1.0,
    "until": None,
}  # fields of a recipe that came after the first runs, and what these were trained with


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: SGD with momentum, warm-up and decay. Part of a run's configuration.

    ``schedule`` is ``linear`` (to 0 at the end) or ``step`` (divided by 10 after each ``step_epochs``; the paper's).
    Rates are per step, lengths in epochs, ``crop_padding`` in pixels on each side, mirrored at the edge.
    Weight decay acts on the weights of convolutions and fully connected layers: not on biases, norms, gains, positions.
    ``copied_rate`` is what the rate is multiplied by in copied layers that are fine-tuned; below 1 it is what
    practitioners do (the paper's is 1). ``until`` ends the training after so many epochs, its schedule unfinished.
    """

    epochs: int
    batch_size: int = 128
    learning_rate: float = 0.04
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    warmup_epochs: float = 1.0
    schedule: Literal["linear", "step"] = "linear"
    step_epochs: float = 40.0
    dropout: float = 0.25
    crop_padding: int = 4
    copied_rate: float = 1.0
    until: int | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise TransferlibError(
                f"expected at least 1 epoch and 1 image a batch, got {self.epochs} and {self.batch_size}"
            )
        if self.crop_padding < 0:
            raise TransferlibError(f"expected crop_padding of 0 or more pixels, got {self.crop_padding}")
        if not 0 <= self.dropout < 1:
            raise TransferlibError(f"expected dropout in 0..1, below 1, got {self.dropout}")
        if not 0 < self.copied_rate <= 1:
            raise TransferlibError(f"expected copied_rate above 0, at most 1, got {self.copied_rate}")
        if self.until is not None and not 1 <= self.until <= self.epochs:
            raise TransferlibError(f"expected until among the {self.epochs} epochs, got {self.until}")

    @property
    def length(self) -> int:
        """The epochs that are trained: all of the schedule's, or those ``until`` it is broken off."""
        return self.epochs if self.until is None else self.until

    def recorded(self) -> dict[str, object]:
        """What stands of it in a run's configuration: all of it, but for later fields that change nothing."""
        return {name: value for name, value in as_recorded(self).items() if name not in LATER or LATER[name] != value}

    def rate(self, epoch: float) -> float:
        """The learning rate at a moment of training, in epochs since the start."""
        if self.schedule == "step":
            decay = 0.1 ** math.floor(epoch / self.step_epochs)
        else:
            decay = max(0.0, self.epochs - epoch) / max(self.epochs - self.warmup_epochs, 1e-9)
        warmup = epoch / self.warmup_epochs if epoch < self.warmup_epochs else 1.0
        return self.learning_rate * min(decay, 1.0) * min(warmup, 1.0)


@dataclass(frozen=True)
class Half:
    """The images of one half of the classes, on the device where they fit, as uint8.

    Attributes:
        pixels: uint8 (N, H, W, 3).
        rows: int64 (M,), which of ``pixels`` belong to the half; on the device of ``pixels``.
        labels: int64 (M,), 0..classes - 1; on the training device.
        classes: how many classes the half has.
    """

    pixels: Tensor
    rows: Tensor
    labels: Tensor
    classes: int

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Draws:
    """What one epoch draws: the images' order, and the crop and mirror of each of its positions, all (M,)."""

    order: Tensor
    top: Tensor
    left: Tensor
    mirror: Tensor


def draw_epoch(stream: StreamName, epoch: int, count: int, slack: tuple[int, int], device: torch.device) -> Draws:
    """Draw an epoch from the named stream; crops start between ``slack[0]`` and ``slack[1]`` pixels, inclusive."""
    low, high = slack[0], slack[1] + 1
    # an epoch's numbers hang on its name alone, not on what was drawn before: so a run that goes on from a checkpoint,
    # or is trained in another company, sees the same images in the same crops; drawn on the CPU, for all devices alike
    order = torch.randperm(count, generator=generator(*stream, "order", epoch))  # (M,)
    crops = generator(*stream, "crops", epoch)
    top = torch.randint(low, high, (count,), generator=crops)  # (M,), of positions in the epoch, not of images
    left = torch.randint(low, high, (count,), generator=crops)
    mirror = torch.randint(0, 2, (count,), generator=crops, dtype=torch.bool)
    return Draws(*(t.to(device, non_blocking=True) for t in (order, top, left, mirror)))


def _mirrored(index: Tensor, size: int) -> Tensor:
    """Reflect indices that reach over an edge of ``size`` pixels."""
    index = index.abs()  # over the near edge: -1 is 1
    return (size - 1) - (size - 1 - index).abs()  # over the far one: size is size - 2


def cut_batch(half: Half, which: Tensor, top: Tensor, left: Tensor, mirror: Tensor, side: int) -> Tensor:
    """Cut a batch of crops: uint8 (B, side, side, 3), on the device of the half's pixels.

    Args:
        half: the images.
        which: int64 (B,), positions in the half.
        top, left: int64 (B,), where each crop starts; below 0 or beyond the edge the picture is mirrored.
        mirror: bool (B,), which crops are flipped left to right.
        side: the crop's height and width.
    """
    place = half.pixels.device
    which, top, left, mirror = (t.to(place) for t in (which, top, left, mirror))
    height, width = half.pixels.shape[1:3]
    along = torch.arange(side, device=place)
    # crop, mirror and edge are one index into all pixels of all images, so that the batch is copied once
    rows = _mirrored(top[:, None] + along, height)  # (B, side)
    columns = _mirrored(left[:, None] + torch.where(mirror[:, None], side - 1 - along, along), width)  # (B, side)
    inside = rows[:, :, None] * width + columns[:, None, :]  # (B, side, side), pixels within their image
    flat = half.rows[which][:, None, None] * (height * width) + inside  # (B, side, side), pixels among all
    return half.pixels.view(-1, 3).index_select(0, flat.view(-1)).view(len(which), side, side, 3)


def to_input(pixels: Tensor, spec: NetworkSpec, device: torch.device) -> Tensor:
    """Turn uint8 (B, H, W, 3) into a network's input, float32 (B, 3, H, W), channels last in memory."""
    batch, height, width = pixels.shape[:3]
    # a row of pixels at a time: broadcasting over 3 numbers is not vectorised
    mean, scale = (torch.tensor(v, device=device).repeat(width) for v in (spec.mean, [1 / s for s in spec.std]))
    flat = pixels.to(device, non_blocking=True).view(batch, height, width * 3).float()  # (B, H, 3 W)
    # the order of the bytes stays: permuted, that is what PyTorch calls channels last, which convolutions like best
    return flat.sub_(mean).mul_(scale).view(batch, height, width, 3).permute(0, 3, 1, 2)  # (B, 3, H, W)


def dropout_masks(
    stream: StreamName, epoch: int, step: int, p: float, batch: int, layers: Iterable[Layer], how: Execution
) -> dict[int, Tensor]:
    """Dropout for one step after the layers that ask for it: {layer: (B, and its shape)}, 0 or 1 / (1 - p)."""
    masks = {}
    for k, layer in enumerate(layers, start=1):
        if layer.dropout:
            # one mask a layer and a step for the whole family: its members differ by what was done to them alone
            seed = stream_seed(*stream, "dropout", k, epoch, step)
            kept = how.uniform(seed, batch * math.prod(layer.shape)) >= p  # (B × features,)
            masks[k] = kept.view(batch, *layer.shape).float() / (1 - p)
    return masks


@dataclass
class Point:
    """One point of a learning curve: after ``epoch`` epochs, on the training and on the validation images."""

    epoch: int
    train_loss: float
    loss: float
    top1: float


class Member:
    """One run in training: a network whose first ``frozen`` layers are never touched."""

    def __init__(self, treatment: Treatment, net: Stack, recipe: Recipe, execution: Execution) -> None:
        self.treatment, self.net, self.frozen = treatment, net, treatment.frozen
        self.curve: list[Point] = []
        self.correct = torch.zeros(0, dtype=torch.bool)
        self.diverged = False
        self.loss_sum = torch.zeros((), device=execution.device)  # stays there: reading it would wait for the device
        # frozen layers are none of the optimiser's: no gradient, no momentum, and no decay that would shrink them
        self.trained = [p for layer in net.layers[self.frozen :] for p in layer.parameters()]
        self.optimizer = torch.optim.SGD(
            self._groups(recipe),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            fused=execution.on.fused_sgd,  # one kernel for all tensors of a group instead of four each
        )
        for p in self.trained:
            # torch's fused SGD leaves momentum uninitialised where float16 skips the very first step
            self.optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
        self.scaler = torch.amp.GradScaler(execution.device.type, enabled=execution.scaled)
        self.run_tail = torch.compile(net.forward) if execution.compiled else net.forward
        self.train_mode()

    def _groups(self, recipe: Recipe) -> list[dict[str, Any]]:
        """What is trained, by weight decay and by ``scale``, what the rate is multiplied by."""
        copied = self.treatment.n if self.treatment.fine_tuned and recipe.copied_rate != 1 else 0
        slow = {id(p) for layer in self.net.layers[:copied] for p in layer.parameters()}
        matrices = _matrices(self.net)
        return [
            {
                "params": [p for p in self.trained if (id(p) in slow) == copies and (id(p) in matrices) == decays],
                "weight_decay": recipe.weight_decay if decays else 0.0,
                "scale": recipe.copied_rate if copies else 1.0,
            }
            for copies in ([False, True] if slow else [False])
            for decays in (True, False)
        ]

    def train_mode(self) -> None:
        """Batch norm learns in the trained layers only; the frozen ones keep their stored statistics."""
        for k, layer in enumerate(self.net, start=1):
            layer.train(k > self.frozen)

    def step(self, taps: Sequence[Tensor], masks: dict[int, Tensor], labels: Tensor, execution: Execution) -> None:
        """One step of SGD on the activations below this run's cut."""
        with execution.autocast():
            # taps[n] has no history: the backward pass ends at the cut, as if it were the network's input
            logits = self.run_tail(taps[self.frozen], start=self.frozen, masks=masks)  # (B, classes)
        loss = F.cross_entropy(logits.float(), labels)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.loss_sum += loss.detach()  # ()


def _matrices(net: nn.Module) -> set[int]:
    """What weight decay acts on: the weights of convolutions and of fully connected layers, by their ids."""
    weights = [m.weight for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    asked = [m.in_proj_weight for m in net.modules() if isinstance(m, nn.MultiheadAttention)]  # of attention, in one
    return {id(weight) for weight in (*weights, *asked)}


def fresh_network(spec: NetworkSpec, classes: int, stream: StreamName, device: torch.device) -> Stack:
    """A network whose every layer k is drawn from its own stream, ``(*stream, "weights", k)``."""
    net = outline(spec, classes).to_empty(device="cpu")
    for k, layer in enumerate(net, start=1):
        # a stream a layer: fresh layers above a cut are the same ones whatever n, and whatever lies below
        spec.initialise(layer, k, generator(*stream, "weights", k))
    to: Callable[..., Stack] = net.to  # older versions of torch annotate it without a layout
    return to(device, memory_format=torch.channels_last)


def graft(treatment: Treatment, source: Stack, fresh: Stack) -> Stack:
    """Put a source's first n layers under fresh ones; frozen layers are the source's own modules, shared.

    Args:
        treatment: how many layers, and whether they stay frozen.
        source: the trained (or, for ``RnB``, the untrained) network to copy from; it is frozen as a whole.
        fresh: the network to change: its first n layers are replaced.
    """
    for k in range(treatment.n):
        if treatment.fine_tuned:
            fresh.layers[k].load_state_dict(source.layers[k].state_dict())
        else:
            fresh.layers[k] = source.layers[k].requires_grad_(False).eval()
    return fresh


@dataclass
class Family:
    """Runs of one target that are trained side by side on the same images, crops and dropout.

    ``prefix`` is the frozen source that members with frozen layers share: it is run once a batch, without gradients,
    and each of them goes on from the activations at its own cut. It is absent where every layer is trained.
    Training can stop after any step and go on from ``state`` with the same numbers.
    """

    members: list[Member]
    prefix: Stack | None
    recipe: Recipe
    stream: StreamName
    train: Half
    val: Half
    execution: Execution
    done_steps: int = 0
    _draws: tuple[int, Draws] | None = field(default=None, repr=False)

    @property
    def spec(self) -> NetworkSpec:
        """The network that all members are."""
        return self.members[0].net.spec

    @property
    def batch_size(self) -> int:
        """Images a step: the recipe's, or all where there are fewer."""
        return min(self.recipe.batch_size, len(self.train))

    @property
    def steps_per_epoch(self) -> int:
        """Full batches an epoch; the few images left over come up in other epochs."""
        return len(self.train) // self.batch_size

    @property
    def total_steps(self) -> int:
        """Steps from start to end."""
        return self.steps_per_epoch * self.recipe.length

    @property
    def active(self) -> list[Member]:
        """The members that have not diverged."""
        return [member for member in self.members if not member.diverged]

    def run(self) -> Iterator[int]:
        """Train to the end; yields the number of finished steps after each, so that a caller can report or stop."""
        while self.done_steps < self.total_steps and self.active:
            self.train_step()
            if self.done_steps % self.steps_per_epoch == 0:
                self.finish_epoch()
            yield self.done_steps

    def train_step(self) -> None:
        """One step of every active member on one batch; nothing here waits for the device."""
        epoch, step = divmod(self.done_steps, self.steps_per_epoch)
        images, labels = self._batch(epoch, step)
        net, p = self.members[0].net, self.recipe.dropout
        masks = dropout_masks(self.stream, epoch, step, p, len(labels), net, self.execution)
        rate = self.recipe.rate((self.done_steps + 1) / self.steps_per_epoch)
        taps = self.taps(images, masks)  # taps[n]: the frozen activations after layer n, (B, *shape of layer n)
        for member in self.active:
            for group in member.optimizer.param_groups:
                group["lr"] = rate * group["scale"]
            member.step(taps, masks, labels, self.execution)
        self.done_steps += 1

    def _slack(self) -> tuple[int, int]:
        spare = self.train.pixels.shape[1] - self.spec.resolution
        return -self.recipe.crop_padding, spare + self.recipe.crop_padding

    def _batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        if self._draws is None or self._draws[0] != epoch:  # once an epoch
            device = self.execution.device
            self._draws = epoch, draw_epoch(self.stream, epoch, len(self.train), self._slack(), device)
        d = self._draws[1]
        now = slice(step * self.batch_size, (step + 1) * self.batch_size)
        pixels = cut_batch(self.train, d.order[now], d.top[now], d.left[now], d.mirror[now], self.spec.resolution)
        return to_input(pixels, self.spec, self.execution.device), self.train.labels[d.order[now]]

    def taps(self, images: Tensor, masks: dict[int, Tensor] | None = None) -> list[Tensor]:
        """The frozen activations that the members go on from: after layer n at place n, images (B, 3, R, R) at 0."""
        depth = max((member.frozen for member in self.active), default=0)
        if self.prefix is None or depth == 0:
            return [images]  # everyone begins at the image
        # one pass through the source up to the deepest cut: a member cut at n takes up taps[n], so seven frozen runs
        # cost one pass of seven layers instead of 1 + 2 + … + 7
        with torch.no_grad(), self.execution.autocast():
            return self.prefix.taps(images, depth, masks)

    def finish_epoch(self) -> None:
        """Evaluate, add a point to each curve, and drop the members whose loss is no longer a number."""
        for member, (loss, correct) in zip(self.active, self.evaluate(), strict=True):
            train_loss = float(member.loss_sum) / self.steps_per_epoch
            top1 = float(correct.float().mean())
            member.curve.append(Point(self.done_steps // self.steps_per_epoch, train_loss, loss, top1))
            member.correct = correct.cpu()
            # not the training loss: float16 skips a step whose loss overflows, and the run is sound
            member.diverged = not math.isfinite(loss)
            member.loss_sum.zero_()

    @torch.no_grad()
    def evaluate(self, batch: int = 500) -> list[tuple[float, Tensor]]:
        """Each active member's mean loss on the validation half, and which images it gets right, bool (M,)."""
        active = self.active
        for member in active:
            member.net.eval()
        losses = [[] for _ in active]
        hits: list[list[Tensor]] = [[] for _ in active]
        for images, labels in centre_batches(self.val, self.spec, self.execution.device, batch):
            taps = self.taps(images)
            for i, member in enumerate(active):
                with self.execution.autocast():
                    logits = member.run_tail(taps[member.frozen], start=member.frozen).float()
                losses[i].append(F.cross_entropy(logits, labels, reduction="sum"))
                hits[i].append(logits.argmax(1) == labels)
        for member in active:
            member.train_mode()
        count = len(self.val)
        return [(float(torch.stack(ls).sum()) / count, torch.cat(h)) for ls, h in zip(losses, hits, strict=True)]

    def state(self) -> tuple[dict[str, Tensor], dict[str, object]]:
        """Everything that training needs to go on: tensors, and the rest as plain values."""
        tensors: dict[str, Tensor] = {}
        for i, m in enumerate(self.members):
            tensors |= self._of_member(m, i) | {f"{i}.correct": m.correct}
        rest = [
            {
                "curve": [dataclasses.asdict(point) for point in m.curve],
                "diverged": m.diverged,
                "scaler": m.scaler.state_dict(),
            }
            for m in self.members
        ]
        return tensors, {"done_steps": self.done_steps, "members": rest}

    def restore(self, tensors: dict[str, Tensor], rest: dict, places: Sequence[int] | None = None) -> None:
        """Go back to a ``state``; ``places`` says where in it each member stands, if it held more of them.

        Raises:
            ValueError, KeyError, TypeError, IndexError: for no state of these members; then nothing is changed.
        """
        places = range(len(self.members)) if places is None else places
        self._check_state(tensors, rest, places)
        self.done_steps = rest["done_steps"]
        for m, i in zip(self.members, places, strict=True):
            saved = rest["members"][i]
            for name, tensor in self._of_member(m, i).items():
                tensor.copy_(tensors[name])
            m.correct = tensors[f"{i}.correct"].cpu()
            m.curve = [Point(**point) for point in saved["curve"]]
            m.diverged = saved["diverged"]
            if saved["scaler"]:  # that of a device that scales
                m.scaler.load_state_dict(saved["scaler"])

    @staticmethod
    def _of_member(m: Member, i: int) -> dict[str, Tensor]:
        """A member's tensors of fixed shape, by their names at a place of a state."""
        tensors = {f"{i}.net.{name}": t for name, t in m.net.above(m.frozen).items()}
        return tensors | {f"{i}.momentum.{j}": b for j, b in enumerate(_momenta(m))} | {f"{i}.loss_sum": m.loss_sum}

    def _check_state(self, tensors: dict[str, Tensor], rest: dict, places: Sequence[int]) -> None:
        done = rest["done_steps"]
        if type(done) is not int or not 0 <= done <= self.total_steps:
            raise ValueError(f"{done} is no number of steps of {self.total_steps}")
        for m, i in zip(self.members, places, strict=True):
            saved, correct = rest["members"][i], tensors[f"{i}.correct"]
            for name, tensor in self._of_member(m, i).items():
                if tensors[name].shape != tensor.shape or tensors[name].dtype != tensor.dtype:
                    raise ValueError(f"{name} has another shape or kind of number")
            epochs = [Point(**point).epoch for point in saved["curve"]]
            if epochs != [*range(1, len(epochs) + 1)] or not (saved["diverged"] or len(epochs) == self._epochs(done)):
                raise ValueError("a curve has not one point an epoch")
            tops = [point["top1"] for point in saved["curve"]]
            if not all(0 <= top1 <= 1 for top1 in tops):
                raise ValueError("a top1 is out of range")
            if correct.dtype != torch.bool or correct.shape != (len(self.val) if epochs else 0,):
                raise ValueError("it has not one bit for each image")
            if tops and not saved["diverged"] and not math.isclose(correct.float().mean(), tops[-1], abs_tol=1e-6):
                raise ValueError("its top1 is not the share of images that it gets right")
            if saved["scaler"] and m.scaler.is_enabled() and saved["scaler"].keys() != m.scaler.state_dict().keys():
                raise ValueError("its gradient scaler is none")

    def _epochs(self, steps: int) -> int:
        return steps // self.steps_per_epoch


def _momenta(member: Member) -> list[Tensor]:
    return [member.optimizer.state[p]["momentum_buffer"] for p in member.trained]


def centre_batches(half: Half, spec: NetworkSpec, device: torch.device, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The half's images in order, cut at the centre, as (input, labels)."""
    margin = (half.pixels.shape[1] - spec.resolution) // 2
    for start in range(0, len(half), batch):
        which = torch.arange(start, min(start + batch, len(half)), device=device)
        at = torch.full_like(which, margin)
        pixels = cut_batch(half, which, at, at, torch.zeros_like(which, dtype=torch.bool), spec.resolution)
        yield to_input(pixels, spec, device), half.labels[which]
