"""Data sets by name: inside the package, from a local mirror, or downloaded once and checked.

``load("ethanol")`` is the default part of a data set, ``load("acac_pbe:test-600K")`` one of its parts, and
``load("frames.xyz")`` a file of your own.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import as_file, files
from pathlib import Path

import pooch
from tqdm import tqdm

from piwsl_lab.data.checked import warn_about
from piwsl_lab.data.entries import CHECKSUMS, ENTRIES, Entry, Part
from piwsl_lab.data.formats.io import read, read_frames
from piwsl_lab.data.formats.opening import exists, files_of, is_pattern
from piwsl_lab.data.formats.xsf import read_xsf_files
from piwsl_lab.data.frames.frame import DataError
from piwsl_lab.data.sets.dataset import Dataset, Metadata

HOST = "https://raw.githubusercontent.com"
MIRROR = "PIWSL_LAB_DATA"
CONNECTIONS = 4  # at a time, where a data set is many small files


def datasets() -> list[Entry]:
    """All data sets of the catalog."""
    return list(ENTRIES)


def load(name_or_path: str | Path | Sequence[str | Path], labels: bool = True) -> Dataset:
    """Frames of a data set of the catalog, of one of its parts, or of a file.

    Parameters
    ----------
    name_or_path : str, Path or sequence of these
        ``"name"``, ``"name:part"`` (see `datasets`), or what `piwsl_lab.data.read` takes: the path of a file, a
        pattern, a list of paths. A name of the catalog comes before a file of that name: write ``"./name"`` for
        the file. Files that are not in the package come from the folder ``$PIWSL_LAB_DATA`` where that is set,
        else from GitHub, once. Either way the SHA-256 must be the one in the table.
    labels : bool
        Whether a file must have energies or forces; False for a start structure.

    Raises
    ------
    DataError
        Unknown name or part, wrong checksum, no network, or a file that cannot be used.
    """
    entry, part_name = _find(name_or_path)
    if entry is None:
        own = read(name_or_path, labels)
        return warn_about(own, name_or_path) if labels else own
    part = entry.parts[part_name]
    metadata = Metadata(
        name=f"{entry.name}:{part_name}",
        method=entry.method,
        units=entry.units,
        origin=entry.origin,
        licence=entry.licence,
        citation=entry.citation,
        note=entry.note,
    )
    if entry.embedded:
        with as_file(files("piwsl_lab.data") / "embedded" / part.file) as path:
            return Dataset(read_frames(path), metadata)
    if part.checksums and not os.environ.get(MIRROR):
        frames = read_xsf_files(_download_singles(entry, part))
    else:
        frames = read_frames(_fetch(entry, part))
    return Dataset(frames, metadata, _isolated_energies(entry, frames.elements))


def own_files(name_or_path: str | Path | Sequence[str | Path]) -> list[Path]:
    """Files of a person that `load` would read; none where it is a name of the catalog."""
    return [] if _find(name_or_path)[0] is not None else files_of(name_or_path)


def published_test(name_or_path: str | Path) -> str | None:
    """Part on which models trained on this one are tested; None where the frames are to be split."""
    entry, part_name = _find(name_or_path)
    if entry is None or entry.test is None or part_name != entry.default:
        return None
    return f"{entry.name}:{entry.test}"


def other_parts(name_or_path: str | Path) -> list[str]:
    """The other parts of the data set that this part belongs to, "name:part"; none for a file."""
    entry, part_name = _find(name_or_path)
    return [f"{entry.name}:{part}" for part in entry.parts if part != part_name] if entry else []


def cache_folder() -> Path:
    """Where downloaded files are kept."""
    return Path(pooch.os_cache("piwsl-lab"))


def _find(name_or_path: str | Path | Sequence[str | Path]) -> tuple[Entry | None, str]:
    """Entry and part that a name means, or None and "" when it is the path of a file."""
    if not isinstance(name_or_path, (str, Path)):
        return None, ""
    text = str(name_or_path)
    name, _, part = text.partition(":")
    by_name = {entry.name: entry for entry in ENTRIES}
    if name in by_name and not isinstance(name_or_path, Path):
        entry = by_name[name]
        part = part or entry.default
        if part not in entry.parts:
            raise DataError(f"{text}: data set {name} has no part '{part}'; its parts are {', '.join(entry.parts)}")
        return entry, part
    if exists(Path(text)) or is_pattern(text):
        return None, ""
    close = difflib.get_close_matches(name, by_name, n=1)
    guess = f" Did you mean '{close[0]}'?" if close else ""
    raise DataError(f"{text}: neither a data set nor a file.{guess} Data sets: {', '.join(by_name)}; or give a path")


def _fetch(entry: Entry, part: Part) -> Path:
    """Local path of a file whose checksum has been verified."""
    mirror = os.environ.get(MIRROR)
    return _from_mirror(Path(mirror), entry, part) if mirror else _download(entry, part)


def _from_mirror(mirror: Path, entry: Entry, part: Part) -> Path:
    path = mirror / entry.name / part.file
    if not path.is_file():
        raise DataError(f"{path}: no such file; put it into the folder {MIRROR} names, or unset {MIRROR} to download")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    expected = CHECKSUMS[f"{entry.name}/{part.file}"]
    if found != expected:
        raise DataError(
            f"{path}: SHA-256 is {found}, expected {expected}; the copy is damaged or of another version: "
            f"copy it again, or unset {MIRROR} to download it"
        )
    return path


def _download(entry: Entry, part: Part) -> Path:
    checksum = CHECKSUMS[f"{entry.name}/{part.file}"]
    return _retrieve(entry, part, part.file, checksum, progressbar=True)


def _download_singles(entry: Entry, part: Part) -> list[Path]:
    """Local paths of all single files of a part; those already in the cache are not downloaded again."""
    listed = [line.split() for line in (files("piwsl_lab.data") / part.checksums).read_text("utf-8").splitlines()]
    cached = all((cache_folder() / entry.name / name).is_file() for _, name in listed)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        paths = pool.map(lambda line: _retrieve(entry, part, line[1], line[0]), listed)
        return list(tqdm(paths, entry.name, len(listed), unit="file", disable=cached))


def _retrieve(entry: Entry, part: Part, file: str, expected: str, progressbar: bool = False) -> Path:
    url = f"{HOST}/{entry.source}/{file}"
    # Our own messages say what matters; pooch would announce every download on stderr.
    pooch.get_logger().setLevel("WARNING")
    try:
        # pooch checks a temporary file and moves it into the cache only when the checksum is right.
        return Path(
            pooch.retrieve(
                url,
                known_hash=f"sha256:{expected}",
                fname=file,
                path=cache_folder() / entry.name,
                progressbar=progressbar,
            )
        )
    except ValueError as error:
        raise DataError(
            f"{url}: the download has another SHA-256 than {expected}, nothing was kept; try again, "
            f"or set {MIRROR} to a folder that holds {entry.name}/{part.file}"
        ) from error
    except OSError as error:  # every error of requests, and a cache that cannot be written
        raise DataError(
            f"{url}: download failed ({type(error).__name__}: {error}); check the network, "
            f"or set {MIRROR} to a folder that holds {entry.name}/{part.file}"
        ) from error


def _isolated_energies(entry: Entry, elements: tuple[int, ...]) -> dict[int, float]:
    """Energy (eV) of the isolated atom of each of these elements, as far as the data set has them."""
    if entry.isolated_atoms is None:
        return {z: energy for z, energy in entry.isolated_energies.items() if z in elements}
    atoms = read_frames(_fetch(entry, entry.isolated_atoms))
    energies = {int(frame.numbers[0]): frame.energy for frame in atoms if len(frame) == 1}
    return {z: energy for z, energy in energies.items() if z in elements and energy is not None}
