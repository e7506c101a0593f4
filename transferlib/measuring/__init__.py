"""Your own pictures: from two folders to curves and a recommendation, which layers to copy, freeze or fine-tune.

The source's classes are half A and the target's half B of the paper's experiment: base B, and AnB and AnB+ for
n = 1..7, each trained on the target's training pictures and judged by its test pictures (the ``val`` part). A base
trained twice as long tells whether copying merely saves training.
"""

from __future__ import annotations

from transferlib.measuring.example import example_folders
from transferlib.measuring.report import Measurement
from transferlib.measuring.running import OfNetwork, measure
