"""The command line: ``transferlib run | status | results | plot | measure | data | doctor``."""

from __future__ import annotations

import argparse
import dataclasses
import io
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import transferlib
from transferlib import data, doctor
from transferlib.errors import TransferlibError
from transferlib.execution import DEVICES, execution
from transferlib.executors import EXECUTORS, Executor, run_study
from transferlib.measuring import OfNetwork, measure
from transferlib.measuring.export import export_path
from transferlib.measuring.inputs import folders_of
from transferlib.names import printable, write_csv
from transferlib.nets import NETWORKS
from transferlib.paths import figure_path, keep_out, resolved
from transferlib.profiles import PROFILES, profile
from transferlib.progress import Log, say
from transferlib.reporting import LineReporter
from transferlib.store import ENDINGS, Store
from transferlib.study import Study
from transferlib.trainer import Stop, Stopped, under_way
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
  transferlib measure --source tiny-imagenet --target folder:PATH --store measured --out curves.png
"""


def _run(args: argparse.Namespace) -> None:
    for study in _studies(args):
        table = run_study(
            study,
            Store(args.store),
            executor=_executor(args),
            device=args.device,
            precision=args.precision,
            compiled=args.compile,
            report=LineReporter(),
            stop=args.stop,
        )
        say(_summary(study, len(table), int((table["status"] != "ok").sum())), sys.stdout)
    done = f"done: `transferlib results --store {args.store}` lists the runs, `transferlib plot` draws them"
    say(done, sys.stdout)


def _executor(args: argparse.Namespace) -> Executor:
    """The executor that is asked for, with its options, which are its fields."""
    chosen, given = EXECUTORS[args.executor], {}
    for name, options in {name: _options(executor) for name, executor in EXECUTORS.items()}.items():
        asked = {option: getattr(args, option, None) for option in options}
        asked = {option: value for option, value in asked.items() if value is not None and value is not False}
        if asked and name != args.executor:
            raise TransferlibError(
                f"--{next(iter(asked)).replace('_', '-')} is for --executor {name}, not {chosen.name}"
            )
        given |= asked
    return dataclasses.replace(chosen, **given) if given else chosen  # pyright: ignore[reportArgumentType]


def _options(executor: Executor) -> list[str]:
    return [f.name for f in dataclasses.fields(executor)] if dataclasses.is_dataclass(executor) else []


@contextmanager
def _signals_stop(args: argparse.Namespace) -> Iterator[None]:
    """The first Ctrl-C, SIGTERM or SIGHUP stops a training after its step, with a checkpoint; a second one at once.

    Where nothing trains, the first does so too. Batch systems and Colab send SIGTERM, a lost line SIGHUP, unless it
    is to be ignored, as ``nohup`` asks.
    """
    args.stop = stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # which alone may have handlers
        yield
        return
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {getattr(signal, name): signal.getsignal(getattr(signal, name)) for name in names}
    before = {n: how for n, how in before.items() if n == signal.SIGINT or how != signal.SIG_IGN}

    def stop_soon(number: int, _: object) -> None:
        args.stopped_by = number
        for again in before:
            signal.signal(again, signal.default_int_handler if again == signal.SIGINT else signal.SIG_DFL)
        if not stop.training:
            raise KeyboardInterrupt
        stop.set()
        Log().write("\nstopping after this step; Ctrl-C again stops at once\n")

    for number in before:
        signal.signal(number, stop_soon)
    try:
        yield
    finally:
        for number, how in before.items():
            signal.signal(number, how)


def _studies(args: argparse.Namespace) -> tuple[Study, ...]:
    return profile(args.profile).narrowed(
        part=args.part,
        epochs=args.epochs,
        dataset=args.dataset,
        network=args.network,
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
    print(f"{len(table)} finished runs in {printable(str(args.store))}")
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
    for line in under_way(store):
        print(f"  under way: {line}")


def _results(args: argparse.Namespace) -> None:
    store = Store(args.store)
    csv, parquet = (_output(path, _files_of(store)) if path else None for path in (args.csv, args.parquet))
    _differ(csv, parquet)
    table = store.table()
    if csv:
        write_csv(table, csv)
    if parquet:
        table.to_parquet(parquet, index=False)
    if table.empty:
        print(f"no finished runs in {printable(str(args.store))}")
    elif not (csv or parquet):
        shown = table.drop(columns=["best_top1", "train_loss", "loss", "images_per_class", "recipe", "device"])
        print(shown.to_string(index=False, na_rep="-", float_format=lambda x: f"{x:.4g}"))


def _output(path: Path, inputs: Iterable[Path]) -> Path:
    """Where a file is to be written, found out before anything dear is done."""
    path = resolved(path)
    keep_out(path, inputs)
    if not path.parent.is_dir():
        raise TransferlibError(f"no folder {path.parent} for {path.name}: make it first")
    if path.is_dir():
        raise TransferlibError(f"{path} is a folder: expected the name of a file in it")
    return path


def _differ(*outputs: Path | None) -> None:
    if outputs[0] and outputs[0] == outputs[1]:
        raise TransferlibError(f"{outputs[0]} is asked for twice, and would hold only the last: give two names")


def _files_of(store: Store) -> list[Path]:
    """The folders of a store's own files, beside which a table may lie, but not among them."""
    return [store.folder / kind for kind in (*ENDINGS, "locks", "damaged")]


