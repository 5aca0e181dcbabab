"""What all plots share: style, round numbers on axes, and fewer points than a screen has pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

MOST_POINTS = 1000  # per curve: more costs the browser time and shows nothing new


def apply_style(figure: go.Figure) -> None:
    """Give a figure the common style; the page sets the colours of background and text, light or dark."""
    figure.update_layout(
        template="plotly_white", autosize=True, hovermode="x unified",
        margin={"l": 56, "r": 24, "t": 26, "b": 44}, font={"size": 13}, uirevision="keep the reader's zoom",
        legend={"orientation": "h", "x": 1, "y": 1.0, "xanchor": "right", "yanchor": "bottom"},
    )  # fmt: skip
    axis = {"showline": True, "linecolor": "#888", "ticks": "outside", "title": {"standoff": 4, "font": {"size": 13}}}
    figure.update_xaxes(axis)
    figure.update_yaxes(axis)


def panel_title(text: str, top: float, left: float = 0.0, shift: int = 0) -> dict[str, Any]:
    """The title of a panel, above its left end, where it takes no width from the curves.

    Parameters
    ----------
    text : str
    top, left : float
        Upper end and left end of the panel, as shares of the figure.
    shift : int
        Pixels to the right.
    """
    return {
        "name": "title", "text": text, "xref": "paper", "yref": "paper", "x": left, "y": top, "xanchor": "left",
        "yanchor": "bottom", "showarrow": False, "font": {"size": 13}, "xshift": shift, "align": "left",
    }  # fmt: skip


def log_ticks(values: np.ndarray, most: int = 7) -> tuple[list[float], list[str]]:
    """Round numbers for a logarithmic axis, no more than can be told apart, and how they are written."""
    values = values[np.isfinite(values) & (values > 0)]
    if len(values) == 0:
        return [], []
    # plotly shows a decade to each side of a single value.
    margin = 1.0 if values.max() < 1.01 * values.min() else 0.1
    low, high = np.log10(values.min()) - margin, np.log10(values.max()) + margin
    for leading, step in (
        ((1, 1.5, 2, 3, 4, 5, 6, 8), 1),
        ((1, 2, 5), 1),
        ((1, 3), 1),
        ((1,), 1),
        ((1,), 2),
        ((1,), 3),
    ):
        decades = range(-12, 13, step)
        ticks = [m * 10.0**k for k in decades for m in leading if low <= np.log10(m) + k <= high]
        if len(ticks) <= most:
            break
    if margin < 1.0 and sum(values.min() <= tick <= values.max() for tick in ticks) < 2:
        ticks = even_ticks(values.min(), values.max())  # so narrow a range that it looks linear
    return ticks, [f"{t:g}" for t in ticks]


def even_ticks(low: float, high: float) -> list[float]:
    """Two to six round numbers at even distances between two different ones."""
    least = (high - low) / 5
    decade = 10.0 ** np.floor(np.log10(least))
    step = next(m * decade for m in (1, 2, 5, 10) if m * decade >= least)
    return [float(k * step) for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def smooth(x: np.ndarray, y: np.ndarray, limit: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Means over blocks of equal length, at most `limit` of them: batches are noisy, and the trend is wanted."""
    block = -(-len(x) // limit) if len(x) else 1
    starts = np.arange(0, len(x), block)
    if block == 1:
        return x, y
    counts = np.diff(np.append(starts, len(x)))
    return np.add.reduceat(x, starts) / counts, np.add.reduceat(y, starts) / counts


def thin(points: Sequence, limit: int = MOST_POINTS) -> list:
    """At most `limit` of the points at even distances, the last one always among them."""
    stride = -(-len(points) // limit) or 1
    return list(points)[::-1][::stride][::-1]


def step_end(step: int, steps: int) -> float:
    """Right end of a step axis: a half, a quarter, an eighth … of the run, so that it seldom moves."""
    end = float(max(steps, 1))
    while end / 2 >= max(step, 10):
        end /= 2
    return end
