"""Cut a network into eight parts, and make sure that they are the network.

A network is taken apart by what it *does*: a module whose children, run one after another, give what it gives itself,
is replaced by them; a residual block, which adds what came in, stays whole. What remains is one row of steps from the
picture to the classes. The last step with weights, which names the classes, is part 8. The others are laid together
into seven, as ``CUTS`` says of the network's family, else so that all cost about alike. In the end the eight parts, run
one after another, are compared with the network itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from transferlib.errors import TransferlibError
from transferlib.nets.pretrained import tokens
from transferlib.nets.pretrained.preprocessing import Preprocessing
from transferlib.nets.pretrained.spec import BETWEEN, Make, Part, PretrainedSpec, drawing, is_added, module_of, quiet
from transferlib.nets.stack import LAYERS

Start = str | tuple[str, float]  # where a part begins: at a module, or a share of the way through its blocks
COUNTED = 1000  # classes of the network that is looked at

# where parts 2 to 7 begin, by a family's modules as torchvision and timm name them
CUTS: dict[str, tuple[Start, ...]] = {
    r"alexnet": ("features.3", "features.6", "features.8", "features.10", "classifier.1", "classifier.4"),
    r"vgg11": ("features.3", "features.6", "features.11", "features.16", "classifier.0", "classifier.3"),
    r"vgg13": ("features.5", "features.10", "features.15", "features.20", "classifier.0", "classifier.3"),
    r"vgg16": ("features.5", "features.10", "features.17", "features.24", "classifier.0", "classifier.3"),
    r"vgg19": ("features.5", "features.10", "features.19", "features.28", "classifier.0", "classifier.3"),
    r"vgg11_bn": ("features.4", "features.8", "features.15", "features.22", "classifier.0", "classifier.3"),
    r"vgg13_bn": ("features.7", "features.14", "features.21", "features.28", "classifier.0", "classifier.3"),
    r"vgg16_bn": ("features.7", "features.14", "features.24", "features.34", "classifier.0", "classifier.3"),
    r"vgg19_bn": ("features.7", "features.14", "features.27", "features.40", "classifier.0", "classifier.3"),
    r"(wide_)?res(net|next)\d.*": ("layer1", "layer2", "layer3", ("layer3", 1 / 2), "layer4", ("layer4", 1 / 2)),
    r"mobilenet_v3_small": ("features.1", "features.2", "features.4", "features.7", "features.9", "features.12"),
    r"mobilenet_v3_large": ("features.1", "features.4", "features.7", "features.11", "features.13", "features.16"),
    r"efficientnet_b\d": ("features.1", "features.3", "features.4", "features.5", "features.6", "features.7"),
    r"efficientnet_v2_s": ("features.1", "features.2", "features.3", "features.4", "features.5", "features.6"),
    r"convnext_(tiny|small|base|large)|swin_(v2_)?[tsb]": (
        *("features.1", "features.2", "features.4"),
        *(("features.5", 1 / 3), ("features.5", 2 / 3), "features.6"),
    ),
    r"vit_[blh]_\d+": tuple(("encoder.layers", sixth / 6) for sixth in range(6)),
    r"(vit|deit)_.*_patch.*": tuple(("blocks", sixth / 6) for sixth in range(6)),
}


def cut(
    name: str, make: Make, pictures: Preprocessing, parts: Mapping[str, Sequence[str]] | None = None
) -> PretrainedSpec:
    """Cut a network into eight parts.

    Args:
        name: as a study names it.
        make: makes the network for some number of classes, with fresh weights.
        pictures: how it wants its pictures.
        parts: its eight parts by name, each the modules that run in it, in order; the last is the fully connected layer
            that names the classes. By default they are found.

    Raises:
        TransferlibError: for one that can't be cut so, in one line that names it.
    """
    with drawing(0), torch.no_grad():
        look = _Look(name, make, pictures.resolution)
        laid = _given(look, parts) if parts else _found(look)
        _apart(look, laid)
        spec = PretrainedSpec(name, pictures, tuple(_described(look, laid)), make)
        _compare(look, spec)
    return spec


class _Look:
    """A network that is looked at while it runs on random pixels."""

    def __init__(self, name: str, make: Make, resolution: int) -> None:
        self.name = name
        try:
            self.whole = make(COUNTED).eval()
        except (AssertionError, ValueError, RuntimeError) as error:  # as for a size that its patches do not divide
            self.refuse(f"it can't be made for pictures of {resolution} px ({_first_line(error)})")
        self.blocks: set[type[nn.Module]] = set()  # kinds of modules of which one is no row; then none is taken apart
        drops = ((step, m) for step, m in self.whole.named_modules() if isinstance(m, nn.Dropout))
        self.drops = {step for step, module in drops if module.p}
        _unlike_identity(quiet(self.whole))
        self.pixels = torch.rand(2, 3, resolution, resolution)
        try:
            self.logits = self.whole(self.pixels)
        except Exception as error:  # of a network that is not ours, which can raise anything
            self.refuse(f"it does not run on pictures of {resolution} px ({_first_line(error)})")
        if not isinstance(self.logits, Tensor) or self.logits.shape != (2, COUNTED):
            self.refuse("it does not give one number for each class")

    def refuse(self, why: str) -> NoReturn:
        """Say why the network can't be cut."""
        raise TransferlibError(f"{self.name} can't be cut into {LAYERS} parts: {why}")

    def module(self, step: str) -> nn.Module:
        """The module that takes a step."""
        return module_of(self.whole, step)

    def has_matrix(self, step: str) -> bool:
        """Whether a step has weights to train, beyond those of a normalisation."""
        return any(parameter.dim() > 1 for parameter in self.module(step).parameters())


