"""What a chapter opens: a profile's finished runs, trained first where the store lacks them, and its bases."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import platformdirs

from transferlib.data import Catalogue, catalogue
from transferlib.doctor import profile_seconds
from transferlib.errors import TransferlibError
from transferlib.execution import execution, has_gpu
from transferlib.executors import run_study
from transferlib.nets import Stack, network, outline
from transferlib.paths import resolved
from transferlib.profiles import Profile, profile
from transferlib.records import correct_images
from transferlib.splits import Split, make_split
from transferlib.stats import PLACE, Estimate, Weights, contrast, difference, estimate, family_names
from transferlib.store import Store
from transferlib.study import FamilyPlan, Study
from transferlib.treatments import parse_treatments

PUBLISHED = "published"


@dataclass
class Results:
    """A profile's finished runs.

    Attributes:
        profile: the profile that was opened.
        store: where the runs lie.
        studies: those parts of the profile that were asked for.
        table: one row per run, as ``Store.table``, with ``correct``: which test images it gets right, bool (M,).
    """

    profile: Profile
    store: Store
    studies: tuple[Study, ...]
    table: pd.DataFrame = field(repr=False)

    def part(self, name: str) -> pd.DataFrame:
        """The rows of one part of the profile; empty where nothing of it is finished."""
        keys = _keys(self.profile.part(name))
        return self.table[self.table["key"].isin(keys)].reset_index(drop=True)

    def curve(self, key: str) -> pd.DataFrame:
        """A run's learning curve: epoch, train_loss, loss (nats) and top1 (fraction), one row per epoch."""
        record = self.store.get(key)
        if record is None:
            raise TransferlibError(f"no run {key} in {self.store.folder}")
        return pd.DataFrame(record["curve"])

    def base(self, half: str, split: str = "random:0") -> Stack:
        """The trained base of a half, in float32 on the CPU, for looking into; on a profile's main network.

        Raises:
            TransferlibError: where its weights do not lie in the store.
        """
        plan = FamilyPlan.base(self.profile.studies[0], split, 0, half)
        net = outline(network(plan.study.network), classes=len(self.split(split).half(half))).to_empty(device="cpu")
        key, like = plan.run_keys[0], net.state_dict()
        weights = self.store.get_weights(key, like) or self.store.get_shipped(key, like)
        if weights is None:
            raise TransferlibError(f"no weights of {plan} in {self.store.folder}: train it with `transferlib run`")
        net.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        return net.eval()

    @property
    def catalogue(self) -> Catalogue:
        """The classes of the profile's main data set."""
        return catalogue(self.profile.studies[0].dataset)

    def split(self, spec: str) -> Split:
        """A split of the classes of the profile's main data set."""
        return make_split(self.catalogue, spec)

    def curves(self, *treatments: str, split: str | None = None, target: str | None = None) -> dict[str, pd.DataFrame]:
        """The learning curves of some runs of one target by name, those that the store has; see ``curve``.

        Args:
            treatments: single runs or families, such as ``base`` or ``AnB+``.
            split, target: the first of the first study by default.
        """
        wanted = parse_treatments(",".join(treatments))
        first = self.studies[0]
        rows = self.table[(self.table["split"] == (split or first.splits[0])) & (self.table["seed"] == first.seeds[0])]
        rows = rows[rows["target"] == (target or first.targets[-1])]
        keys = dict(zip(rows["treatment"], rows["key"], strict=False))
        return {str(t): self.curve(keys[str(t)]) for t in wanted if str(t) in keys}

    @property
    def made_on(self) -> str:
        """The devices that the runs were trained on."""
        return ", ".join(sorted(self.table["device"].unique()))


def _keys(studies: tuple[Study, ...]) -> set[str]:
    return {key for study in studies for key in study.run_keys}


