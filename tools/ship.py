"""Ship what the layer chapters need of the published bases: half-precision weights, ``layers.json``, ``likeness.json``.

    python tools/ship.py STORE [--to book/results] [--likeness]

STORE is a store that has the weights of the bases of random:0 and natural-manmade:0, and of the two that chapter 4
looks through; of those that it has not, what ships already stays. Tiny ImageNet must be there. The weights carry the
accuracy that they reach after the rounding. ``layers.json`` holds the probes, the concepts and the similarities of
chapter 4, ``likeness.json`` how alike the two bases of today's networks see (chapter 11), both measured on photographs
that do not ship. ``--likeness`` writes that alone, of the networks whose weights STORE has.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch

from transferlib.attribution import class_sets, layer_measures, likeness
from transferlib.execution import execution, versions
from transferlib.halves import OpenData
from transferlib.nets import Stack, network, outline
from transferlib.profiles import profile
from transferlib.store import Store
from transferlib.study import FamilyPlan, Study
from transferlib.train import centre_batches

ROOT = Path(__file__).resolve().parent.parent
SPLITS = ("random:0", "natural-manmade:0")
TODAY = ("residual", "residual-plain", "transformer")  # parts of the profile, a network each
STUDY = profile("published").studies[0]
(SEEING,) = profile("published").part("seeing")
CPU = torch.device("cpu")


def plan_of(split: str, half: str, study: Study = STUDY) -> FamilyPlan:
    """The base of a half."""
    return FamilyPlan.base(study, split, 0, half)


def rounded(store: Store, plan: FamilyPlan) -> Stack:
    """The base with its weights rounded to half precision, in float32."""
    weights = store.get_weights(plan.run_keys[0]) or store.get_shipped(plan.run_keys[0])
    if weights is None:
        raise SystemExit(f"no weights of {plan} in {store.folder}")
    classes = len(OpenData().split(plan).half(plan.target))
    net = outline(network(plan.study.network), classes).to_empty(device="cpu")
    net.load_state_dict({name: tensor.half().float() for name, tensor in weights.items()})
    return net.eval()


@torch.no_grad()
def accuracy(net: Stack, plan: FamilyPlan) -> float:
    """The share of the half's test images that a network gets right."""
    _, val = OpenData().halves_of(plan, execution("cpu", "fp32"))
    right = sum(int((net(x).argmax(1) == y).sum()) for x, y in centre_batches(val, net.spec, CPU, 500))
    return right / len(val)


def ship_weights(store: Store, to: Store) -> None:
    """Write the half-precision files with what they reach."""
    of_the_experiment = [plan_of(split, half) for split in SPLITS for half in "AB"]
    for plan in (*of_the_experiment, *(plan_of(SPLITS[0], half, SEEING) for half in "AB")):
        key = plan.run_keys[0]
        if store.get_weights(key) is None and to.path("shipped", key).exists():
            continue
        record = store.get(key)
        if record is None:
            raise SystemExit(f"no record of {plan} in {store.folder}")
        reached = {"top1": accuracy(rounded(store, plan), plan), "top1_before_rounding": record["top1"]}
        path = store.ship(key, reached)
        (to.folder / "shipped").mkdir(exist_ok=True)
        shutil.copy2(path, to.folder / "shipped" / path.name)
        print(plan, reached, f"{path.stat().st_size / 1e6:.2f} MB")


def ship_measures(store: Store, to: Store) -> None:
    """Write ``layers.json`` for the bases of the first split."""
    plans = [plan_of(SPLITS[0], half) for half in "AB"]
    sets = class_sets(OpenData().dataset(plans[0]), SPLITS[0])
    net_a, net_b = (rounded(store, plan) for plan in plans)
    measures = layer_measures(net_a, net_b, sets)
    bases = [plan.run_keys[0] for plan in plans]
    made_of = {**measures["made_of"], "bases": bases, "split": SPLITS[0], "made_with": versions()}
    shipped = {**measures, "made_of": made_of}
    (to.folder / "layers.json").write_text(json.dumps(shipped, indent=1) + "\n", encoding="utf-8")
    print("layers.json", made_of)


def ship_likeness(stores: list[Store], to: Store) -> None:
    """Write ``likeness.json`` for the main network and those of today, of the first split; others' stay as they are."""
    studies = [STUDY, *(profile("published").part(part)[0] for part in TODAY)]
    sets, path = class_sets(OpenData().dataset(plan_of(SPLITS[0], "A")), SPLITS[0]), to.folder / "likeness.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for study in studies:
        plans = [plan_of(SPLITS[0], half, study) for half in "AB"]
        holding = [store for store in stores if all(_has(store, plan) for plan in plans)]
        if holding:
            bases = {"bases": [plan.run_keys[0] for plan in plans]}
            net_a, net_b = (rounded(holding[0], plan) for plan in plans)
            found[study.network] = {**likeness(net_a, net_b, sets), **bases, "made_with": versions()}
            print(study.network, found[study.network]["cka"])
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _has(store: Store, plan: FamilyPlan) -> bool:
    key = plan.run_keys[0]
    return any(store.path(kind, key).exists() for kind in ("weights", "shipped"))


def main() -> None:
    """Ship all, or the likeness alone."""
    parser = argparse.ArgumentParser(description="Ship the published bases' weights and layer measures.")
    parser.add_argument("store", type=Path, help="a store that has the bases' weights")
    parser.add_argument("--to", type=Path, default=ROOT / "book" / "results", help="the store that ships")
    parser.add_argument("--likeness", action="store_true", help="likeness.json alone")
    options = parser.parse_args()
    store, to = Store(options.store), Store(options.to)
    if not options.likeness:
        ship_weights(store, to)
        ship_measures(store, to)
    ship_likeness([store, to], to)


if __name__ == "__main__":
    main()
