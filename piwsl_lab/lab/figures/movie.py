"""A flight as files: frames for other programs, and one page with movie and curves for a browser without Python."""

from __future__ import annotations

import base64
import errno
import io
import json
import re
import time
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from ase.data import chemical_symbols
from ase.io import write
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from piwsl_lab.data.frames.convert import to_atoms
from piwsl_lab.lab.molecule import scene
from piwsl_lab.lab.parts.units import ps
from piwsl_lab.lab.sessions.md import FlightSession, Track
from piwsl_lab.support.files import write_whole

MOST_PICTURES = 200  # of a movie
LARGEST_PAGE = 5_900_000  # bytes; the library alone has 4.8 million
BYTES_PER_ATOM = 16  # of one picture: three float32 in base64
PAGE = "flight.html"
_JAVASCRIPT = Path(__file__).with_name("flight_page.js").read_text(encoding="utf-8")
_STYLE = """
body {font: 15px sans-serif; margin: 8px 16px; color: #222; background: #fff}
#molecules {display: grid; gap: 8px}
.molecule {height: 38vh; border: 1px solid #ddd; border-radius: 6px; overflow: hidden}
.caption {white-space: nowrap; overflow: hidden; text-overflow: ellipsis; height: 1.5em}
#bar {display: flex; align-items: center; gap: 12px; height: 40px}
#moment {flex: 1} #play {width: 90px} #time {width: 90px; font-variant-numeric: tabular-nums}
#curves {height: 42vh}
"""
REASONS = {
    errno.ENOSPC: "the disk is full: make room and save again",
    errno.EDQUOT: "your share of the disk is full: make room and save again",
    errno.EACCES: "this folder cannot be written to: choose another one",
    errno.EPERM: "this folder cannot be written to: choose another one",
    errno.EROFS: "this folder cannot be written to: choose another one",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.ENOTDIR: "a part of this path is a file: choose another folder",
}


def new_folder(parent: str | Path = ".", name: str | None = None) -> Path:
    """Make a folder that did not exist, also within the second of the last one; `flight-<date>-<time>` by default.

    Raises
    ------
    ValueError
        The folder cannot be made; the message says why.
    """
    name = name or time.strftime("flight-%Y%m%d-%H%M%S")
    for number in range(1, 1000):
        folder = Path(parent).absolute() / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise _cannot_save(folder, error) from error
    raise ValueError(f"{folder} and all before it exist: choose another name")


