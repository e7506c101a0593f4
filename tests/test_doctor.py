"""The doctor's arithmetic: what a family costs, and how long a profile takes at a measured speed."""

import dataclasses

import pytest
import torch
from small_studies import small_study

from transferlib import costs, doctor, speed
from transferlib.execution import execution
from transferlib.executors import Processes, processes
from transferlib.executors.executor import Offer
from transferlib.executors.graph import Graph
from transferlib.nets import network
from transferlib.profiles import PROFILES, Profile

CPU = execution("cpu", "fp32")
SPEED = {"alexnet32-tiny": 500.0}


def cost(treatments: str) -> float:
    return costs.base_equivalents(small_study(treatments).families()[-1])


def test_a_base_costs_one_and_fine_tuning_as_much_for_each_run():
    assert cost("base") == pytest.approx(1)
    assert cost("A3B+") == pytest.approx(1)
    assert cost("AnB+") == pytest.approx(7)


def test_frozen_layers_cost_a_third_and_are_run_once_for_the_family():
    layers = costs.multiply_adds(network("alexnet32-tiny"))
    share = [part / sum(layers) for part in layers]
    assert cost("A2B") == pytest.approx(sum(share[2:]) + sum(share[:2]) / 3)
    assert cost("A2B,A4B") == pytest.approx(sum(share[2:]) + sum(share[4:]) + sum(share[:4]) / 3)


def test_a_study_costs_its_families_epochs_and_images():
    study = small_study("base", epochs=3)
    study = dataclasses.replace(study, dataset="cifar100", splits=("random:0", "random:1"), targets=("A", "B"))
    assert Graph.whole(study).total == pytest.approx(4 * 3 * 25_000)
    assert Graph.whole(dataclasses.replace(study, images_per_class=10)).total == pytest.approx(4 * 3 * 500)


def test_a_profiles_time_is_its_images_over_the_measured_speed():
    study = dataclasses.replace(small_study("base", epochs=3), dataset="cifar100")
    offer = Offer({"alexnet32-tiny": 500.0})
    assert doctor.profile_seconds(Profile("p", "", {"both": (study, study)}), offer) == pytest.approx(
        2 * 3 * 25_000 / 500
    )


def test_on_two_workers_it_is_the_longest_way_through_the_study():
    study = dataclasses.replace(small_study("base,B3B+,A3B"), dataset="cifar100", targets=("B",))
    one, two = (doctor.profile_seconds(Profile("p", "", {"all": (study,)}), Offer(SPEED, n)) for n in (1, 2))
    frozen = cost("base,A3B")
    bases, images = 2, 25_000 * study.recipe.epochs
    assert one == pytest.approx((bases + 1 + frozen) * images / 500)
    assert two == pytest.approx((1 + 1) * images / 500)  # both bases, then both families at once


def test_each_network_is_measured_once(monkeypatch):
    asked = []
    monkeypatch.setattr(speed, "images_per_second", lambda study, _: asked.append(study.network) or 500.0)
    study = small_study("base")
    assert speed.speeds((study, study), CPU) == SPEED and asked == ["alexnet32-tiny"]


def test_the_speed_is_measured_and_the_clock_obeyed(monkeypatch):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    moments = iter([0.0, 1.0, 1.5, 2.5, 4.0])
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(moments))
    study = small_study("base", batch_size=16)
    measured = speed.images_per_second(study, CPU, seconds=2.0)
    torch.set_num_threads(threads)
    assert measured == pytest.approx(2 * 16 / 4)  # two steps in 4 seconds of this clock


def test_several_processes_are_measured_with_the_threads_of_each(monkeypatch):
    threads, seen = torch.get_num_threads(), []
    monkeypatch.setattr(processes, "_cores", lambda: 8)
    monkeypatch.setattr(processes, "speeds", lambda *_: seen.append(torch.get_num_threads()) or SPEED)
    offer = Processes(4).offer([small_study("base")], CPU)
    assert seen == [2] and torch.get_num_threads() == threads
    assert offer.workers == 4 and offer.about == ("workers    4, 2 threads each",)


def test_the_report_names_every_profile_and_how_long_it_takes(monkeypatch):
    seconds = dict.fromkeys(PROFILES, 60) | {"paper": 86_400 * 30, "smoke": 125}
    monkeypatch.setattr(doctor, "offer_of", lambda *_: Offer({}))
    monkeypatch.setattr(doctor, "profile_seconds", lambda profile, _: seconds[profile.name])
    lines = {line.split()[0]: line for line in doctor.report(CPU) if line}
    assert set(PROFILES) | {"device", "precision", "memory", "data", "versions"} <= set(lines)
    assert "30 days" in lines["paper"]
    assert "2:05" in lines["smoke"]
    assert "cpu fp32" in lines["precision"]