def open_results(
    name: str, *parts: str, treatments: str | None = None, on_cpu: bool = False, store: Path | None = None
) -> Results:
    """Open a profile's results: ``published`` from the store that ships with the book, others trained if need be.

    Args:
        name: of the profile.
        parts: which parts of it are needed (``random`` if none is named).
        treatments: families and runs that are needed, all of the part's by default.
        on_cpu: whether to train on the CPU what wants a GPU.
        store: another folder than the profile's own.

    Raises:
        TransferlibError: for an unknown profile or part, a missing store, or a training that wants a GPU.
    """
    chosen = profile(name).opened()
    studies = tuple(study for part in parts or ("random",) for study in chosen.part(part))
    if treatments:
        wanted = parse_treatments(treatments)
        kept = [(study, tuple(t for t in study.treatments if t in wanted)) for study in studies]
        studies = tuple(dataclasses.replace(study, treatments=some) for study, some in kept if some)
    place = Store(store or (published_store() if name == PUBLISHED else own_store(name)))
    if name != PUBLISHED:
        _train(chosen, studies, place, on_cpu)
    return Results(chosen, place, studies, _table(place, studies))


def _train(chosen: Profile, studies: tuple[Study, ...], store: Store, on_cpu: bool) -> None:
    lacking = [key for key in _keys(studies) if store.get(key) is None]
    if lacking and chosen.wants_gpu and not (on_cpu or has_gpu()):
        minutes = profile_seconds(dataclasses.replace(chosen, parts={"asked for": studies}), execution()) / 60
        raise TransferlibError(
            f"profile {chosen.name} wants a GPU, and there is none: what is asked for takes about {minutes:,.0f} "
            "minutes here. "
            "Choose PROFILE = 'published' or 'smoke', or give open_results on_cpu=True to train all the same"
        )
    for study in studies if lacking else ():
        run_study(study, store)


def _table(store: Store, studies: tuple[Study, ...]) -> pd.DataFrame:
    table = store.table()
    table = table[table["key"].isin(_keys(studies))].reset_index(drop=True)
    return table.assign(correct=[correct_images(store.get(key)) for key in table["key"]])


def own_store(name: str) -> Path:
    """Where a profile's runs are kept: in TRANSFERLIB_STORE, else in the user's cache folder."""
    chosen = os.environ.get("TRANSFERLIB_STORE")
    return resolved(chosen) if chosen else platformdirs.user_cache_path("transferlib") / "stores" / name


def published_store() -> Path:
    """The store that ships with the book: ``book/results``, beside the notebook or beside the package.

    Raises:
        TransferlibError: where neither has it.
    """
    here = Path.cwd()
    places = [*(top / "book" / "results" for top in (here, *here.parents, Path(__file__).resolve().parent.parent))]
    found = next((place for place in places if (place / "runs").is_dir()), None)
    if found is None:
        raise TransferlibError(
            "the published results ship with the book's repository, in book/results, and are not here: clone the "
            "repository and work inside it, or choose PROFILE = 'smoke' or 'colab' to train your own"
        )
    return found


def inventory(store: Store) -> pd.DataFrame:
    """What is in a store: a row for each family with its runs, minutes, and what they were made on."""
    table = store.table()
    counts = table["images_per_class"].map(lambda count: "all" if pd.isna(count) else f"{count:.0f}")
    made = [store.get(key) for key in table["key"]]
    made = [f"{r['device']}, {r['execution']}, torch {r['versions']['torch']}" for r in made]
    table = table.assign(family=family_names(table), minutes=table["seconds"] / 60, per_class=counts, made=made)
    rows = table.groupby(["dataset", "network", "epochs", "per_class", "split", "target", "family"], sort=False)
    words = rows["made"].agg(lambda said: "; ".join(sorted(set(said))))
    found = {"runs": rows.size(), "minutes": rows["minutes"].sum().round(1), "made on": words}
    return pd.DataFrame(found).reset_index()


