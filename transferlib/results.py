"""What a chapter opens: a profile's finished runs, trained first where the store lacks them, and its bases."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import platformdirs

from transferlib.data import Catalogue, catalogue
from transferlib.doctor import profile_seconds
from transferlib.errors import TransferlibError
from transferlib.execution import execution, has_gpu
from transferlib.executors import SERIAL, run_study
from transferlib.nets import Stack, network, outline
from transferlib.paths import resolved
from transferlib.profiles import Profile, profile
from transferlib.records import Record, as_table, config_key, with_correct
from transferlib.splits import Split, make_split
from transferlib.stats import PLACE, Estimate, Weights, contrast, difference, estimate, family_names
from transferlib.store import Store
from transferlib.study import FamilyPlan, Study
from transferlib.treatments import parse_treatments

PUBLISHED = "published"
MAIN, DOUBLED, LONGER = "random", "doubled", "longer"  # parts of a profile: its main study, and longer trainings


@dataclass
class Results:
    """A profile's finished runs.

    Attributes:
        profile: the profile that was opened.
        store: where the runs lie.
        studies: those parts of the profile that were asked for.
        records: all finished runs of the store by their keys, each read once; variants share them.
        on_cpu: whether to train on the CPU what wants a GPU.
    """

    profile: Profile
    store: Store
    studies: tuple[Study, ...]
    records: dict[str, Record] = field(repr=False)
    on_cpu: bool = False

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per run, as ``Store.table``, with ``correct``: which test images it gets right, bool (M,)."""
        asked = as_table(self.records[key] for key in sorted(_keys(self.studies) & self.records.keys()))
        rows = [_entered(study, asked) for study in self.studies] or [asked]
        rows = pd.concat(rows).drop_duplicates(["key", "recipe"]).sort_index(kind="stable")
        return with_correct(rows.reset_index(drop=True), self.records)

    @property
    def everything(self) -> pd.DataFrame:
        """One row per run of the whole store, as ``Store.table``."""
        return as_table(self.records[key] for key in sorted(self.records))

    def part(self, name: str) -> pd.DataFrame:
        """The rows of one part of the profile; empty where nothing of it is finished."""
        keys = _keys(self.profile.part(name))
        return self.table[self.table["key"].isin(keys)].reset_index(drop=True)

    def curve(self, key: str) -> pd.DataFrame:
        """A run's learning curve: epoch, train_loss, loss (nats) and top1 (fraction), one row per epoch."""
        if key not in self.records:
            raise TransferlibError(f"no run {key} in {self.store.folder}")
        return pd.DataFrame(self.records[key]["curve"])

    def curves_of(
        self, *treatments: str, split: str | None = None, target: str | None = None
    ) -> dict[str, pd.DataFrame]:
        """The learning curves of some runs of one target by name, those that the store has; see ``curve``.

        Args:
            treatments: single runs or families, such as ``base`` or ``AnB+``.
            split, target: the first of the first study by default.
        """
        wanted = parse_treatments(",".join(treatments))
        if not self.studies:
            return {}
        first = self.studies[0]
        rows = self.table[(self.table["split"] == (split or first.splits[0])) & (self.table["seed"] == first.seeds[0])]
        rows = rows[rows["target"] == (target or first.targets[-1])]
        keys = dict(zip(rows["treatment"], rows["key"], strict=True))
        return {str(t): self.curve(keys[str(t)]) for t in wanted if str(t) in keys}

    def variant(self, part: str, treatments: str | None = None) -> Results:
        """The runs of a part that only some profiles have, ``doubled`` or ``batch-norm``; none where this one has not.

        Args:
            part: of the profile, trained if need be; its bases are those of the variant.
            treatments: as for ``open_results``.

        Raises:
            TransferlibError: for a training that wants a GPU.
        """
        studies = _asked(self.profile, (part,), treatments) if part in self.profile.parts else ()
        return dataclasses.replace(self, studies=studies)._trained()

    def _trained(self) -> Results:
        """Train what is lacking, but for what is published: that is what it is."""
        lacking = _keys(self.studies) - self.records.keys()
        if lacking and self.profile.name != PUBLISHED:
            self._must_have_gpu()
            for study in self.studies:
                run_study(study, self.store)
            found = {key: self.store.get(key) for key in lacking}
            self.records.update({key: record for key, record in found.items() if record})
        return self

    def _must_have_gpu(self) -> None:
        if not self.profile.wants_gpu or self.on_cpu or has_gpu():
            return
        asked = dataclasses.replace(self.profile, parts={"asked for": self.studies})
        raise TransferlibError(
            f"profile {self.profile.name} wants a GPU, and there is none: what is asked for takes about "
            f"{profile_seconds(asked, SERIAL.offer(asked.studies, execution())) / 60:,.0f} minutes here. "
            "Choose PROFILE = 'published' or 'smoke', or give open_results on_cpu=True to train all the same"
        )

    def against_longer_bases(self) -> pd.DataFrame:
        """The main study's runs with each base replaced by the one that was trained twice as long.

        That base has seen as many batches as an ``AnB+`` and its source together. A pair whose long base was not run
        has none.
        """
        runs = self.variant(MAIN).table
        return pd.concat([self._longer_bases(runs), runs[runs["kind"] != "base"]], ignore_index=True)

    def gain_from_doubling(self) -> Estimate | None:
        """What training a base twice as long gains it, the mean over pairs; None where that was not run."""
        short = self.variant(MAIN, "base").table
        longer = self._longer_bases(short).assign(kind="longer")  # a family of its own beside the base
        pairs = contrast(pd.concat([short, longer]), {("longer", 0): 1.0, ("base", 0): -1.0})
        return estimate(pairs) if len(pairs) else None

    def _longer_bases(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The bases of the part ``doubled``, each entered under the recipe of its pair's runs to be held against."""
        longer = self.variant(DOUBLED, "base").table.drop(columns="recipe")
        return longer.merge(runs[[*PLACE, "recipe"]].drop_duplicates())

    @cached_property
    def lengths(self) -> dict[int, pd.DataFrame]:
        """The main study's first split by the epochs of its trainings: those of the study, and longer ones."""
        first = dataclasses.replace(self.profile.studies[0], splits=self.profile.studies[0].splits[:1])
        tables = [dataclasses.replace(self, studies=(first,)).table]
        tables += [self.variant(part).table for part in (DOUBLED, LONGER)]
        return {
            int(str(epochs)): rows
            for epochs, rows in pd.concat([rows for rows in tables if len(rows)] or tables).groupby("epochs")
        }

    def by_rate(self, part: str) -> dict[float, pd.DataFrame]:
        """The runs of a part by the peak rate that they were trained at, bases entered with them; none where it lacks.

        Raises:
            TransferlibError: for a training that wants a GPU.
        """
        studies: dict[float, tuple[Study, ...]] = {}
        for study in self.variant(part).studies:
            rate = study.recipe.learning_rate
            studies[rate] = (*studies.get(rate, ()), study)
        return {rate: dataclasses.replace(self, studies=some).table for rate, some in studies.items()}

    def inventory(self) -> pd.DataFrame:
        """What is in the store: a row for each family with its runs, minutes, and what they were made on."""
        table = self.everything
        counts = table["images_per_class"].map(lambda count: "all" if pd.isna(count) else f"{count:.0f}")
        made = [self.records[key] for key in table["key"]]
        made = [f"{r['device']}, {r['execution']}, torch {r['versions']['torch']}" for r in made]
        rates = [self._rate(self.records[key]["config"]) for key in table["key"]]
        table = table.assign(family=family_names(table), minutes=table["seconds"] / 60, per_class=counts, made=made)
        table = table.assign(rate=rates)
        by = ["dataset", "network", "epochs", "rate", "per_class", "split", "target", "family"]
        rows = table.groupby(by, sort=False)
        words = rows["made"].agg(lambda said: "; ".join(sorted(set(said))))
        found = {"runs": rows.size(), "minutes": rows["minutes"].sum(), "made on": words}
        return pd.DataFrame(found).reset_index()

    def _rate(self, config: Mapping[str, Any]) -> str:
        """A run's peak rate, and what else sets its recipe, or that of its source, apart."""
        own = _rate_of(config["recipe"])
        source = self.records.get(config["source_key"] or "")
        of_source = _rate_of(source["config"]["recipe"]) if source else own
        return own if of_source == own else f"{own} on {of_source}"

    def base(self, half: str, split: str = "random:0") -> Stack:
        """The trained base of a half, in float32 on the CPU, for looking into; of the first study that was asked for.

        Raises:
            TransferlibError: where its weights do not lie in the store, or the profile lacks the part.
        """
        if not self.studies:
            raise TransferlibError(f"profile {self.profile.name} has no bases of the part that was asked for")
        plan = FamilyPlan.base(self.studies[0], split, 0, half)
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

    @property
    def made_on(self) -> str:
        """The devices that the runs were trained on."""
        return ", ".join(sorted(self.table["device"].unique()))


def _rate_of(recipe: Mapping[str, Any]) -> str:
    words = [f"{recipe['learning_rate']:g}"]
    words += ["plain"] * (not recipe["nesterov"]) + ["in steps"] * (recipe["schedule"] == "step")
    words += [f"warm-up {recipe['warmup_epochs']:g}"] * (recipe["warmup_epochs"] > 1)
    words += [f"until {recipe['until']}"] if recipe.get("until") else []
    return ", ".join(words)


def _entered(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """A study's rows; bases that have a recipe of their own are entered under that of the runs that copy from them."""
    rows = table[table["key"].isin(study.run_keys)]
    if study.base_recipe is None or rows.empty:
        return rows
    return rows.assign(recipe=config_key(study.recipe.recorded())[:8])


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
    studies = _asked(chosen, parts or (MAIN,), treatments)
    place = Store(store or _store_of(name))
    return Results(chosen, place, studies, _all_runs(place, name), on_cpu)._trained()


def _asked(chosen: Profile, parts: Sequence[str], treatments: str | None) -> tuple[Study, ...]:
    """The studies of some parts, with those of their treatments that are asked for."""
    studies = tuple(study for part in parts for study in chosen.part(part))
    if not treatments:
        return studies
    wanted = parse_treatments(treatments)
    kept = [(study, tuple(t for t in study.treatments if t in wanted)) for study in studies]
    return tuple(dataclasses.replace(study, treatments=some) for study, some in kept if some)


def _all_runs(store: Store, name: str) -> dict[str, Record]:
    """All finished runs of a profile's store by their keys; only what is published must be there already."""
    if name != PUBLISHED and not (store.folder / "runs").is_dir():
        return {}
    return {config_key(record["config"]): record for record in store.records()}


def _store_of(name: str) -> Path:
    return published_store() if name == PUBLISHED else own_store(name)


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


def convergence(gain: Estimate | None) -> str:
    """The book's rule in words: a base is converged when training it twice as long gains less than a point.

    By one-sided tests at 5 %, as the verdicts of ``transferlib.effects``.
    """
    if gain is None:
        return "what twice the training would gain was not measured here, so convergence is not shown"
    low, high = gain.interval(0.90)
    verdict = "whether they have converged cannot be told"
    if high < 1:
        verdict = "converged"
    elif low > 1:
        verdict = "not converged"
    return f"twice the training gains a base {gain} points (over {gain.behind}): {verdict}, by our rule of one point"
