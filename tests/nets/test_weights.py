"""Files of other people's weights: taken where they are the network's, refused in one line where they are not."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from transferlib.errors import TransferlibError
from transferlib.nets import network
from transferlib.nets.pretrained import Pretrained, pretrained

NAME = "torchvision:mobilenet_v3_small@32"


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(1)
    return models.mobilenet_v3_small(weights=None, num_classes=7).state_dict()


def saved(state, path):
    (save_file if path.suffix == ".safetensors" else torch.save)(state, path)
    return path


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.pt"])
def test_weights_in_a_file_are_the_networks_and_name_it_by_their_numbers(state, tmp_path, name):
    found = pretrained(NAME, saved(state, tmp_path / name))
    assert found.classes == 7 and found.origin == name
    assert found.digest == Pretrained.of(network(NAME), "x", state).digest
    x = torch.rand(2, 3, 32, 32)
    theirs = models.mobilenet_v3_small(weights=None, num_classes=7).eval()
    theirs.load_state_dict(state)
    with torch.no_grad():
        assert torch.allclose(found.stack().eval()(x), theirs(x), rtol=1e-4, atol=1e-5)


def test_one_other_number_is_another_source(state):
    other = {name: tensor.clone() for name, tensor in state.items()}
    other["features.0.0.weight"][0, 0, 0, 0] += 1
    digests = {Pretrained.of(network(NAME), "x", weights).digest for weights in (state, other)}
    assert len(digests) == 2


@pytest.mark.parametrize("wrapped", ["state_dict", "model"])
def test_a_training_scripts_checkpoint_is_unwrapped(state, tmp_path, wrapped):
    parallel = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 3, wrapped: parallel}, tmp_path / "c.pth")
    assert pretrained(NAME, tmp_path / "c.pth").digest == Pretrained.of(network(NAME), "x", state).digest


def test_half_precision_is_widened_and_a_missing_count_of_batches_is_none(state, tmp_path):
    half = {n: t.half() if t.is_floating_point() else t for n, t in state.items() if "num_batches" not in n}
    found = pretrained(NAME, saved(half, tmp_path / "h.safetensors"))
    assert found.state["features.0.0.weight"].dtype == torch.float32
    assert torch.equal(found.state["features.0.0.weight"], state["features.0.0.weight"].half().float())


def test_none_is_a_network_that_nobody_trained():
    found = pretrained(NAME, "none")
    assert (found.origin, found.digest, found.state) == ("none", "none", None)
    with pytest.raises(TransferlibError, match="no weights"):
        found.stack()


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def _bomb(path):
    path.write_bytes(pickle.dumps({"features.0.0.weight": Bomb(path.with_name("went-off"))}))


def _bomb_in_zip(path):
    torch.save({"features.0.0.weight": Bomb(path.with_name("went-off"))}, path)


def _cut_short(path):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


WRONG = {
    "page.pth": (lambda path, state: path.write_text("\n<!DOCTYPE html><p>404"), "is a web page"),
    "page.safetensors": (lambda path, state: path.write_text("<html>"), "is a web page"),
    "bomb.pth": (lambda path, state: _bomb(path), "which is not run"),
    "bomb-in-zip.pth": (lambda path, state: _bomb_in_zip(path), "which is not run"),
    "short.pth": (lambda path, state: _cut_short(saved(state, path)), "cut short or damaged"),
    "short.safetensors": (lambda path, state: _cut_short(saved(state, path)), "no whole safetensors file"),
    "empty.pth": (lambda path, state: path.write_bytes(b""), "empty.pth"),
    "empty.safetensors": (lambda path, state: path.write_bytes(b""), "empty.safetensors"),
    "text.pth": (lambda path, state: path.write_text("hello"), "text.pth"),
    "list.pth": (lambda path, state: torch.save([1, 2], path), "holds no weights by name"),
    "folder.pth": (lambda path, state: path.mkdir(), "cannot read the weights"),
    "missing.pth": (lambda path, state: None, "cannot read the weights"),
    "shape.pth": (
        lambda path, state: torch.save(state | {"features.0.0.weight": torch.ones(3, 3, 3, 3)}, path),
        "features.0.0.weight is (3, 3, 3, 3) where it has (16, 3, 3, 3)",
    ),
    "lack.pth": (lambda path, state: torch.save(dict([*state.items()][1:]), path), "they lack features.0.0.weight"),
    "more.pth": (lambda path, state: torch.save(state | {"x": torch.ones(1)}, path), "they have x in addition"),
    "other.pth": (lambda path, state: torch.save(models.squeezenet1_1().state_dict(), path), "are not those of"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_file_of_the_networks_weights_is_refused_in_one_line(state, tmp_path, name):
    make, words = WRONG[name]
    make(tmp_path / name, state)
    with pytest.raises(TransferlibError) as refused:
        pretrained(NAME, tmp_path / name)
    said = str(refused.value)
    assert words in said and name in said and "\n" not in said
    assert not (tmp_path / "went-off").exists()


def test_at_another_resolution_a_transformers_positions_are_resized_and_the_class_tokens_stays(tmp_path):
    torch.manual_seed(0)
    state = models.vit_b_32(weights=None, image_size=96, num_classes=3).state_dict()
    saved(state, tmp_path / "vit.safetensors")
    found = pretrained("torchvision:vit_b_32@64", tmp_path / "vit.safetensors")
    before, after = state["encoder.pos_embedding"], found.state["encoder.pos_embedding"]
    assert (before.shape[1], after.shape[1]) == (1 + 9, 1 + 4)
    assert torch.equal(before[:, 0], after[:, 0])
    assert found.stack().eval()(torch.rand(1, 3, 64, 64)).isfinite().all()


def test_weights_that_hold_no_numbers_are_named(state, tmp_path):
    for value in (float("nan"), float("inf")):
        broken = {name: tensor.clone() for name, tensor in state.items()}
        broken["features.0.0.weight"][0, 0, 0, 0] = value
        with pytest.raises(TransferlibError, match=r"broken.pth hold no numbers .* in features.0.0.weight"):
            pretrained(NAME, saved(broken, tmp_path / "broken.pth"))


@pytest.mark.parametrize("odd", ["meta", "sparse", "complex"])
def test_tensors_that_are_no_plain_numbers_are_named(state, tmp_path, odd):
    kinds = {
        "meta": lambda t: t.to("meta"),
        "sparse": lambda t: t.to_sparse(),
        "complex": lambda t: t.to(torch.complex64),
    }
    found = state | {"classifier.3.weight": kinds[odd](state["classifier.3.weight"])}
    torch.save(found, tmp_path / "odd.pth")
    with pytest.raises(TransferlibError, match=r"odd\.pth holds no plain numbers in classifier\.3"):
        pretrained(NAME, tmp_path / "odd.pth")
    torch.save(state | {"classifier.3.weight": torch.tensor(1.0)}, tmp_path / "scalar.pth")
    with pytest.raises(TransferlibError, match=r"classifier\.3\.weight"):
        pretrained(NAME, tmp_path / "scalar.pth")
