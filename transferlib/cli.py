"""The command line: ``transferlib run | status | results | plot | measure | data | doctor``."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import transferlib
from transferlib import data, doctor
from transferlib.errors import TransferlibError
from transferlib.execution import execution
from transferlib.measure import check_figure_name, measure
from transferlib.plots import save_figure
from transferlib.profiles import PROFILES, profile
from transferlib.reporting import LineReporter
from transferlib.store import Store
from transferlib.study import Stopped, Study, run_study
from transferlib.treatments import parse_treatments

ABOUT = """\
How transferable are features in deep neural networks? Train AlexNets on two halves
A and B of a data set's classes, copy the first n layers from one to the other, and
measure what is lost and gained (Yosinski et al., NIPS 2014).

The words, after the paper:
  base   a network trained from scratch on its half
  A3B    first 3 layers copied from the other half's base and frozen, the rest trained
  B3B    the same from its own base: the selffer control
  A3B+   copied as in A3B, then everything is trained (fine-tuned); B3B+ likewise
  R3B    first 3 layers random and frozen
  AnB    the family of all seven, n = 1..7; so too BnB, AnB+, BnB+, RnB
"""
EXAMPLES = """\
examples:
  transferlib run --profile smoke --store runs
  transferlib run --profile published --store runs --split random:0 --target B --treatments A3B+
  transferlib results --store runs --csv runs.csv
  transferlib plot --store runs --figure 2 --out figure2.svg
  transferlib measure --source tiny-imagenet --target folder:PATH --store mine --out curves.png
"""


def _run(args: argparse.Namespace) -> None:
    studies = _studies(args)
    with _interrupt_stops() as stop:
        for study in studies:
            table = run_study(
                study,
                Store(args.store),
                device=args.device,
                precision=args.precision,
                compiled=args.compile,
                report=LineReporter(),
                stop=stop,
            )
            print(_summary(study, len(table), (table["status"] != "ok").sum()))
    print(f"done: `transferlib results --store {args.store}` lists the runs, `transferlib plot` draws them")


@contextmanager
def _interrupt_stops() -> Iterator[threading.Event]:
    """The first Ctrl-C stops after the step, with a checkpoint; a second one at once."""
    stop = threading.Event()

    def stop_soon(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("\nstopping after this step; Ctrl-C again stops at once", file=sys.stderr)

    before = signal.signal(signal.SIGINT, stop_soon)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _studies(args: argparse.Namespace) -> tuple[Study, ...]:
    return profile(args.profile).narrowed(
        part=args.part,
        epochs=args.epochs,
        dataset=args.dataset,
        splits=None if args.split is None else (args.split,),
        targets={"A": ("A",), "B": ("B",), "both": ("A", "B"), None: None}[args.target],
        treatments=None if args.treatments is None else parse_treatments(args.treatments),
    )


def _summary(study: Study, runs: int, unsound: int) -> str:
    tail = f", {unsound} of them diverged or stuck at chance" if unsound else ""
    return f"{study.dataset}, {study.network}, {', '.join(study.splits)}: {runs} runs in the store{tail}"


def _status(args: argparse.Namespace) -> None:
    store = Store(args.store)
    table = store.table()
    print(f"{len(table)} finished runs in {args.store}")
    table = table.assign(family=table["kind"] + table["fine_tuned"].map({True: "+", False: ""}))
    by = ["dataset", "resolution", "network", "epochs", "images_per_class", "split", "target", "family"]
    for name, rows in table.groupby(by, dropna=False):
        dataset, resolution, net, epochs, per_class, split, target, family = name
        fewer = "" if per_class != per_class else f", {per_class:.0f} images a class"  # NaN: all images
        depths = "" if family == "base" else " n = " + ",".join(map(str, sorted(rows["n"].unique())))
        odd = rows.loc[rows["status"] != "ok", "status"].tolist()
        print(
            f"  {dataset} {resolution} px, {net}, {epochs} epochs{fewer}, {split}, target {target}: "
            f"{family}{depths}" + (f" ({', '.join(odd)})" if odd else "")
        )
    for name in store.checkpoints():
        found = store.get_checkpoint(name)
        if found:
            print(f"  under way: {found[1]['plan']}, {found[1]['done_steps']} of {found[1]['total_steps']} steps")


def _results(args: argparse.Namespace) -> None:
    table = Store(args.store).table()
    if args.csv:
        table.to_csv(args.csv, index=False)
    if args.parquet:
        table.to_parquet(args.parquet, index=False)
    if not (args.csv or args.parquet):
        shown = table.drop(columns=["best_top1", "images_per_class", "recipe", "device"])
        print(shown.to_string(index=False, na_rep="-", float_format=lambda x: f"{x:.4g}"))


def _plot(args: argparse.Namespace) -> None:
    save_figure(Store(args.store).table(), args.figure, args.out)
    print(args.out)


def _measure(args: argparse.Namespace) -> None:
    if args.out:
        check_figure_name(args.out)  # before the training, not after it
    for path in filter(None, (args.out, args.csv)):
        if not Path(path).parent.is_dir():
            raise TransferlibError(f"no folder {Path(path).parent} for {Path(path).name}: make it first")
    with _interrupt_stops() as stop:
        measured = measure(
            args.source,
            args.target,
            args.store,
            seeds=args.seeds,
            epochs=args.epochs,
            device=args.device,
            report=LineReporter(),
            stop=stop,
        )
    print(measured)
    if args.out:
        measured.save_figure(args.out)
    if args.csv:
        measured.table.to_csv(args.csv, index=False)


def _data(args: argparse.Namespace) -> None:
    if args.action == "list":
        for name, entry in data.DATASETS.items():
            print(f"{name:<14} {entry.description}; {entry.how}")
        return
    if not args.name:
        raise TransferlibError(f"`transferlib data {args.action}` needs a name: {', '.join(data.DATASETS)}")
    if args.action == "fetch":
        print(data.fetch(args.name))
        return
    found = data.check(args.name)
    print(found)
    if found.damaged:
        raise TransferlibError(f"{args.name}: {len(found.damaged)} damaged files, named above: replace them")


def _doctor(args: argparse.Namespace) -> None:
    for line in doctor.report(execution(args.device)):
        print(line, flush=True)


class _Parser(argparse.ArgumentParser):
    """argparse, with errors of one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"transferlib: {message}; see `{self.prog} --help`\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="transferlib",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"transferlib {transferlib.__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands)
    store = _Parser(add_help=False)
    store.add_argument("--store", type=Path, required=True, help="the folder that `run` wrote")
    _add_reading(commands, store)
    _add_measure(commands)
    asked = commands.add_parser("data", help="list, fetch or check data sets")
    asked.add_argument("action", choices=("list", "fetch", "check"))
    asked.add_argument("name", nargs="?", help="a data set, such as tiny-imagenet or folder:PATH")
    asked.set_defaults(call=_data)
    checked = commands.add_parser("doctor", help="what this machine will do, and how long each profile takes")
    checked.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU where there is one")
    checked.set_defaults(call=_doctor)
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def _add_run(commands: argparse._SubParsersAction) -> None:
    names = "; ".join(f"{p.name}: {p.purpose}" for p in PROFILES.values())
    parts = f"one part of the profile; published has {', '.join(PROFILES['published'].parts)}"
    run = commands.add_parser(
        "run",
        help="train what a study lacks",
        description="Train every run of a profile that the store lacks. Stop it when you like: the same command "
        "goes on where it stopped, and several processes may work on one store. --dataset, --split, --target and "
        "--treatments change one part of it, the main one unless --part names another; --epochs changes every part.",
    )
    run.add_argument("--profile", required=True, metavar="NAME", help=names)
    run.add_argument("--store", type=Path, required=True, metavar="DIR", help="where finished runs lie")
    run.add_argument("--part", metavar="NAME", help=parts)
    run.add_argument("--dataset", metavar="NAME", help="see `transferlib data list`")
    run.add_argument("--split", help="random:SEED, natural-manmade[:SEED] (cut to equal size) or similarity:X")
    run.add_argument("--target", choices=("A", "B", "both"), help="the half to train on")
    run.add_argument("--treatments", metavar="LIST", help="families and runs, such as base,BnB,A3B+")
    run.add_argument("--epochs", type=int, metavar="E", help="length of every training")
    run.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU where there is one")
    run.add_argument("--precision", default="auto", help="auto (what the device is good at), bf16, fp16 or fp32")
    run.add_argument("--compile", action="store_true", help="pass the networks through torch.compile")
    run.add_argument(
        "--executor",
        choices=("serial",),
        default="serial",
        help="one family after another; start two for two",
    )
    run.set_defaults(call=_run)


