"""The recommended network as a file, and ten lines of plain PyTorch that load it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from transferlib.errors import TransferlibError
from transferlib.names import printable
from transferlib.nets.pretrained import Pretrained, PretrainedSpec
from transferlib.paths import resolved
from transferlib.store import write_whole
from transferlib.study import FamilyPlan, Study
from transferlib.trainer import Trainer
from transferlib.treatments import Treatment

NAME = "transferlib"  # of the entry in the file's metadata
IMPORTED = ("json", "pathlib", "sys", "torch", "torchvision", "timm", "PIL", "safetensors")  # by the script
MAKERS = {
    "torchvision": ("import torchvision", "torchvision.models.get_model({name!r}{options})"),
    "timm": ("import timm", "timm.create_model({name!r}{options})"),
}
SNIPPET = '''\
"""Names the class of a picture: python {script} PICTURE"""
import json, pathlib, sys
import torch
{imports}
from PIL import Image, ImageOps
from safetensors import safe_open
from torchvision import transforms as T

with safe_open(str(pathlib.Path(__file__).with_name({weights!r})), "pt") as file:
    about = json.loads(file.metadata()[{name!r}])
    weights = {{name: file.get_tensor(name) for name in file.keys()}}
net = {make}
net.load_state_dict(weights)
net.eval()
side = about["resolution"]
prepare = T.Compose([
    T.Resize(about["stored"], T.InterpolationMode(about["interpolation"])), T.CenterCrop(about["stored"]),
    T.Lambda(lambda p: T.functional.crop(p, (p.height - side) // 2, (p.width - side) // 2, side, side)),
    T.ToTensor(), T.Normalize(about["mean"], about["std"]),
])
picture = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGBA")  # as it is held; on white where it is clear
picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
picture = prepare(picture)[None]
with torch.no_grad():
    shares = net(picture).softmax(1)[0].tolist()
for share, name in sorted(zip(shares, about["classes"]), reverse=True):
    print(f"{{share:.4f}} {{name}}")
'''


def export(path: Path, trainer: Trainer, study: Study, treatment: Treatment) -> list[Path]:
    """Write a measured network's weights under the names of its library, and a script that loads them.

    Args:
        path: of the weights, a .safetensors file; the script lies beside it, as .py.
        trainer: whose store has the run; it is trained again where its weights were not kept.
        study: of a measurement.
        treatment: the run, of the first seed.

    Returns:
        The files that were written: no script for a network of none of the libraries.
    """
    given = study.source
    assert isinstance(given, Pretrained)
    opened = study.identity.dataset
    classes = trainer.data.dataset(_plan(study, treatment)).classes if opened is None else opened.classes
    whole = trained(trainer, study, treatment, len(classes))
    about = {**_about(given.spec), "classes": list(classes), "treatment": str(treatment), "weights": given.origin}
    state = {name: t.detach().cpu().contiguous().clone() for name, t in whole.state_dict().items()}
    write_whole(path, save(state, {NAME: json.dumps(about)}))
    script = snippet(given.spec, path.name, path.with_suffix(".py").name, len(classes))
    if script is None:
        return [path]
    write_whole(path.with_suffix(".py"), script.encode())
    return [path, path.with_suffix(".py")]


def export_path(name: str | Path) -> Path:
    """The path of exported weights, if it ends as it must.

    Raises:
        TransferlibError: for another ending.
    """
    path = resolved(name)
    if path.suffix != ".safetensors":
        raise TransferlibError(f"expected a .safetensors file, got {path.name}")
    if path.stem in IMPORTED:
        raise TransferlibError(f"{path.stem}.py beside it would stand in the way of {path.stem}: choose another name")
    for file, ours in ((path, _is_export), (path.with_suffix(".py"), _is_script)):
        if file.exists() and not ours(file):
            raise TransferlibError(f"{printable(file.name)} is there, and no export wrote it: choose another name")
    return path


def _is_export(path: Path) -> bool:
    try:
        with safe_open(path, "pt") as file:
            return NAME in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def _is_script(path: Path) -> bool:
    return path.read_bytes().startswith(SNIPPET.partition("{")[0].encode())


def trained(trainer: Trainer, study: Study, treatment: Treatment, classes: int) -> nn.Module:
    """The trained network of a run in one piece: the source's frozen layers under what the run has trained."""
    given = study.source
    assert isinstance(given, Pretrained)
    whole = given.spec.whole(classes)
    net = given.spec.laid(whole, classes)
    plan = _plan(study, treatment)
    source = trainer.source_network(plan, given.spec)
    for k in range(1, treatment.frozen + 1):
        assert source is not None
        net.layer(k).load_state_dict(source.layer(k).state_dict())
    net.load_state_dict(trainer.weights(plan, net.above(treatment.frozen)), strict=False)
    return whole.eval()


def _plan(study: Study, treatment: Treatment) -> FamilyPlan:
    return FamilyPlan(study, "whole:B", study.seeds[0], "B", treatment.family, (treatment,))


def _about(spec: PretrainedSpec) -> dict[str, object]:
    pictures = spec.pictures
    return {
        "network": spec.name,
        "resolution": pictures.resolution,
        "stored": pictures.stored,
        "interpolation": pictures.interpolation,
        "mean": [v / 255 for v in pictures.mean],
        "std": [v / 255 for v in pictures.std],
    }


def snippet(spec: PretrainedSpec, weights: str, script: str, classes: int) -> str | None:
    """A script in plain PyTorch that loads exported weights; None for a network of none of the libraries."""
    library, _, rest = spec.name.partition(":")
    if library not in MAKERS:
        return None
    imports, make = MAKERS[library]
    options = f", num_classes={classes}" + _size(library, rest.partition("@"), spec)
    made = make.format(name=rest.partition("@")[0], options=options)
    return SNIPPET.format(imports=imports, weights=weights, script=script, name=NAME, make=made)


def _size(library: str, name: Sequence[str], spec: PretrainedSpec) -> str:
    """A transformer's table of positions is made for its resolution."""
    positions = any("pos_embed" in key or "relative_position" in key for key in spec.whole(2).state_dict())
    if not (positions and name[2]) or (library == "torchvision" and not name[0].startswith("vit_")):
        return ""
    return f", {'image_size' if library == 'torchvision' else 'img_size'}={spec.resolution}"
