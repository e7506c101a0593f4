"""What each layer sees: pictures, concepts, probes, similarities (chapters 1 and 4); Captum does the attributions."""

import importlib.util

from transferlib import errors

if importlib.util.find_spec("captum") is None:
    raise errors.TransferlibError("attributions need Captum: pip install captum")

from transferlib.attribution.concepts import (
    CONCEPTS,
    concept_separability,
    concept_sets,
    draw_concept,
    ridge_direction,
    tcav_scores,
)
from transferlib.attribution.filters import filter_tiles, kernels, match_by_chance, match_filters, match_kernels
from transferlib.attribution.measures import (
    Likeness,
    Measures,
    class_sets,
    layer_measures,
    likeness,
    own_over_foreign,
)
from transferlib.attribution.microscope import (
    METHODS,
    Method,
    agreement_with_untrained,
    as_input,
    crops,
    first_guess,
    method,
    strongest_units,
    top_patches,
)
from transferlib.attribution.photographs import PHOTOGRAPHS, Photograph, photograph, square
from transferlib.attribution.probes import probe
from transferlib.attribution.similarity import cka_matrix, linear_cka
from transferlib.attribution.visualisation import visualise
