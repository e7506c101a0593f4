"""Notebooks run by papermill, and programs, each in a process that has imported torch before it begins.

To import torch, SciPy, pandas and Matplotlib takes longer than most chapters do. The fork server of multiprocessing
imports them, once; a kernel is a fork of it, and so is Sphinx, which reads the package's descriptions.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import papermill
from ipykernel.kernelapp import IPKernelApp
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import CellTimeoutError

IMPORTED = ("effects", "figures.layers", "measuring", "widgets.microscope")  # with all that they import
PREPARED = multiprocessing.get_context("forkserver")
PREPARED.set_forkserver_preload([__name__, "ipykernel.debugger", *(f"transferlib.{name}" for name in IMPORTED)])


def program(script: Path, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> bool:
    """Run a script of Python, of which nothing is shown but warnings and errors; whether it went well."""
    process = PREPARED.Process(target=_run, args=(script, arguments, folder, environment))
    process.start()
    try:
        process.join()
    finally:
        process.kill()
    return process.exitcode == 0


def _run(script: Path, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
    _be(folder, environment)
    sys.argv = [str(script), *arguments]
    with Path(os.devnull).open("w") as quiet, redirect_stdout(quiet):
        runpy.run_path(str(script), run_name="__main__")


def _be(folder: Path, environment: Mapping[str, str]) -> None:
    """Become what a process that the build starts in a folder and an environment would be; it ends with the build."""
    threading.Thread(target=_end_with_the_build, daemon=True).start()
    multiprocessing.set_start_method(None, force=True)  # what it starts itself is not forked from here
    gc.freeze()  # else each collection goes through all that was imported
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = environment.get("PYTHONPATH", "").split(os.pathsep)


def _end_with_the_build() -> None:
    build = multiprocessing.parent_process()  # not the fork server, which lives as long as one of its forks
    if build:
        build.join()
    if os.getpgid(0) == os.getpid():  # a kernel, and all that its cells have started
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def execute(
    page: Path, executed: Path, parameters: Mapping[str, object], environment: Mapping[str, str], seconds: float | None
) -> str:
    """Run a notebook in its folder; what went wrong, in one line, or nothing. Threads may run several at once.

    Args:
        page: the notebook.
        executed: where its copy with outputs goes.
        parameters: papermill's.
        environment: the kernel's.
        seconds: what a cell may take.
    """
    with tempfile.TemporaryDirectory(prefix="kernel-") as sockets, closing(ensure_event_loop()):  # papermill's
        own = {"sockets": Path(sockets), "folder": page.parent, "environment": environment}
        try:
            papermill.execute_notebook(
                *(page, executed, dict(parameters)),
                kernel_name="python3",
                progress_bar=False,
                execution_timeout=seconds,
                kernel_manager_class=type("Manager", (ForkedManager,), own),  # papermill takes a class
            )
        except CellTimeoutError:
            return f"longer than {seconds:g} seconds"
        except Exception as error:  # whatever a cell or the kernel did ends one chapter, not the build
            return (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return ""


def kill() -> None:
    """End all kernels with what they have started, and with them what waits for their cells."""
    for kernel in multiprocessing.active_children():
        kernel.kill()
        if kernel.pid:
            with suppress(ProcessLookupError):  # it was no group of its own yet
                os.killpg(kernel.pid, signal.SIGKILL)


class ForkedManager(AsyncKernelManager):
    """Starts a kernel as a fork, and talks to it through files: two kernels that start at once can take one port.

    Attributes:
        sockets: the folder of those files.
        folder: where the kernel works.
        environment: the kernel's.
    """

    sockets: Path
    folder: Path
    environment: Mapping[str, str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.transport, self.connection_file = "ipc", str(self.sockets / "kernel.json")
        self.provisioner = _Forking(kernel_id="forked", kernel_spec=self.kernel_spec, parent=self)


class _Forking(LocalProvisioner):
    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        assert isinstance(self.parent, ForkedManager)
        self.process = _Process(cmd[cmd.index("-f") :], self.parent.folder, self.parent.environment)
        self.pid = self.pgid = self.process.pid
        return self.connection_info


class _Process:
    """A forked kernel, with what a provisioner asks of a ``subprocess.Popen``."""

    stdin = stdout = stderr = None

    def __init__(self, *arguments: Any) -> None:
        self._forked = PREPARED.Process(target=_serve, args=arguments)
        self._forked.start()
        self.pid = self._forked.pid

    def poll(self) -> int | None:
        return self._forked.exitcode

    def wait(self) -> int | None:
        self._forked.join()
        return self._forked.exitcode

    def send_signal(self, number: int) -> None:
        if self.pid:
            os.kill(self.pid, number)


def _serve(arguments: list[str], folder: Path, environment: Mapping[str, str]) -> None:
    os.setsid()  # ctrl-c is the build's, as for a kernel that is started
    _be(folder, environment)
    IPKernelApp.launch_instance([*arguments, f"--IPKernelApp.log_level={logging.CRITICAL}"])