def _add_reading(commands: argparse._SubParsersAction, store: argparse.ArgumentParser) -> None:
    status = commands.add_parser("status", parents=[store], help="what is finished and what is under way")
    status.set_defaults(call=_status)
    results = commands.add_parser("results", parents=[store], help="one row per finished run")
    results.add_argument("--csv", type=Path, metavar="FILE", help="write a CSV file instead of printing")
    results.add_argument("--parquet", type=Path, metavar="FILE", help="write a Parquet file")
    results.set_defaults(call=_results)
    plot = commands.add_parser("plot", parents=[store], help="draw the paper's figure 2 or 3")
    plot.add_argument("--figure", type=int, choices=(2, 3), required=True)
    plot.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .png or .svg file")
    plot.set_defaults(call=_plot)


def _add_measure(commands: argparse._SubParsersAction) -> None:
    measured = commands.add_parser(
        "measure",
        help="which layers to copy from a source to your own pictures",
        description="Train a network on the source; then networks on the target, from scratch and with the first n "
        "layers copied from the source, frozen (AnB) or fine-tuned (AnB+). Prints what each gains or loses, and which "
        "to take. A folder of pictures holds a folder for each class, or train/ and val/ with such.",
    )
    for role in ("source", "target"):
        measured.add_argument(
            f"--{role}", required=True, metavar="DATA", help="folder:PATH, or `transferlib data list`"
        )
    measured.add_argument("--store", type=Path, required=True, metavar="DIR", help="where finished runs lie")
    measured.add_argument("--out", type=Path, metavar="FILE", help="draw the curves into a .png or .svg file")
    measured.add_argument("--csv", type=Path, metavar="FILE", help="write the table as a CSV file")
    measured.add_argument("--seeds", type=int, metavar="N", help="trainings of everything: 3, or 1 for a large target")
    measured.add_argument("--epochs", type=int, metavar="E", help="length of every training; default: by the data")
    measured.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU where there is one")
    measured.set_defaults(call=_measure)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 2 for what a user can mend, 130 after Ctrl-C."""
    args = _parser().parse_args(argv)
    try:
        args.call(args)
    except Stopped as stopped:
        print(f"\n{stopped}; the same command goes on from here", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("\nstopped; what was finished is kept, and the same command goes on", file=sys.stderr)
        return 130
    except TransferlibError as error:
        if args.debug:
            raise
        print(f"transferlib: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a file that can't be read or written, named by the system
        if args.debug:
            raise
        print(f"transferlib: {error.filename or args.command}: {error.strerror or error}", file=sys.stderr)
        return 2
    return 0
