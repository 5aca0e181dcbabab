"""HDF5 files in the layout of ANI-1x, whole around absurd contents."""

from __future__ import annotations

import io
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from frames import labelled

NAMES = ("coordinates", "atomic_numbers", "wb97x_dz.energy", "wb97x_dz.forces")


def whole(change: Callable[[Any, Any], None] | None = None) -> bytes:
    """Two groups of four frames; `change` may spoil the file and its first group."""
    import h5py

    out = io.BytesIO()
    with h5py.File(out, "w", track_order=True) as file:
        for name, made in (("C2H6O", labelled("CH3CH2OH", 4)), ("H2O", labelled("H2O", 4))):
            group = file.create_group(name)
            group["coordinates"] = np.stack([frame.positions for frame in made])
            group["atomic_numbers"] = made[0].numbers.astype(np.uint8)
            group["wb97x_dz.energy"] = np.array([frame.energy for frame in made])
            group["wb97x_dz.forces"] = np.stack([frame.forces for frame in made])
        if change is not None:
            change(file, file["C2H6O"])
    return out.getvalue()


def absurd(random: Random) -> bytes:
    """One number is none that a file can mean."""

    def change(_: Any, group: Any) -> None:
        name = random.choice(NAMES)
        array = group[name][()].astype(float)
        values = (0, 119, 255, 6.5) if name == "atomic_numbers" else (np.inf, 1e300, -1e150, 1e30)
        array.reshape(-1)[random.randrange(array.size)] = random.choice(values)
        del group[name]
        group[name] = array

    return whole(change)


def tree(random: Random) -> bytes:
    """Data sets of other types, shapes and names, links that lead nowhere, sizes that are only claimed."""
    import h5py

    name = random.choice(NAMES)

    def change(file: Any, group: Any) -> None:
        array = group[name][()]
        del group[name]
        ways = (
            lambda: None,
            lambda: group.create_dataset(name, data=random.choice((array[:0], array[:2], array[None], array.ravel()))),
            lambda: group.create_dataset(name, data=array.astype(random.choice(("f2", ">f8", "i8", "?", "c16", "S8")))),
            lambda: group.create_dataset(name, shape=(10**12,), dtype="f8", chunks=(1000,)),
            lambda: group.create_dataset(name, shape=(10**6, 9, 3), dtype="f8", chunks=True, compression="gzip"),
            lambda: group.create_dataset(name, data=random.choice(("text", b"\xff", 1, [["a", "b"]]))),
            lambda: group.create_dataset(name, data=h5py.Empty("f8")),
            lambda: group.create_dataset(name, data=np.zeros(4, dtype=[("a", "f8"), ("b", "i4")])),
            lambda: group.create_dataset(name, data=[file.ref], dtype=h5py.ref_dtype),
            lambda: group.create_group(name),
            lambda: group.__setitem__(name, h5py.SoftLink(random.choice(("/nowhere", f"/C2H6O/{name}", "/H2O")))),
            lambda: group.__setitem__(name, h5py.ExternalLink("/etc/passwd", "/x")),
            lambda: group.__setitem__(random.choice(("x", "é", "energy", "forces", "species")), array),
        )
        random.choice(ways)()
        if name in group and random.random() < 0.3 and hasattr(group.get(name), "attrs"):
            group[name].attrs["units"] = random.choice(("nm", "", 1, b"\xff", [1, 2], "kcal/mol", h5py.Empty("f8")))

    return whole(change)
