"""Frames become graphs: neighbours, one batch as tensors, a whole data set on a device."""

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.atoms.graph_set import GraphSet
from piwsl_lab.atoms.neighbours import neighbours
from piwsl_lab.atoms.skin_list import SkinList

__all__ = ["AtomGraph", "GraphSet", "SkinList", "neighbours"]
