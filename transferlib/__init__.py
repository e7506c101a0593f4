"""How transferable are the features of deep networks? The AnB/BnB experiment of Yosinski et al. (2014)."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("transferlib")
except PackageNotFoundError:  # imported from a checkout that was never installed
    __version__ = "0+checkout"
