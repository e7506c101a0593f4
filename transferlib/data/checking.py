"""What a look through a data set finds: how many classes and images it has, and which files are damaged."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from transferlib.data.dataset import Finding, Source
from transferlib.data.decoding import decode
from transferlib.names import printable

SMALLEST = 8  # pixels: what pictures are decoded at where only damage is looked for


@dataclass(frozen=True)
class Check:
    """What ``check`` found; printable."""

    name: str
    place: str
    classes: int
    train: int  # images
    val: int
    damaged: Mapping[str, str] = field(default_factory=dict)  # file → reason
    findings: tuple[Finding, ...] = ()

    def __str__(self) -> str:
        counts = f"{self.classes} classes, {self.train} training and {self.val} validation images"
        lines = [f"{self.name}: {counts}, {len(self.damaged)} damaged, in {self.place}"]
        lines += [f"  damaged: {file} ({why})" for file, why in self.damaged.items()]
        for finding in self.findings:
            lines += [f"  {finding}", *(f"    {file}" for file in finding.files[1:])]
        return "\n".join(map(printable, lines))


def check_pictures(name: str, place: Path, listed: Source, progress: bool) -> Check:
    """A published data set's pictures, each decoded and none kept: there may be a million."""
    files = listed.train.files + listed.val.files
    found = decode(files, Path(os.devnull), SMALLEST, title=f"check {name}" if progress else None)
    damaged = {files[number]: reason for number, reason in found.failed.items()}
    return Check(name, str(place), len(listed.classes), len(listed.train.files), len(listed.val.files), damaged)
