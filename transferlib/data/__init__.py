"""Data sets as uint8 arrays: fetched, checked, decoded once at the wanted resolution, memory-mapped."""

from transferlib.data.checking import Check
from transferlib.data.classes import Catalogue, kin
from transferlib.data.dataset import Dataset, Finding, Images
from transferlib.data.own import FOLDER
from transferlib.data.place import data_root
from transferlib.data.provider import Provider, Size, Snapshot
from transferlib.data.registry import (
    DATASETS,
    catalogue,
    check,
    fetch,
    input_folders,
    load,
    lookup,
    register,
    snapshot,
)
