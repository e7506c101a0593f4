"""What each layer sees: pictures, concepts, probes, similarities (chapters 1 and 4); Captum does the attributions."""

from __future__ import annotations

from importlib.util import find_spec

from transferlib.errors import TransferlibError

if find_spec("captum") is None:
    raise TransferlibError("attributions need Captum: pip install captum")

from transferlib.attribution.concepts import (
    CONCEPTS,
    concept_separability,
    concept_sets,
    draw_concept,
    ridge_direction,
    tcav_scores,
)
from transferlib.attribution.figures import (
    figure_cka,
    figure_concepts,
    figure_filters,
    figure_match,
    figure_patches,
    figure_probes,
    figure_separability,
    figure_tcav,
    figure_views,
)
from transferlib.attribution.filters import filter_tiles, kernels, match_by_chance, match_filters, match_kernels
from transferlib.attribution.measures import class_sets, layer_measures, own_over_foreign
from transferlib.attribution.microscope import (
    METHODS,
    Method,
    agreement_with_untrained,
    as_input,
    as_picture,
    crops,
    first_guess,
    method,
    microscope,
    strongest_units,
    top_patches,
)
from transferlib.attribution.photographs import PHOTOGRAPHS, Photograph, photograph, square
from transferlib.attribution.probes import probe
from transferlib.attribution.similarity import cka_matrix, linear_cka

__all__ = [
    "CONCEPTS",
    "METHODS",
    "PHOTOGRAPHS",
    "Method",
    "Photograph",
    "agreement_with_untrained",
    "as_input",
    "as_picture",
    "cka_matrix",
    "class_sets",
    "concept_separability",
    "concept_sets",
    "crops",
    "draw_concept",
    "figure_cka",
    "figure_concepts",
    "figure_filters",
    "figure_match",
    "figure_patches",
    "figure_probes",
    "figure_separability",
    "figure_tcav",
    "figure_views",
    "filter_tiles",
    "first_guess",
    "kernels",
    "layer_measures",
    "linear_cka",
    "match_by_chance",
    "match_filters",
    "match_kernels",
    "method",
    "microscope",
    "own_over_foreign",
    "photograph",
    "probe",
    "ridge_direction",
    "square",
    "strongest_units",
    "tcav_scores",
    "top_patches",
]