def save_flight(
    session: FlightSession,
    folder: str | Path | None = None,
    replica: int = 0,
    curves: go.Figure | None = None,
    colours: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write one replica of every pilot; where that fails, nothing is left behind.

    Parameters
    ----------
    session : FlightSession
    folder : path, optional
        Is made; one that holds anything already is an error. By default a new one beside the notebook.
    replica : int
    curves : go.Figure, optional
        Drawn below the movie.
    colours : mapping of name → "#rrggbb", optional
        As the curves have them.

    Returns
    -------
    list of Path
        `<pilot>.extxyz` with positions (Å), time (fs), temperature (K) and the change of the conserved energy (eV),
        and `flight.html`: all pilots side by side with one slider. It needs no network and has at most 6 MB.

    Raises
    ------
    ValueError
        The folder is not empty or cannot be written to, the disk is full, or there is no such replica.
    """
    tracks = dict(session.tracks)
    if not 0 <= replica < session.settings["replicas"]:
        raise ValueError(f"replica={replica}: this flight has the replicas 0 to {session.settings['replicas'] - 1}")
    texts = {f"{stem}.extxyz": _extxyz(tracks[name], replica) for name, stem in _stems(list(tracks)).items()}
    texts[PAGE] = movie_page(tracks, replica, curves, colours or {})
    folder = new_folder() if folder is None else _empty(Path(folder).absolute())
    written = []
    try:
        for name, text in texts.items():
            written.append(write_whole(folder / name, text))
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        folder.rmdir()
        raise _cannot_save(folder, error) from error
    return written


def _empty(folder: Path) -> Path:
    """Make a folder, or take one that is empty."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"{folder} exists and is not an empty folder: choose another name")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_save(folder, error) from error
    return folder


def _cannot_save(folder: Path, error: OSError) -> ValueError:
    reason = REASONS.get(error.errno or 0, f"{error.strerror or error}: choose another folder")
    return ValueError(f"nothing was saved in {folder}: {reason}")


def _stems(names: list[str]) -> dict[str, str]:
    """A file name for every pilot, no two of them alike, also where the system takes A for a."""
    stems: dict[str, str] = {}
    for name in names:
        stem = re.sub(r"[^\w-]+", "_", name)[:80] or "pilot"
        taken = {other.lower() for other in stems.values()}
        number = next(k for k in range(1, len(names) + 2) if (stem if k == 1 else f"{stem}_{k}").lower() not in taken)
        stems[name] = stem if number == 1 else f"{stem}_{number}"
    return stems


def _alive(track: Track, replica: int) -> list[int]:
    """States of a replica before its loss, and the first."""
    return [k for k in range(len(track.time)) if k == 0 or track.alive[k][replica]]


def _extxyz(track: Track, replica: int) -> str:
    images = []
    for k in _alive(track, replica):
        image = to_atoms(track.frame)  # with its masses and constraints
        image.positions, image.calc = track.positions[k][replica], None
        image.info = {
            "time_fs": track.time[k],
            "temperature_k": float(track.temperature[k][replica]),
            "energy_change_ev": float(track.change[k][replica]),
        }
        image.arrays["predicted_forces"] = track.forces[k][replica].astype(float)
        images.append(image)
    text = io.StringIO()
    write(text, images, format="extxyz")
    return text.getvalue()


def movie_page(
    tracks: Mapping[str, Track], replica: int, curves: go.Figure | None = None, colours: Mapping[str, str] | None = None
) -> str:
    """All pilots side by side, moving, as one page that holds its own plotly.js; at most `LARGEST_PAGE` bytes.

    A large molecule gets fewer pictures, so that the page stays small; they are spread evenly over the flight.
    """
    library = get_plotlyjs()
    drawn = None if curves is None else to_json_plotly({"data": curves.data, "layout": curves.layout})
    fixed = {name: _pilot(name, track, replica, (colours or {}).get(name, "#000")) for name, track in tracks.items()}
    used = len(library) + len(_JAVASCRIPT) + len(drawn or "") + len(json.dumps(fixed)) + 10_000
    per_picture = BYTES_PER_ATOM * sum(len(track.frame) for track in tracks.values())
    longest = max(tracks.values(), key=lambda track: len(track.time))
    count = min(MOST_PICTURES, len(longest.time), max(2, (LARGEST_PAGE - used) // per_picture))
    times = [longest.time[k] for k in np.unique(np.linspace(0, len(longest.time) - 1, count).round().astype(int))]
    everything = []
    for name, track in tracks.items():
        frames = np.stack([track.positions[track.at(t)][replica] for t in times]).astype("<f4")
        fixed[name]["frames"] = base64.b64encode(frames.tobytes()).decode()
        everything.append(frames.reshape(-1, 3))
    low, high = np.concatenate(everything).min(0), np.concatenate(everything).max(0)
    reach = 0.55 * float((high - low).max()) + 0.2
    for pilot in fixed.values():
        pilot["sizes"] = [max(3.0, round(220 * radius / reach, 1)) for radius in pilot.pop("radii")]
    flight = json.dumps({
        "times": [ps(t) for t in times], "pilots": list(fixed.values()), "reach": reach,
        "centre": (0.5 * (low + high)).tolist(), "curves": None if drawn is None else json.loads(drawn),
    })  # fmt: skip
    captions = "".join(
        f'<div><div class="caption"><span style="color:{pilot["colour"]}">■</span> <b>{escape(name)}</b> '
        f'<span id="words-{k}"></span></div><div class="molecule" id="molecule-{k}"></div></div>'
        for k, (name, pilot) in enumerate(fixed.items())
    )
    title = f"{', '.join(tracks)}: replica {replica}"
    flight = flight.replace("</", "<\\/")  # a name must not end the script
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}#molecules {{grid-template-columns: repeat({len(tracks)}, minmax(0, 1fr))}}</style>"
        f'</head><body><div id="molecules">{captions}</div><div id="bar"><button id="play">▶ play</button>'
        '<input id="moment" type="range" min="0" value="0" aria-label="time"><span id="time"></span></div>'
        f'<div id="curves"></div><script id="flight" type="application/json">{flight}</script>'
        f"<script>{library}</script><script>{_JAVASCRIPT}</script></body></html>\n"
    )


def _pilot(name: str, track: Track, replica: int, colour: str) -> dict[str, Any]:
    """What the page has to know of a pilot besides its frames."""
    numbers = track.frame.numbers
    ends = (ps(time) for time, alive in zip(track.time, track.alive, strict=True) if not alive[replica])
    return {
        "name": name,
        "colour": colour,
        "colours": [f"rgb({r},{g},{b})" for r, g, b in scene.element_rgb(numbers)],
        "words": [f"{chemical_symbols[z]} {i}" for i, z in enumerate(numbers)],
        "radii": scene.ball_radii(numbers).tolist(),
        "pairs": track.bonds.pairs.tolist(),
        "lost": next(ends, None),
    }
