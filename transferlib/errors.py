"""The one error that the command line shows as a single line."""

from __future__ import annotations


class TransferlibError(Exception):
    """What a user can mend: the message names the thing and the mend, in one line."""