def recorded(name: str) -> dict:
    """A measurement that ships with the published runs, ``speed`` or ``layers``: made once, with what it took.

    Raises:
        TransferlibError: where it does not ship.
    """
    try:
        path = published_store() / f"{name}.json"
    except TransferlibError as error:
        raise TransferlibError(
            f"the measurement {name} ships with the book's repository, in book/results, and is not here: clone the "
            "repository whole and work inside it"
        ) from error
    if not path.exists():
        raise TransferlibError(f"no measurement {name} in {path.parent}: make it as benchmarks/README.md says")
    return json.loads(path.read_text(encoding="utf-8"))


def variant_runs(name: str, part: str, treatments: str | None = None) -> pd.DataFrame:
    """The runs of a part that only some profiles have, ``doubled`` or ``batch-norm``; empty where this one has not.

    Args:
        name: of the profile.
        part: of it; its bases are those of the variant.
        treatments: as for ``open_results``.
    """
    if part in profile(name).parts:
        return open_results(name, part, treatments=treatments).table
    return open_results(name, treatments="base").table.iloc[:0]


def in_both(runs: pd.DataFrame, variant: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What a study and a variant of it have both run, so that a contrast is over the same pairs in both.

    That is, runs of the same split, target, seed and treatment; without diverged ones, and bases that nothing is held
    against.
    """
    sound = [table[table["status"] != "diverged"] for table in (runs, variant)]
    shared = sound[0][[*PLACE, "treatment"]].merge(sound[1][[*PLACE, "treatment"]])
    shared = shared.merge(shared.loc[shared["treatment"] != "base", PLACE].drop_duplicates())
    return sound[0].merge(shared), sound[1].merge(shared)


def compared(runs: pd.DataFrame, variant: pd.DataFrame, asked: Mapping[str, Weights]) -> pd.DataFrame:
    """Contrasts in a study and in a variant of it, over what both have run, and their change with its own interval.

    Args:
        runs, variant: tables of runs; see ``in_both``.
        asked: the contrasts by their words; those that no pair has are left out.
    """
    tables, rows = in_both(runs, variant), {}
    for words, weights in asked.items():
        main, other = (contrast(table, weights) for table in tables)
        if len(other):
            found = [estimate(one) for one in (main, other, difference(other, main))]
            rows[words] = [*map(str, found), found[-1].behind]
    columns = ["main study", "variant", "change", "intervals over"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def against_longer_bases(name: str) -> pd.DataFrame:
    """A profile's main runs with each base replaced by the one that was trained twice as long.

    That base has seen as many batches as an ``AnB+`` and its source together. A pair whose long base was not run has
    none.

    Args:
        name: of the profile; its part ``doubled`` has the long bases.
    """
    runs = open_results(name).table
    return pd.concat([_longer_bases(name, runs), runs[runs["kind"] != "base"]], ignore_index=True)


def _longer_bases(name: str, runs: pd.DataFrame) -> pd.DataFrame:
    """The bases of the part ``doubled``, each entered under the recipe of its pair's main runs to be held against."""
    longer = variant_runs(name, "doubled", "base").drop(columns="recipe")
    return longer.merge(runs[[*PLACE, "recipe"]].drop_duplicates())


def gain_from_doubling(name: str) -> Estimate | None:
    """What training a base twice as long gains it, the mean over pairs; None where that was not run.

    Args:
        name: of the profile; its part ``doubled`` has the long bases.
    """
    short = open_results(name, treatments="base").table
    longer = _longer_bases(name, short).assign(kind="longer")  # a family of its own beside the base
    pairs = contrast(pd.concat([short, longer]), {("longer", 0): 1.0, ("base", 0): -1.0})
    return estimate(pairs) if len(pairs) else None


def convergence(gain: Estimate | None) -> str:
    """The book's rule in words: a base is converged when training it twice as long gains less than a point.

    By one-sided tests at 5 %, as the verdicts of ``transferlib.effects``.
    """
    if gain is None:
        return "what twice the training would gain was not measured here, so convergence is not shown"
    low, high = gain.interval(0.90)
    verdict = "converged" if high < 1 else "not converged" if low > 1 else "whether they have converged cannot be told"
    return f"twice the training gains a base {gain} points (over {gain.behind}): {verdict}, by our rule of one point"