def _plot(args: argparse.Namespace) -> None:
    from transferlib.figures import save_figure

    store = Store(args.store)
    out = _output(figure_path(args.out), _files_of(store))
    save_figure(store.table(), args.figure, out)
    print(printable(str(args.out)))


def _measure(args: argparse.Namespace) -> None:
    inputs = [*folders_of(args.source, args.target), *_files_of(Store(args.store))]
    out = _output(figure_path(args.out), inputs) if args.out else None
    csv = _output(args.csv, inputs) if args.csv else None
    exported = _output(export_path(args.export), inputs) if args.export else None
    _differ(out, csv)
    measured = measure(
        args.source,
        args.target,
        args.store,
        seeds=args.seeds,
        epochs=args.epochs,
        device=args.device,
        report=LineReporter(),
        stop=args.stop,
        network=OfNetwork(args.weights, args.resolution, args.minutes, args.head_first, exported),
        executor=_executor(args),
    )
    if csv:  # what is cheap comes before what may fail
        write_csv(measured.table, csv)
    try:
        print(measured, flush=True)
    finally:
        if out:
            measured.save_figure(out)


def _data(args: argparse.Namespace) -> None:
    if args.action == "list":
        for name, provider in data.DATASETS.items():
            print(f"{name:<14} {provider.description}; {provider.obtained}")
        return
    if not args.name:
        raise TransferlibError(f"`transferlib data {args.action}` needs a name: {', '.join(data.DATASETS)}")
    if args.action == "fetch":
        print(printable(str(data.fetch(args.name))))
        return
    found = data.check(args.name)
    print(found, flush=True)
    if found.damaged:
        raise TransferlibError(f"{found.name}: {len(found.damaged)} damaged files, named above: replace them")


def _doctor(args: argparse.Namespace) -> None:
    for line in doctor.report(execution(args.device), _executor(args)):
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
    checked = commands.add_parser(
        "doctor", help="what this machine, or a cluster, will do, and how long each profile takes"
    )
    _add_device(checked)
    _add_executor(checked)
    checked.set_defaults(call=_doctor)
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def _add_device(command: argparse.ArgumentParser) -> None:
    about = "; ".join(f"{name}: {device.about}" for name, device in DEVICES.items())
    command.add_argument("--device", choices=tuple(DEVICES), help=f"{about}; default: cuda, else cpu")


def _add_run(commands: argparse._SubParsersAction) -> None:
    names = "; ".join(f"{p.name}: {p.purpose}" for p in PROFILES.values())
    parts = f"one part of the profile; published has {', '.join(PROFILES['published'].parts)}"
    run = commands.add_parser(
        "run",
        help="train what a study lacks",
        description="Train every run of a profile that the store lacks. Stop it when you like: the same command "
        "goes on where it stopped, and several processes may work on one store. --dataset, --network, --split, "
        "--target and --treatments change one part of it, the main one unless --part names another; --epochs changes "
        "every part.",
    )
    run.add_argument("--profile", required=True, metavar="NAME", help=names)
    run.add_argument("--store", type=Path, required=True, metavar="DIR", help="where finished runs lie")
    run.add_argument("--part", metavar="NAME", help=parts)
    run.add_argument("--dataset", metavar="NAME", help="see `transferlib data list`")
    run.add_argument("--network", metavar="NAME", help=f"one of {', '.join(NETWORKS)}")
    run.add_argument(
        "--split", help="random:SEED, random-small:SEED, natural-manmade[:SEED] (cut to equal size) or similarity:X"
    )
    run.add_argument("--target", choices=("A", "B", "both"), help="the half to train on")
    run.add_argument("--treatments", metavar="LIST", help="families and runs, such as base,BnB,A3B+")
    run.add_argument("--epochs", type=int, metavar="E", help="length of every training")
    _add_device(run)
    run.add_argument("--precision", default="auto", help="auto (what the device is good at), bf16, fp16 or fp32")
    run.add_argument("--compile", action="store_true", help="pass the networks through torch.compile")
    _add_executor(run)
    run.set_defaults(call=_run)


def _add_executor(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--executor",
        choices=tuple(EXECUTORS),
        default="serial",
        help="; ".join(f"{name}: {executor.about}" for name, executor in EXECUTORS.items()),
    )
    several = command.add_argument_group("for several workers")
    several.add_argument("--workers", type=int, metavar="N", help="of processes; default: GPUs, else physical cores")
    several.add_argument(
        "--address", metavar="HOST:PORT", help="of ray: the cluster's head, or auto; default: this machine alone"
    )
    several.add_argument(
        "--gpus", type=float, metavar="F", help="of ray: GPUs for a family, such as 0.25; default: 1 if there are any"
    )
    several.add_argument("--cpus", type=float, metavar="C", help="of ray: CPUs for a family, and threads; default: 1")
    several.add_argument(
        "--shared-store", action="store_true", help="of ray: all machines have the store's folder; checkpoints go there"
    )


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


