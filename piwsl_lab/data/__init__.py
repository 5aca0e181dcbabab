"""Frames, labels and where they come from: numpy in float64, eV and Å, no torch."""

from piwsl_lab.data.catalog import datasets, load, other_parts, published_test
from piwsl_lab.data.entries import Entry, Part
from piwsl_lab.data.formats.io import read
from piwsl_lab.data.frames.frame import DataError, DataWarning, Frame
from piwsl_lab.data.oracle import Oracle
from piwsl_lab.data.sets.dataset import Dataset, Metadata, Split, require_disjoint

__all__ = [
    "DataError",
    "DataWarning",
    "Dataset",
    "Entry",
    "Frame",
    "Metadata",
    "Oracle",
    "Part",
    "Split",
    "datasets",
    "load",
    "other_parts",
    "published_test",
    "read",
    "require_disjoint",
]
