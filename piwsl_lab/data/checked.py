"""Files of a person are checked when they are loaded, once for each content: a study loads one for every cell."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from piwsl_lab.data.formats.opening import files_of
from piwsl_lab.data.frames.frame import DataError, DataWarning
from piwsl_lab.data.sets.check import Report, brief
from piwsl_lab.data.sets.dataset import Dataset

Version = tuple[tuple[str, int, int], ...]  # path, time of the last change and size of every file

_reports: dict[Version, Report] = {}


class CheckWarning(DataWarning):
    """What `Dataset.check` found in a file that was just loaded."""


def warn_about(dataset: Dataset, path: str | Path | Sequence[str | Path]) -> Dataset:
    """Warn in a few words of what looks wrong in a person's own data; returns the data set as it is.

    Warns
    -----
    CheckWarning
        There is a finding that is no mere note.
    """
    version = _version(path)
    report = _reports.get(version)
    if report is None:
        report = dataset.check()
        if version:
            _reports[version] = report
    if report.serious:
        command = f"`piwsl-lab check {path}` or " if isinstance(path, (str, Path)) else ""
        warnings.warn(
            f"{dataset.metadata.name}: {brief(report)} All of it: {command}dataset.check().",
            CheckWarning,
            stacklevel=3,
        )
    return dataset


def doubts(path: str | Path | Sequence[str | Path]) -> str:
    """What loading a file warned of, as short as can be; "" if it did not, or for a data set of the catalog."""
    report = _reports.get(_version(path))
    return brief(report, most=1) if report else ""


def _version(path: str | Path | Sequence[str | Path]) -> Version:
    """What tells one content of some files from the next; nothing where they are no files."""
    try:
        files = files_of(path)
    except DataError:  # a data set of the catalog, or files that are gone
        return ()
    if not all(file.is_file() for file in files):
        return ()
    return tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
