"""Figures from a table of runs: panels of one look, and the paper's figures 2 and 3, made of what panels are made of.

One colour and one marker per treatment throughout the book. The pictures of what a layer sees are in
``transferlib.figures.layers``, which needs Captum.
"""

from transferlib.figures.doses import figure_costs, figure_doses, responses
from transferlib.figures.lengths import figure_lengths, lengths_of
from transferlib.figures.measured import figure_measured
from transferlib.figures.page import show
from transferlib.figures.panels import (
    Panel,
    accuracies,
    beside_paper,
    both_sides,
    bridged,
    dial,
    distances,
    few_images,
    figure_width,
    learning,
    learning_figure,
    losses,
    one_panel,
    parts_of_the_loss,
    side_by_side,
)
from transferlib.figures.paper_figures import figure_2, figure_3, save_figure
from transferlib.figures.runs import about, random_splits
from transferlib.figures.sharpness import figure_sharpness
from transferlib.figures.style import NUDGE, STYLE, clean, meaning, rendered, write_figure
