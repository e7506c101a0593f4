"""What waits for what: bases first, the dearest family before others, and what is lost with a base."""

from __future__ import annotations

import pytest
from small_studies import small_study, use_data_folder

from transferlib.execution import execution
from transferlib.executors.graph import ATTEMPTS, Graph, Incomplete
from transferlib.store import Store
from transferlib.trainer import Trainer


@pytest.fixture
def graph(monkeypatch, tmp_path):
    use_data_folder(monkeypatch)
    study = small_study("base,AnB,BnB,AnB+", targets=("A", "B")).opened()
    return Graph.of(study, Trainer(Store(tmp_path), execution("cpu", "fp32")))


def names(works):
    return [f"{work.plan.family} {work.plan.target}" for work in works]


def take_all(graph, workers=1):
    return list(iter(lambda: graph.take(workers), None))


def test_bases_come_first_and_what_they_free_the_dearest_first(graph):
    bases = take_all(graph)
    assert names(bases) == ["base A", "base B"] and graph.width == 4 + 2 * 7
    graph.finish(bases[0])
    assert names(take_all(graph)) == ["AnB+ B", "BnB A", "AnB B"]
    graph.finish(bases[1])
    assert names(take_all(graph)) == ["AnB+ A", "AnB A", "BnB B"]
    assert graph.open and not graph.waiting


def test_what_is_done_is_counted_by_its_cost(graph):
    for work in take_all(graph):
        graph.finish(work)
    assert graph.total - graph.left == pytest.approx(2 * 2 * 48)  # two bases, two epochs, two classes of 24
    first, *others = take_all(graph)
    first.share = 0.5
    assert graph.left == pytest.approx(first.cost / 2 + sum(work.cost for work in others))
    for work in (first, *others):
        graph.finish(work)
    assert graph.left == 0 and not graph.open
    graph.check()


def test_fine_tuned_runs_stay_together_where_no_worker_waits_for_them(graph):
    for base in take_all(graph):
        graph.finish(base)
    left = graph.left
    works = take_all(graph, workers=2)
    assert names(works[:2]) == ["AnB+ A", "AnB+ B"]
    assert all(len(work.plan.treatments) == 7 for work in works) and graph.left == pytest.approx(left)


def test_fine_tuned_runs_are_taken_apart_where_workers_would_wait_for_their_family(graph):
    for base in take_all(graph):
        graph.finish(base)
    left = graph.left
    works = take_all(graph, workers=8)
    assert sorted(len(work.plan.treatments) for work in works) == [1] * 14 + [7] * 4
    assert graph.left == pytest.approx(left)
    alone = [work for work in works if work.plan.alone]
    assert len({work.name for work in alone}) == 14
    assert [work.name for work in alone] == [work.plan.run_keys[0] for work in alone]
    assert "A1B+" in {str(work.plan)[:4] for work in alone}


def test_a_run_that_was_begun_alone_goes_on_alone(monkeypatch, tmp_path):
    use_data_folder(monkeypatch)
    study, trainer = small_study("base,AnB+").opened(), Trainer(Store(tmp_path), execution("cpu", "fp32"))
    plan = study.families()[-1]
    a3b = plan.singly()[2]
    assert str(a3b).startswith("A3B+")
    trainer.store.put_checkpoint(a3b.name, {}, {})
    waiting = [work for work in Graph.of(study, trainer).waiting if not work.plan.is_base]
    assert [len(work.plan.treatments) for work in waiting] == [1, 6] and [w.resumes for w in waiting] == [True, False]
    trainer.store.drop_checkpoint(a3b.name)
    trainer.store.put_checkpoint(plan.name, {}, {})
    (whole,) = [work for work in Graph.of(study, trainer).waiting if not work.plan.is_base]
    assert whole.resumes and whole.parts == 1


def test_a_family_whose_worker_dies_is_taken_up_again_and_then_given_up(graph):
    take_all(graph)
    base = next(iter(graph.under_way.values()))
    for _ in range(ATTEMPTS - 1):
        assert graph.again(base)
        assert graph.take(1) is base
    assert not graph.again(base)


def test_with_a_base_goes_what_waits_for_it_and_that_is_told(graph):
    base_a, base_b = take_all(graph)
    graph.give_up(base_a, "its worker died 3 times")
    assert names(work for work, _ in graph.failed) == ["base A", "BnB A", "AnB B", "AnB+ B"]
    graph.finish(base_b)
    for work in take_all(graph):
        graph.finish(work)
    assert not graph.open
    with pytest.raises(
        Incomplete, match=r"4 families are missing.*its worker died 3 times.*base target A.* is lacking"
    ):
        graph.check()


def test_what_the_store_has_is_no_part_of_it(monkeypatch, tmp_path):
    use_data_folder(monkeypatch)
    study = small_study("base,A3B").opened()
    trainer = Trainer(Store(tmp_path), execution("cpu", "fp32"))
    for plan in study.families():
        trainer.ensure(plan)
    assert not Graph.of(study, trainer).open
    wider = Graph.of(small_study("base,A3B,A5B").opened(), trainer)
    assert [str(t) for work in wider.waiting for t in work.plan.treatments] == ["A5B"]
    assert wider.take(1) is not None  # its base is there
