"""Notebooks run by papermill, each in a kernel that has imported torch before it begins.

To import torch, SciPy, pandas and Matplotlib takes longer than most chapters do. The fork server of multiprocessing
imports them, and a kernel is a fork of it. (A process that was forked itself starts a server of its own, so each
chapter has one; with one for all, the book was made in three quarters of the time.)
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import papermill
from ipykernel.kernelapp import IPKernelApp
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from jupyter_core.paths import jupyter_runtime_dir

IMPORTED = ("effects", "figures.layers", "measuring", "widgets.microscope")  # with all that they import
PREPARED = multiprocessing.get_context("forkserver")
PREPARED.set_forkserver_preload([__name__, *(f"transferlib.{name}" for name in IMPORTED)])


def execute(
    page: Path, executed: Path, parameters: Mapping[str, object], environment: Mapping[str, str], seconds: float | None
) -> str:
    """Run a notebook in its folder; what went wrong, in one line, or nothing.

    Args:
        page: the notebook.
        executed: where its copy with outputs goes.
        parameters: papermill's.
        environment: the kernel's.
        seconds: what a cell may take.
    """
    told, teller = PREPARED.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="kernel-") as folder, told:
        own = {**environment, "JUPYTER_RUNTIME_DIR": folder}
        process = PREPARED.Process(target=_execute, args=(teller, page, executed, dict(parameters), own, seconds))
        process.start()
        teller.close()
        try:
            return told.recv()
        except EOFError:
            return "no word"
        finally:
            process.join()


def _execute(
    teller: Connection,
    page: Path,
    executed: Path,
    parameters: dict[str, object],
    environment: dict[str, str],
    seconds: float | None,
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    said = ""
    try:
        papermill.execute_notebook(
            *(page, executed, parameters),
            cwd=page.parent,
            kernel_name="python3",
            progress_bar=False,
            execution_timeout=seconds,
            kernel_manager_class=ForkedManager,
        )
    except Exception as error:  # whatever a cell or the kernel did ends one chapter, not the build
        said = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    teller.send(said)


class ForkedManager(AsyncKernelManager):
    """Starts a kernel as a fork, and talks to it through files: two kernels that start at once can take one port."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.transport, self.connection_file = "ipc", str(Path(jupyter_runtime_dir()) / "kernel.json")
        self.provisioner = _Forking(kernel_id="forked", kernel_spec=self.kernel_spec, parent=self)


class _Forking(LocalProvisioner):
    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        self.process = _Process(cmd[cmd.index("-f") :], Path.cwd(), kwargs["env"])
        self.pid = self.process.pid
        return self.connection_info


class _Process:
    """A forked kernel, with what a provisioner asks of a ``subprocess.Popen``."""

    stdin = stdout = stderr = None

    def __init__(self, *arguments: Any) -> None:
        self._forked = PREPARED.Process(target=_serve, args=arguments, daemon=True)
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
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = environment.get("PYTHONPATH", "").split(os.pathsep)
    own = {"parent_handle": os.getppid(), "log_level": logging.CRITICAL}  # it ends with its parent
    IPKernelApp.launch_instance([*arguments, *(f"--IPKernelApp.{name}={value}" for name, value in own.items())])
