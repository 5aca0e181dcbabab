"""`LivePlot`: a plotly figure on the screen whose data are state of its model, so that no view of it can be blank.

The figure is a plain `go.Figure`. `push` writes all of it into the traits of a model in one message: numbers as bytes,
the rest as JSON. ``live.js`` beside this file draws from these traits whenever a view appears. plotly.js itself is the
state of one more model, which all plots of a kernel share.

Both are plain Jupyter models and no anywidgets. An anywidget drops all its messages, for ever, if
its script was not imported within two seconds. A busy machine does not promise that.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as W
import numpy as np
import plotly
import plotly.graph_objects as go
import traitlets
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from piwsl_lab.lab.parts.colours import ON_DARK
from piwsl_lab.lab.quirks import DRAW_AGAIN, live_widgets_work, mend_kernel

mend_kernel()

HEIGHT = 380  # px
_JAVASCRIPT = Path(__file__).with_name("live.js").read_text(encoding="utf-8")
_CSS = """
.piwsl-plot {position: relative; overflow: hidden; width: 100%; min-height: 120px;}
.piwsl-plot-words {position: absolute; inset: 0 0 auto 0; padding: 6px 10px; font-size: 13px; z-index: 3;
  background: #ffe9b0; color: #3a2a00;}
/* The tool bar stands below the axes, where no legend and no title can be. */
.piwsl-plot .modebar-container {top: auto !important; bottom: 0 !important; height: 22px !important;}
"""
# What a reader of curves needs: a picture, zoom, pan and the way back.
CONFIG = {
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "resetScale2d", "toggleSpikelines"],
    "doubleClick": "autosize",
}


class _Library(W.Widget):
    """plotly.js as it lies in the installed plotly, compressed: sent once, however many plots there are.

    It is state until a page has it, so that the first plots need no answer of the kernel. From then on a page that
    comes asks for it: after F5 JupyterLab waits four seconds for all states, and this would be most of them.
    """

    code = traitlets.Bytes().tag(sync=True)
    kept: bytes = b""
    _shared: _Library | None = None
    _guard = threading.Lock()

    @classmethod
    def shared(cls) -> _Library:
        """The library of this kernel; made anew where somebody has closed all widgets."""
        with cls._guard:
            if cls._shared is None or cls._shared.comm is None:
                cls._shared = cls(code=gzip.compress(get_plotlyjs().encode(), 6, mtime=0))
                cls._shared.kept = cls._shared.code
                cls._shared.on_msg(cls._shared._on_message)
            return cls._shared

    def _on_message(self, _widget: W.Widget, content: dict[str, Any], _buffers: Any) -> None:
        if content.get("type") == "loaded":
            self.code = b""
        elif content.get("type") == "wanted":
            self.send({"type": "code"}, [self.kept])


class _PlotState(W.Widget):
    """The state of one plot; ``live.js`` says what each trait is."""

    figure = traitlets.Unicode('{"data": [], "layout": {}, "config": {}}').tag(sync=True)
    numbers = traitlets.Bytes().tag(sync=True)
    columns: traitlets.List[Any] = traitlets.List().tag(sync=True)
    revision = traitlets.Int(0).tag(sync=True)
    library = traitlets.Unicode().tag(sync=True)
    version = traitlets.Unicode().tag(sync=True)
    on_dark = traitlets.Dict().tag(sync=True)

    def __init__(self) -> None:
        super().__init__(library=_Library.shared().model_id, version=plotly.__version__, on_dark=ON_DARK)
        self.heard: dict[str, list[Callable[[dict[str, Any]], object]]] = {"pick": [], "drag": []}
        self.on_msg(self._on_message)

    def _on_message(self, _widget: W.Widget, content: dict[str, Any], _buffers: Any) -> None:
        kind = content.get("type")
        if kind == "have":
            if content.get("revision") != self.revision:
                self.send_state()
            self.send({"type": "current"})
        elif kind == "no library":
            self.library = _Library.shared().model_id
            _Library.shared().send_state()
        else:
            for callback in self.heard.get(kind or "", ()):
                callback(content)


class _PlotWidget(anywidget.AnyWidget):
    """What stands in the page. It holds only the id of its state: no message that is lost can leave it blank."""

    _esm = DRAW_AGAIN + _JAVASCRIPT
    _css = _CSS
    state = traitlets.Unicode().tag(sync=True)

    def __init__(self, state: _PlotState) -> None:
        super().__init__(state=state.model_id)
        self.layout.width, self.layout.height = "100%", f"{HEIGHT}px"

    def __repr__(self) -> str:
        """The same from run to run, so that stored notebooks can be compared."""
        return "LivePlot()"


class LivePlot:
    """A plotly figure that can be updated while it is on the screen.

    Parameters
    ----------
    figure : go.Figure
    live : bool, optional
        Whether the page takes widgets of this kind; on Colab the figure is drawn anew into an Output widget instead.

    Attributes
    ----------
    figure : go.Figure
        What is to be seen; change it inside `_batch`.
    widget : ipywidgets.DOMWidget
        What to put into a layout; it is as high as `widget.layout.height`.
    config : dict
        Of plotly.js.
    """

    def __init__(self, figure: go.Figure, live: bool | None = None) -> None:
        self._live = live_widgets_work() if live is None else live
        self._guard = threading.RLock()
        self.figure = figure
        self.config: dict[str, Any] = dict(CONFIG)
        if self._live:
            self.state = _PlotState()
            self.widget: W.DOMWidget = _PlotWidget(self.state)
            self.push()
        else:
            self.widget = W.Output()

    def draw(self, what: Any) -> None:
        """Show the present state of a session, or of whatever this plot draws."""
        with self._batch():
            self._update(what)

    def _update(self, what: Any) -> None:
        raise NotImplementedError

    @contextmanager
    def _batch(self) -> Iterator[None]:
        """Everything assigned inside reaches the browser as one message."""
        with self._guard:
            yield
            self.push()

    def push(self) -> None:
        """Make the present figure the state of the widget."""
        if not self._live:
            html = self.figure.to_html(include_plotlyjs="cdn", full_html=False, default_height=f"{HEIGHT}px")
            data = {"text/html": html, "text/plain": "LivePlot()"}
            self.widget.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)
            return
        traces: list[dict[str, Any]] = []
        columns: list[list[Any]] = []
        arrays: list[np.ndarray] = []
        first = 0
        for k, trace in enumerate(self.figure.data):
            parts = trace.to_plotly_json()
            for key in ("x", "y"):
                values = parts.get(key)
                if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "fiu":
                    del parts[key]
                    arrays.append(values.astype("<f4"))
                    columns.append([k, key, first, len(values)])
                    first += len(values)
            traces.append(parts)
        layout = self.figure.layout.to_plotly_json()
        layout.pop("template", None)  # the page has one for each of its themes
        layout.pop("height", None)
        text = to_json_plotly({"data": traces, "layout": layout, "config": self.config})
        numbers = b"".join(array.tobytes() for array in arrays)
        state = self.state
        if (text, numbers, columns) == (state.figure, state.numbers, state.columns):
            return
        with state.hold_sync():
            state.figure, state.numbers, state.columns = text, numbers, columns
            state.revision += 1

    def on_pick(self, callback: Callable[[float], object]) -> None:
        """Call back with the horizontal position of a point that was clicked."""
        if self._live:
            self.state.heard["pick"].append(lambda content: callback(float(content["x"])))

    def on_drag(self, callback: Callable[[str, float], object]) -> None:
        """Call back with the name of a shape that was dragged, and its new left end."""
        if self._live:
            self.state.heard["drag"].append(lambda content: callback(str(content["name"]), float(content["x"])))

    def close(self) -> None:
        """Take the plot from the screen and its state from the kernel."""
        if self._live:
            self.state.heard = {"pick": [], "drag": []}
            self.state.close()
        self.widget.layout.close()
        self.widget.close()
