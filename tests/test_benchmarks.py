"""The benchmarks compare like with like: the same network, the same number of images; at tiny sizes."""

import dataclasses
import datetime
import re
import runpy
import sys
from pathlib import Path

import pytest
import torch

from transferlib.executors.graph import Graph, makespan
from transferlib.nets import network
from transferlib.treatments import parse_treatments

sys.path.append(str(Path(__file__).parents[1]))  # benchmarks are no part of the installed package

from benchmarks import __main__ as program
from benchmarks import memory, profile_step, scale, setting, speed, tutorial, tutorial_transfer


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(setting, "NETWORK", "alexnet32-tiny")
    monkeypatch.setattr(setting, "IMAGES_PER_CLASS", 2)
    monkeypatch.setattr(setting, "RANDOM_IMAGES", 40)
    monkeypatch.setattr(setting, "RANDOM_CLASSES", 4)
    monkeypatch.setattr(setting, "RECIPE", dataclasses.replace(setting.RECIPE, batch_size=8))
    monkeypatch.setattr(speed, "WORKERS", (0,))
    for name in ("FAMILY_STEPS", "BASE_STEPS", "CEILING_STEPS", "WARM_STEPS"):
        monkeypatch.setattr(speed, name, 1)
    for name in ("FAMILY_REPEATS", "BASE_REPEATS", "CEILING_REPEATS"):
        monkeypatch.setattr(speed, name, 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def folder(tiny, tmp_path):
    setting.write_pictures(tmp_path / "pictures")
    return tmp_path / "pictures"


@pytest.mark.parametrize("name", ["alexnet32-small", "alexnet32-tiny", "alexnet64"])
def test_tutorial_network_gives_the_same_logits(name):
    spec, draw = network(name), torch.Generator().manual_seed(0)
    ours = spec.build(5)
    theirs = tutorial.alexnet(spec, 5, dropout=0.3).eval()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        b.data.copy_(a.data)
    images = torch.randn(3, 3, spec.resolution, spec.resolution, generator=draw)
    torch.testing.assert_close(theirs(images), ours(images))


def test_tutorial_drops_where_we_do():
    spec = network("alexnet32-small")
    kept = [m for m in tutorial.alexnet(spec, 5, 0.3) if isinstance(m, torch.nn.Dropout)]
    assert [m.p for m in kept] == [0.3, 0.3]


@pytest.mark.parametrize("n", [1, 4, 7])
def test_transferred_copies_and_freezes_n_layers(n):
    spec = network("alexnet32-tiny")
    source, fresh = (tutorial.alexnet(spec, 5, 0.0) for _ in range(2))
    model = tutorial.transferred(source, fresh, n)
    for i, (old, new) in enumerate(zip(source.parameters(), model.parameters(), strict=True)):
        assert new.requires_grad == (i >= 2 * n)
        assert torch.equal(old, new) == (i < 2 * n)


def test_both_sides_train_the_same_networks_on_as_many_images(folder, tmp_path):
    half = setting.half_of_pictures(folder, tmp_path / "cache")
    families = [setting.our_family(name, half) for name in speed.FAMILIES]
    models = speed.tutorial_families(half.classes)
    assert len(half) == len(list((folder / "train").rglob("*.jpg"))) == 40
    assert len(models) == sum(len(family.members) for family in families) == 14
    ours = [sum(p.numel() for p in member.trained) for family in families for member in family.members]
    theirs = [sum(p.numel() for p in model.parameters() if p.requires_grad) for model in models]
    assert ours == theirs
    ours_seen = speed.our_seconds(families, 3)[1]
    theirs_seen = speed.tutorial_seconds(folder, lambda: models, 3, 0)[1]
    assert ours_seen == theirs_seen == 14 * 3 * 8
    assert {family.done_steps for family in families} == {speed.WARM_STEPS + 3}


@pytest.mark.parametrize(
    ("way", "moved"),
    [
        ("frozen", {"1.running_mean", "1.running_var", "1.num_batches_tracked", "4.weight", "4.bias"}),
        ("fine-tuned", {"0.weight", "1.weight", "1.bias", "4.weight"}),
    ],
)
def test_the_tutorials_frozen_layers_stay_but_for_their_batch_norms(way, moved):
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
    )
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    batches = [(torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 0, 1]))] * 2
    tutorial_transfer.train(net, net[4], way, 1, batches)
    changed = {name for name, tensor in net.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == moved if way == "frozen" else changed >= moved


def test_alternate_pairs_what_is_timed_side_by_side():
    order = []
    sides = [lambda: order.append("a") or 2.0, lambda: order.append("b") or 6.0]
    pairs = setting.alternate(3, *sides)
    assert pairs == [(2.0, 6.0)] * 3 and "".join(order) == "abbaab"
    assert setting.ratio(pairs) == 3.0 and setting.seconds(pairs) == (2.0, 6.0)


def test_memory_tells_the_bytes_to_whoever_starts_it(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["memory", "base", "300"])
    monkeypatch.delitem(sys.modules, "benchmarks.memory")
    runpy.run_module("benchmarks.memory", run_name="__main__")
    assert abs(int(capsys.readouterr().out)) < 2**30


def test_main_prints_a_line_for_each_figure(tiny, monkeypatch, capsys):
    monkeypatch.setattr(memory, "COUNTS", (24,))
    monkeypatch.setattr(memory, "STEPS", 2)
    monkeypatch.setattr(memory, "VAL_IMAGES", 8)
    monkeypatch.setattr(memory, "_in_fresh_process", memory.measure)
    program.main()
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("machine") and "alexnet32-tiny" in "\n".join(printed[:5])
    figures = dict(line.split(" ") for line in printed[-4:])
    assert list(figures) == ["family_ratio", "base_ratio", "ceiling_fraction", "peak_over_data_bytes"]
    assert all(float(value) > 0 for name, value in figures.items() if not name.endswith("bytes"))
    assert abs(int(figures["peak_over_data_bytes"])) < 2**30


def test_profile_prints_each_part(tiny, monkeypatch, capsys):
    monkeypatch.setattr(profile_step, "STEPS", 2)
    monkeypatch.setattr(profile_step, "WARM_STEPS", 1)
    profile_step.main()
    printed = capsys.readouterr().out
    assert all(part in printed for part in (*profile_step.PARTS, "train_step"))


def test_the_log_has_a_date_a_question_and_four_facts_an_entry_oldest_first():
    text = (Path(__file__).parents[1] / "benchmarks" / "log.md").read_text(encoding="utf-8")
    entries = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", text, re.M | re.S))
    dates = [datetime.date.fromisoformat(title.partition(": ")[0]) for title in entries]
    assert dates == sorted(dates) and len(entries) == text.count("\n## ") >= 9
    facts = ["command", "device and versions", "numbers", "conclusion"]
    for title, body in entries.items():
        assert "?" in title
        assert re.findall(r"^- \*\*(.*?)\*\*:", body, re.M) == facts


def test_a_simulated_study_takes_its_work_alone_and_its_longest_way_on_many_workers():
    graph = Graph.whole(dataclasses.replace(scale.study(), treatments=parse_treatments("base,AnB,AnB+")))
    works = {str(work.plan.family): work for work in graph.waiting}
    base, frozen, tuned = (works[name] for name in ("base", "AnB", "AnB+"))
    assert makespan(scale.fresh(graph), 1)[0] == pytest.approx(graph.total)
    many, last = makespan(scale.fresh(graph), 100)
    assert many == pytest.approx(base.cost + frozen.cost) and last.plan.family.freezes
    whole, last = makespan(scale.fresh(graph, apart=False), 100)
    assert whole == pytest.approx(base.cost + tuned.cost) and last.plan.family.fine_tuned
    assert graph.total / 2 <= makespan(scale.fresh(graph), 2)[0] < graph.total
