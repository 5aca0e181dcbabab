"""A flight as files: frames for other programs, curves and a movie for a browser that has no Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from ase import Atoms
from ase.data import chemical_symbols
from ase.data.colors import jmol_colors
from ase.io import write

from piwsl_lab.lab import scene
from piwsl_lab.lab.flying import FlightSession, Track

MOST_PICTURES = 200  # of a movie


def save_flight(
    session: FlightSession, folder: str | Path, replica: int = 0, curves: go.Figure | None = None
) -> list[Path]:
    """Write one replica of every twin.

    Parameters
    ----------
    session : FlightSession
    folder : path
        Is made; one that holds anything already is an error.
    replica : int
    curves : go.Figure, optional
        Written as a page as well.

    Returns
    -------
    list of Path
        `<twin>.extxyz` with positions (Å), time (fs), temperature (K) and the change of the conserved energy (eV),
        `<twin>.html`, a movie that needs no network, and `curves.html`.

    Raises
    ------
    ValueError
        The folder is not empty, or there is no such replica.
    """
    folder, paths = Path(folder), []
    if not 0 <= replica < session.settings["replicas"]:
        raise ValueError(f"replica={replica}: this flight has the replicas 0 to {session.settings['replicas'] - 1}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and is not an empty folder: choose another name")
    folder.mkdir(parents=True, exist_ok=True)
    for name, track in session.tracks.items():
        stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
        paths += [folder / f"{stem}.extxyz", folder / f"{stem}.html"]
        write(paths[-2], _images(track, replica), format="extxyz")
        movie(track, replica, name).write_html(paths[-1], include_plotlyjs=True, auto_play=False)
    if curves is not None:
        paths.append(folder / "curves.html")
        go.Figure(curves).write_html(paths[-1], include_plotlyjs=True)
    return paths


def _alive(track: Track, replica: int) -> list[int]:
    """States of a replica before its loss, and the first."""
    return [k for k in range(len(track.time)) if k == 0 or track.alive[k][replica]]


def _images(track: Track, replica: int) -> list[Atoms]:
    images = []
    for k in _alive(track, replica):
        image = Atoms(
            track.frame.numbers, track.positions[k][replica].astype(float), cell=track.frame.cell, pbc=track.frame.pbc
        )
        image.info |= {
            "time_fs": track.time[k],
            "temperature_k": float(track.temperature[k][replica]),
            "energy_change_ev": float(track.change[k][replica]),
        }
        image.arrays["predicted_forces"] = track.forces[k][replica].astype(float)
        images.append(image)
    return images


def movie(track: Track, replica: int, title: str) -> go.Figure:
    """Atoms and bonds in 3D with a slider for the time: `write_html(…, include_plotlyjs=True)` needs no network."""
    alive = _alive(track, replica)
    chosen = [
        alive[k] for k in np.unique(np.linspace(0, len(alive) - 1, min(len(alive), MOST_PICTURES)).round().astype(int))
    ]
    numbers, pairs = track.frame.numbers, track.bonds.pairs
    rgb = np.where(numbers[:, None] == 1, 0.86, jmol_colors[numbers])
    colours = [f"rgb({r:.0f},{g:.0f},{b:.0f})" for r, g, b in 255 * rgb]
    words = [f"{chemical_symbols[z]} {i}" for i, z in enumerate(numbers)]

    def traces(k: int) -> list[go.Scatter3d]:
        places = track.positions[k][replica].astype(float)
        rods = np.full((len(pairs), 3, 3), np.nan)  # start, end, gap
        rods[:, 0], rods[:, 1] = places[pairs[:, 0]], places[pairs[:, 1]]
        x, y, z = rods.reshape(-1, 3).T.round(3)
        bonds = go.Scatter3d(x=x, y=y, z=z, mode="lines", line={"color": "#888", "width": 8}, hoverinfo="skip")
        x, y, z = places.T.round(3)
        balls = {
            "size": 90 * scene.ball_radii(numbers),
            "color": colours,
            "line": {"color": "#444", "width": 1},
            "opacity": 1,
        }
        return [bonds, go.Scatter3d(x=x, y=y, z=z, mode="markers", marker=balls, text=words, hoverinfo="text")]

    times = [f"{track.time[k] / 1000.0:.3f}" for k in chosen]
    frames = [go.Frame(data=traces(k), name=time) for k, time in zip(chosen, times, strict=True)]
    at_once = {"frame": {"duration": 0, "redraw": True}, "mode": "immediate", "transition": {"duration": 0}}
    steps = [{"args": [[time], at_once], "label": time, "method": "animate"} for time in times]
    everything = np.concatenate([track.positions[k][replica] for k in chosen])
    middle, reach = 0.5 * (everything.max(0) + everything.min(0)), 0.55 * float(np.ptp(everything, axis=0).max())
    axes = {
        axis: {"visible": False, "range": [middle[i] - reach, middle[i] + reach]}
        for i, axis in enumerate(("xaxis", "yaxis", "zaxis"))
    }
    eye = {"aspectmode": "cube", "camera": {"eye": {"x": 0.9, "y": 0.9, "z": 0.5}}}
    play = {"args": [None, at_once | {"frame": {"duration": 40, "redraw": True}, "fromcurrent": True}], "label": "play"}
    pause = {"args": [[None], at_once], "label": "pause"}
    return go.Figure(
        traces(chosen[0]),
        go.Layout(
            title=f"{title}, replica {replica}", showlegend=False, scene=axes | eye,
            sliders=[{"steps": steps, "currentvalue": {"prefix": "time, ps: "}}],
            updatemenus=[{
                "type": "buttons", "showactive": False, "direction": "left", "x": 0, "y": 1.08, "xanchor": "left",
                "buttons": [button | {"method": "animate"} for button in (play, pause)],
            }],
        ),
        frames,
    )  # fmt: skip