def _add_of_network(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--weights", metavar="FILE", help="a .safetensors or .pth file, or none; default: the library's")
    group.add_argument("--resolution", type=int, metavar="PX", help="side of its input; default: that of its weights")
    group.add_argument(
        "--minutes", type=float, metavar="M", help="what fits is measured, coarse to fine; the next call goes on: 20"
    )
    group.add_argument(
        "--head-first", action="store_true", help="fine-tuning goes on from the trained head (A7B, then A7B+ from it)"
    )
    group.add_argument(
        "--export", type=Path, metavar="FILE", help="write the recommended network, .safetensors, and a script for it"
    )


def _add_measure(commands: argparse._SubParsersAction) -> None:
    measured = commands.add_parser(
        "measure",
        help="which layers to copy from a source to your own pictures",
        description="Which layers of the source to freeze, for the target's pictures. The source is a network that "
        "somebody else trained, or other pictures, on which one is trained first. Then networks are trained on the "
        "target, from scratch and with the first n of eight parts copied from the source, frozen (AnB) or fine-tuned "
        "(AnB+). Prints what each gains or loses, and which to take. A folder of pictures holds a folder for each "
        "class, or train/ and val/ with such.",
    )
    measured.add_argument(
        "--source", required=True, help="torchvision:NAME or timm:NAME; or pictures, as for --target", metavar="SOURCE"
    )
    measured.add_argument(
        "--target", required=True, metavar="DATA", help="folder:PATH, or one of `transferlib data list`"
    )
    measured.add_argument("--store", type=Path, required=True, metavar="DIR", help="where finished runs lie")
    measured.add_argument("--out", type=Path, metavar="FILE", help="draw the curves into a .png or .svg file")
    measured.add_argument("--csv", type=Path, metavar="FILE", help="write the table as a CSV file")
    _add_of_network(measured.add_argument_group("for a network as the source"))
    measured.add_argument("--seeds", type=int, metavar="N", help="trainings of everything: 3, or 1 for a large target")
    measured.add_argument("--epochs", type=int, metavar="E", help="length of every training; default: by the data")
    _add_device(measured)
    _add_executor(measured)
    measured.set_defaults(call=_measure)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code.

    0, 1 where a study is not whole, 2 for what a user can mend, 128 and its number after a signal.
    """
    _prepare_streams()
    args = _parser().parse_args(argv)
    with warnings.catch_warnings():
        warnings.showwarning = _one_line
        try:
            with _signals_stop(args):
                args.call(args)
            _flush(args)
        except BrokenPipeError:  # `results | head` has seen enough
            _give_up_output()
            return 128 + 13
        except (Stopped, KeyboardInterrupt) as stopped:
            kept = str(stopped) or "stopped; what was finished is kept"
            say(f"{kept}; the same command goes on from here")
            return 128 + getattr(args, "stopped_by", signal.SIGINT)
        except Exception as error:
            words = _words(error, args.command)
            if args.debug or words is None:
                raise
            _give_up_output()
            say(f"transferlib: {words}")
            return getattr(error, "exit_code", 2)
    return 0


def _flush(args: argparse.Namespace) -> None:
    """Write out what was printed; what a training says is no result, and may be lost."""
    if args.call is _run:
        _give_up_output()
    elif sys.stdout is not None:
        sys.stdout.flush()


def _words(error: Exception, command: str) -> str | None:
    """An error in one line, None for one that no user can mend."""
    if isinstance(error, TransferlibError):
        return str(error)
    if isinstance(error, OSError):  # a file that can't be read or written, named by the system
        return f"{error.filename or command}: {error.strerror or error}"
    if isinstance(error, ImportError):
        first = str(error).strip().split("\n")[0]
        return f"{first}: install it, such as by pip install {error.name or 'NAME'}"
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return f"{command}: not enough memory: close other programs, or choose something smaller"
    return None


def _one_line(message: Warning | str, *_: object, **__: object) -> None:
    """Show a warning as people read it, without the place in the code."""
    say(f"transferlib: note: {message}")


def _prepare_streams() -> None:
    """Make sure that every name can be shown, and that no file is opened where a closed stream was."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if "matplotlib" not in sys.modules:  # a notebook's setting, inherited by its shell, can't draw here
        os.environ["MPLBACKEND"] = "agg"
        logging.getLogger("matplotlib").setLevel(logging.ERROR)


def _give_up_output() -> None:
    """Let nothing be written at the interpreter's end to an output that could not take it."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (OSError, ValueError, AttributeError):
            return
