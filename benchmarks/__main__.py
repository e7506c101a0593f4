"""All figures, one after another: ``python -m benchmarks``. The last four lines are ``name value``."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
import torchvision

from benchmarks import memory, setting, speed


def header() -> str:
    """What the figures were taken with."""
    how = setting.machine()
    return "\n".join(
        [
            f"machine    {how.device_name}",
            f"versions   torch {torch.__version__}, torchvision {torchvision.__version__}",
            f"precision  ours {str(how).split()[1]}, tutorial fp32",
            f"network    {setting.NETWORK}, batches of {setting.RECIPE.batch_size}",
            f"images     against the tutorial: JPEG files of {setting.STORED} px, {setting.IMAGES_PER_CLASS} of each "
            "class of shapes; else random pixels",
        ]
    )


def figures() -> dict[str, float]:
    """Measure all four."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "pictures"
        setting.write_pictures(folder)
        half = setting.half_of_pictures(folder, Path(temporary) / "cache")
        found = {
            "family_ratio": speed.family_ratio(folder, half),
            "base_ratio": speed.base_ratio(folder, half),
        }
    found["ceiling_fraction"] = speed.ceiling_fraction()
    found["peak_over_data_bytes"] = memory.peak_over_data_bytes()
    return found


def main() -> None:
    """Print the header, what was measured, and one line a figure."""
    torch.set_num_threads(min(setting.THREADS, torch.get_num_threads()))
    print(header(), flush=True)
    for name, value in figures().items():
        print(name, f"{value:.0f}" if name.endswith("bytes") else f"{value:.3f}")


if __name__ == "__main__":
    main()
