"""A network that somebody else trained: weights from its library, from a file, or none."""

from __future__ import annotations

import hashlib
import io
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from transferlib.errors import TransferlibError
from transferlib.names import printable
from transferlib.nets.pretrained.cutting import COUNTED
from transferlib.nets.pretrained.named import named, parsed
from transferlib.nets.pretrained.spec import PretrainedSpec
from transferlib.nets.stack import Stack

WRAPPED = ("state_dict", "model")  # under which a training script's checkpoint holds the weights
ITSELF = "num_batches_tracked"  # of batch norm: older files lack it, and nothing is computed from it


@dataclass(frozen=True)
class Pretrained:
    """A network that somebody else trained, as the source of copied layers (the paper's base A, made elsewhere).

    Attributes:
        spec: the network.
        origin: what its weights are called, for people.
        digest: of the weights; it stands in a run's configuration.
        classes: how many it was trained to tell apart.
        state: its weights by their names in the network; None for a network that nobody trained.
    """

    spec: PretrainedSpec
    origin: str
    digest: str
    classes: int
    state: Mapping[str, Tensor] | None = field(compare=False, repr=False)

    @property
    def network(self) -> str:
        """The network's name."""
        return self.spec.name

    def stack(self) -> Stack:
        """The network with its weights, in eight parts.

        Raises:
            TransferlibError: where it has none.
        """
        if self.state is None:
            raise TransferlibError(f"{self.network} was given no weights")
        whole = self.spec.whole(self.classes)
        whole.load_state_dict(self.state)
        return self.spec.laid(whole, self.classes)

    @classmethod
    def of(cls, spec: PretrainedSpec, origin: str, state: Mapping[str, Tensor]) -> Pretrained:
        """A network and its weights, which must be those of that network.

        Raises:
            TransferlibError: for weights of another network, in one line.
        """
        head = f"{spec.parts[-1].steps[-1]}.weight"
        classes = len(state[head]) if head in state and state[head].dim() else COUNTED
        like = spec.whole(classes).state_dict()
        fitted = _fitted(spec, origin, state, like)
        return cls(spec, origin, _digest(fitted), classes, fitted)

    @classmethod
    def untrained(cls, spec: PretrainedSpec) -> Pretrained:
        """A network that nobody trained: its copied layers are drawn from a stream of the study's."""
        return cls(spec, "none", "none", COUNTED, None)


def pretrained(name: str, weights: str | Path | None = None) -> Pretrained:
    """A named network with weights.

    Args:
        name: such as ``torchvision:resnet18``, at another resolution than its weights' ``torchvision:resnet18@128``.
        weights: a file (.safetensors, or .pth of PyTorch, in which nothing is executed), ``none``, or by default the
            library's own, fetched once.

    Raises:
        TransferlibError: for an unknown name or weights that can't be used, in one line.
    """
    spec = named(name)
    if str(weights) == "none":
        return Pretrained.untrained(spec)
    if weights is not None:
        return Pretrained.of(spec, Path(weights).name, _resized(name, read(Path(weights)), spec))
    library, own, _ = parsed(name)
    origin, state = library.weights(own)
    return Pretrained.of(spec, origin, _resized(name, state, spec))


def _resized(name: str, state: Mapping[str, Tensor], spec: PretrainedSpec) -> Mapping[str, Tensor]:
    library, _, side = parsed(name)
    try:
        return library.fitted(state, spec.whole(2)) if side else state
    except (KeyError, ValueError, RuntimeError) as error:
        raise TransferlibError(f"the weights don't fit {name} ({str(error).splitlines()[0]})") from error


def read(path: Path) -> Mapping[str, Tensor]:
    """The weights in a file, nothing of which is executed.

    Raises:
        TransferlibError: for a file that holds no weights, in one line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TransferlibError(f"cannot read the weights {printable(str(path))} ({error.strerror})") from error
    found = _parsed(printable(str(path)), content, path.suffix == ".safetensors")
    for name in WRAPPED:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping) or not found or not all(isinstance(t, Tensor) for t in found.values()):
        raise TransferlibError(f"{printable(str(path))} holds no weights by name: expected a state_dict")
    odd = [name for name, t in found.items() if t.is_meta or t.layout != torch.strided or t.is_complex()]
    if odd:
        raise TransferlibError(f"{printable(str(path))} holds no plain numbers in {odd[0]}: save dense, real tensors")
    return {str(name).removeprefix("module."): tensor for name, tensor in found.items()}  # of DataParallel


def _parsed(name: str, content: bytes, safe: bool) -> object:
    if content[:64].lstrip()[:1] == b"<":
        raise TransferlibError(f"{name} is a web page, and no weights: fetch the file itself")
    if safe:
        try:
            return load(content)
        except SafetensorError as error:
            raise TransferlibError(f"{name} is no whole safetensors file ({error}): fetch it again") from error
    if not content.startswith((b"PK", b"\x80")):  # an archive of PyTorch's, or a pickle as it wrote them before
        raise TransferlibError(f"{name} is no file of weights: expected .safetensors, or .pth of PyTorch")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the pickle's age
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise TransferlibError(
            f"{name} holds more than weights, such as code, which is not run: save the network's state_dict() alone"
        ) from error
    except Exception as error:  # of bytes that are no pickle PyTorch's reader can raise nearly anything
        raise TransferlibError(f"{name} is cut short or damaged: fetch it again") from error


def _fitted(
    spec: PretrainedSpec, origin: str, state: Mapping[str, Tensor], like: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The state in the network's own order and kinds of number."""
    lacking = [name for name in like if name not in state and not name.endswith(ITSELF)]
    unknown = [name for name in state if name not in like]
    if lacking or unknown:
        what = f"lack {lacking[0]}" if lacking else f"have {unknown[0]} in addition"
        raise TransferlibError(f"the weights {printable(origin)} are not those of {spec.name}: they {what}")
    fitted = {}
    for name, tensor in like.items():
        found = state.get(name, torch.zeros_like(tensor))
        if found.shape != tensor.shape:
            shapes = " where it has ".join(str(tuple(t.shape)) for t in (found, tensor))
            raise TransferlibError(f"the weights {printable(origin)} are not those of {spec.name}: {name} is {shapes}")
        fitted[name] = found.detach().to("cpu", tensor.dtype).clone()
        if not torch.isfinite(fitted[name]).all():
            raise TransferlibError(f"the weights {printable(origin)} hold no numbers (NaN or infinite ones) in {name}")
    return fitted


def _digest(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(f"{name}/{state[name].dtype}/{tuple(state[name].shape)}/".encode())
        digest.update(state[name].contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