def _unlike_identity(net: nn.Module) -> None:
    """Give norms numbers of their own: fresh ones do nothing, and would not be missed."""
    vectors = [p for p in net.parameters() if p.dim() < 2] + [b for b in net.buffers() if b.is_floating_point()]
    for vector in vectors:
        vector.mul_(1 + torch.rand_like(vector)).add_(0.1 * torch.rand_like(vector))


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _same(ours: Tensor, theirs: Tensor) -> bool:
    return ours.shape == theirs.shape and torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


# a network as a row of steps


def _steps(look: _Look) -> list[str]:
    """The steps from the picture to the classes, as fine as the network can be taken apart."""
    row = tokens.row(look.whole) or [name for name, _ in look.whole.named_children()]
    _in_a_row(look, row, look.pixels)  # finds out which kinds of modules are blocks
    found = _in_a_row(look, row, look.pixels)
    if found is None or not _same(found[1], look.logits):
        look.refuse("its modules, one after another, don't give what it gives: name its parts from Python")
    return found[0]


def _in_a_row(look: _Look, row: Sequence[str], x: Tensor) -> tuple[list[str], Tensor] | None:
    """The steps of modules that run one after another, and what they give in the end; None where they don't fit."""
    steps: list[str] = []
    for name in row:
        found = _taken_apart(look, name, x)
        for between in BETWEEN if found is None and x.dim() == 4 else ():
            rest = _taken_apart(look, name, look.module(between)(x))
            found = found or (rest and ([between, *rest[0]], rest[1]))
        if found is None:
            return None
        steps, x = [*steps, *found[0]], found[1]
    return steps, x


def _taken_apart(look: _Look, name: str, x: Tensor) -> tuple[list[str], Tensor] | None:
    """The steps of a module, and what it gives for x; None where it does not take x."""
    module = look.module(name)
    try:
        y = module(x)
    except Exception:  # of a module that is not ours, on what was not meant for it
        return None
    if not isinstance(y, Tensor):
        return None
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]  # which its children don't have
    children = [f"{name}.{child}" for child, _ in module.named_children()]
    if not children or own or is_added(name) or type(module) in look.blocks:
        return [name], y
    found = _in_a_row(look, children, x)
    if found and _same(found[1], y):
        return found
    look.blocks.add(type(module))
    return [name], y


# from steps to parts


def _found(look: _Look) -> dict[str, Sequence[str]]:
    """The eight parts of a network, by what they hold."""
    units, head = _units(look, _steps(look))
    family = look.name.split(":")[-1].split("@")[0]
    cuts = next((cuts for pattern, cuts in CUTS.items() if re.fullmatch(pattern, family)), None)
    starts = [_place(units, start) for start in cuts] if cuts else _balanced(_costs(look, units))
    bounds = [0, *starts, len(units)]
    if sorted(set(bounds)) != bounds:
        look.refuse("its modules are not those that the family's table names")
    parts = [[step for unit in units[a:b] for step in unit] for a, b in pairwise(bounds)]
    every = [step for unit in units for step in unit]
    names = [_called(look, part, every) for part in parts]
    names[0] = "stem" if bounds[1] == 1 else f"stem to {names[0].split(' to ')[-1]}"
    return dict(zip([*names, "head"], [*parts, head], strict=True))


def _units(look: _Look, steps: Sequence[str]) -> tuple[list[Sequence[str]], Sequence[str]]:
    """Each step that has weights with all that follows it, as the paper's layers; the head apart."""
    places = [place for place, step in enumerate(steps) if look.has_matrix(step)]
    if len(places) < LAYERS:
        look.refuse(f"only {len(places)} of its steps have weights")
    if not isinstance(look.module(steps[places[-1]]), nn.Linear):
        look.refuse(f"what names its classes is {steps[places[-1]]}, and no fully connected layer")
    begins = [_with_norm(look, steps, before, place) for before, place in pairwise(places[:-1])]
    *units, head = (steps[a:b] for a, b in pairwise([0, *begins, places[-1], len(steps)]))
    return units, head


def _with_norm(look: _Look, steps: Sequence[str], before: int, place: int) -> int:
    """Where a step begins if what is normalised for it goes with it: in the same module, in which it is the first."""
    module = steps[place].rpartition(".")[0]
    while steps[before].rpartition(".")[0] != module == steps[place - 1].rpartition(".")[0]:
        if not any(True for _ in look.module(steps[place - 1]).parameters()):
            break
        place -= 1
    return place


