"""Frames become graphs: neighbours, one batch as tensors, a whole data set on a device."""
