"""Where named networks come from: their modules, their weights, and how these want their pictures."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from transferlib.errors import TransferlibError
from transferlib.nets.pretrained.preprocessing import Interpolation, Preprocessing

State = Mapping[str, Tensor]
INTERPOLATIONS: dict[str, Interpolation] = {"bilinear": "bilinear", "bicubic": "bicubic", "lanczos": "lanczos"}


class Library(Protocol):
    """A package of networks."""

    def check(self, name: str) -> None:
        """Refuse a name that it does not have.

        Raises:
            TransferlibError: in one line, with names that are like it.
        """
        ...

    def make(self, name: str, classes: int, resolution: int) -> nn.Module:
        """A network with fresh weights."""
        ...

    def pictures(self, name: str) -> Preprocessing:
        """How its weights want their pictures."""
        ...

    def weights(self, name: str) -> tuple[str, State]:
        """What the library's best weights are called, and themselves, fetched where they are not cached.

        Raises:
            TransferlibError: where they can't be had.
        """
        ...

    def fitted(self, state: State, whole: nn.Module) -> State:
        """Weights for a network at another resolution: where it has a table of positions, that is resized."""
        ...


class Torchvision:
    """torchvision's networks for classification."""

    @property
    def names(self) -> list[str]:
        """Of all of them."""
        from torchvision import models

        return models.list_models(module=models)

    def check(self, name: str) -> None:
        """Refuse a name that it does not have."""
        if name not in self.names:
            raise _unknown("torchvision", name, self.names)

    def make(self, name: str, classes: int, resolution: int) -> nn.Module:
        """A network with fresh weights; a transformer has a table of positions, made for the resolution."""
        from torchvision import models

        options: dict[str, Any] = {"num_classes": classes}
        if name.startswith("vit_"):
            options["image_size"] = resolution
        if name in ("googlenet", "inception_v3"):
            options["init_weights"] = True
        return models.get_model(name, weights=None, **options)

    def pictures(self, name: str) -> Preprocessing:
        """Those of its default weights."""
        shown = _default(name).transforms()
        side, stored = shown.crop_size[0], shown.resize_size[0]
        way = INTERPOLATIONS.get(shown.interpolation.value, "bilinear")
        return Preprocessing.of_units(side, stored, tuple(shown.mean), tuple(shown.std), way)

    def weights(self, name: str) -> tuple[str, State]:
        """Its default weights, with its own progress bar and checksum."""
        weights = _default(name)
        try:
            return str(weights), weights.get_state_dict(progress=True, check_hash=True)
        except (OSError, RuntimeError) as error:  # no way to the server; another checksum
            raise TransferlibError(
                f"can't fetch the weights of torchvision:{name} ({error}): fetch {weights.url} by other means and give "
                "the file by --weights FILE"
            ) from error

    def fitted(self, state: State, whole: nn.Module) -> State:
        """Weights for a network at another resolution."""
        from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

        if not isinstance(whole, VisionTransformer):
            return state
        return interpolate_embeddings(whole.image_size, whole.patch_size, cast(Any, dict(state)))


class Timm:
    """timm's networks, where it is installed."""

    def check(self, name: str) -> None:
        """Refuse a name that it does not have."""
        if importlib.util.find_spec("timm") is None:
            raise TransferlibError(f"timm:{name} needs timm: pip install timm")
        import timm

        if not timm.is_model(name.partition(".")[0]):
            raise _unknown("timm", name, timm.list_models())

    def make(self, name: str, classes: int, resolution: int) -> nn.Module:
        """A network with fresh weights; one with a table of positions is made for the resolution."""
        import timm

        try:
            return timm.create_model(name, pretrained=False, num_classes=classes, img_size=resolution)
        except TypeError:  # a convolutional one takes any
            return timm.create_model(name, pretrained=False, num_classes=classes)

    def pictures(self, name: str) -> Preprocessing:
        """Those of its default weights."""
        import timm
        from timm.data.config import resolve_model_data_config

        try:
            with torch.device("meta"):
                shown = resolve_model_data_config(timm.create_model(name, pretrained=False))
        except RuntimeError as error:  # of a tag that it does not have
            raise TransferlibError(f"timm:{name}: {str(error).splitlines()[0]}") from error
        side = shown["input_size"][-1]
        stored = int(side / shown["crop_pct"])
        way = INTERPOLATIONS.get(shown["interpolation"], "bilinear")
        return Preprocessing.of_units(side, stored, tuple(shown["mean"]), tuple(shown["std"]), way)

    def weights(self, name: str) -> tuple[str, State]:
        """Its default weights."""
        import timm

        try:
            return f"timm's {name}", timm.create_model(name, pretrained=True).state_dict()
        except Exception as error:  # of a hub's client, which raises many kinds
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise TransferlibError(
                f"can't fetch the weights of timm:{name} ({reason}): fetch them by other means and give the file by "
                "--weights FILE"
            ) from error

    def fitted(self, state: State, whole: nn.Module) -> State:
        """Weights for a network at another resolution."""
        own = getattr(whole, "pos_embed", None)
        if not isinstance(own, Tensor) or own.shape == state["pos_embed"].shape:
            return state
        from timm.layers.pos_embed import resample_abs_pos_embed

        grid = cast(Any, whole).patch_embed.grid_size
        return {**state, "pos_embed": resample_abs_pos_embed(state["pos_embed"], new_size=list(grid))}


def _default(name: str) -> Any:
    """The weights of torchvision that its authors recommend."""
    from torchvision import models

    return cast(Any, models.get_model_weights(name)).DEFAULT


LIBRARIES: dict[str, Library] = {"torchvision": Torchvision(), "timm": Timm()}


def _unknown(library: str, name: str, known: list[str]) -> TransferlibError:
    like = get_close_matches(name, known, 3) or ["resnet18"]
    return TransferlibError(f"{library} has no network {name}: expected one such as {', '.join(like)}")