def _place(units: Sequence[Sequence[str]], start: Start) -> int:
    """Which unit a part begins with; -1 where there is none such."""
    module, share = (start, 0.0) if isinstance(start, str) else start
    within = [place for place, unit in enumerate(units) if any(_is_in(step, module) for step in unit)]
    return within[int(share * len(within) + 1e-9)] if within else -1


def _is_in(step: str, module: str) -> bool:
    return step == module or step.startswith(f"{module}.")


def _balanced(costs: Sequence[int]) -> list[int]:
    """Where parts 2 to 7 begin if all seven are to cost about alike: so that the sum of their squares is least.

    >>> _balanced([1, 1, 1, 1, 1, 1, 4, 4])
    [2, 3, 4, 5, 6, 7]
    """
    total = [0, *accumulate(costs)]
    best = {(1, end): (total[end] ** 2, [0]) for end in range(1, len(total))}
    for parts in range(2, LAYERS):
        for end in range(parts, len(total)):
            ways = ((best[parts - 1, a], a) for a in range(parts - 1, end))
            best[parts, end] = min((sum_ + (total[end] - total[a]) ** 2, [*starts, a]) for (sum_, starts), a in ways)
    return best[LAYERS - 1, len(costs)][1][1:]


def _costs(look: _Look, parts: Sequence[Sequence[str]]) -> list[int]:
    """What each of some parts costs for one image, in multiply-adds."""
    return [cost for _, cost in _run(look, parts)]


def _run(look: _Look, parts: Sequence[Sequence[str]]) -> Iterator[tuple[tuple[int, ...], int]]:
    """Run parts one after another: the shape of what each gives for an image, and what that costs in multiply-adds."""
    x = look.pixels
    for part in parts:
        with FlopCounterMode(display=False) as counter:
            for step in part:
                x = look.module(step)(x)
        yield tuple(x.shape[1:]), counter.get_total_flops() // 2 // len(x)  # a multiply-add is two of its operations


def _called(look: _Look, part: Sequence[str], every: Sequence[str]) -> str:
    """A name for people: the largest modules that lie in a part as a whole, such as ``layer1`` or ``layer3.0-2``."""
    held = list(dict.fromkeys(_largest(step, part, every) for step in part if look.has_matrix(step)))
    first, last = held[0], held[-1]
    stem = first.rstrip("0123456789")
    if first == last or (len(stem) < len(first) and last.rstrip("0123456789") == stem):
        return first + (f"-{last[len(stem) :]}" if first != last else "")
    return f"{first} to {last}"


def _largest(step: str, part: Sequence[str], every: Sequence[str]) -> str:
    """The largest module around a step that lies in its part as a whole."""
    names = step.split(".")
    around = [".".join(names[:depth]) for depth in range(1, len(names) + 1)]
    return next(name for name in around if all(other in part for other in every if _is_in(other, name)))


def _given(look: _Look, parts: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """The parts as they were named, each module of which must be one of the network's."""
    if len(parts) != LAYERS or not all(parts.values()):
        look.refuse(f"{sum(map(bool, parts.values()))} parts are named")
    for step in (step for part in parts.values() for step in part):
        try:
            look.module(step)
        except AttributeError:
            look.refuse(f"it has no module {step}")
    *_, head = parts.values()
    if len(head) != 1 or not isinstance(look.module(head[0]), nn.Linear):
        look.refuse("its last part is not the one fully connected layer that names the classes")
    return dict(parts)


def _apart(look: _Look, laid: Mapping[str, Sequence[str]]) -> None:
    """Refuse weights that two parts share: one can't be frozen without the other."""
    owners: dict[int, str] = {}
    for part, steps in laid.items():
        for step in dict.fromkeys(steps):
            for tensor in (*look.module(step).parameters(), *look.module(step).buffers()):
                if owners.setdefault(id(tensor), part) != part:
                    look.refuse(f"its {step} runs in {owners[id(tensor)]} and in {part}, which can't be frozen apart")


def _described(look: _Look, laid: Mapping[str, Sequence[str]]) -> Iterator[Part]:
    """The parts with what they give and cost."""
    try:
        for (name, steps), (shape, cost) in zip(laid.items(), _run(look, [*laid.values()]), strict=True):
            types = dict.fromkeys(type(look.module(step)).__name__ for step in steps if look.has_matrix(step))
            yield Part(name, tuple(steps), ", ".join(types), shape, cost, steps[-1] in look.drops)
    except RuntimeError as error:
        look.refuse(f"its parts don't run one after another ({_first_line(error)})")


def _compare(look: _Look, spec: PretrainedSpec) -> None:
    """Compare the eight parts with the network itself, and make sure that training draws nothing of its own."""
    net = spec.laid(look.whole, COUNTED).eval()
    if not _same(net(look.pixels), look.logits):
        look.refuse("its parts, one after another, don't give what it gives")
    net.train()
    torch.manual_seed(1)
    once = net(look.pixels)
    torch.manual_seed(2)
    if not torch.equal(once, net(look.pixels)):
        look.refuse("it draws random numbers in training that no recipe names")
