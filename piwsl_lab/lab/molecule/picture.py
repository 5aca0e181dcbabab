"""`Picture`: a molecule on the screen, all of which is state of one widget.

nglview's extension brings NGL, which draws with WebGL. ``viewer.js`` beside this file draws all of the state in every
view, whenever that view appears; no answer of the kernel is needed for that.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from piwsl_lab.lab import quirks
from piwsl_lab.lab.molecule import scene

SECONDS_BETWEEN_DRAWS = 0.05
_JAVASCRIPT = Path(__file__).with_name("viewer.js").read_text(encoding="utf-8")
_CSS = """
.piwsl-molecule {width: 100%; overflow: hidden;}
.piwsl-molecule-frame {position: relative; width: 100%; overflow: hidden;}
.piwsl-molecule-box {width: 100%; height: 100%;}
.piwsl-molecule-words {position: absolute; inset: 0 0 auto 0; padding: 6px 10px; font-size: 13px;
  background: var(--jp-warn-color3, #fff3cd); color: var(--jp-content-font-color1, #222);}
.piwsl-molecule-hover {position: absolute; left: 6px; top: 2px; font-size: 12px; pointer-events: none;
  color: var(--jp-content-font-color1, inherit);}
.piwsl-on-dark, [data-jp-theme-light="false"] .piwsl-on-light {display: none;}
[data-jp-theme-light="false"] .piwsl-on-dark {display: inline;}
"""


class Picture(anywidget.AnyWidget):
    """The state of one picture; ``viewer.js`` says what each trait is.

    Parameters
    ----------
    state : function
        Returns what moves, as `scene.packed` takes it; called while `guard` is held.
    guard : threading.RLock
        Held while the state changes: pushes may come from any thread.
    height : CSS height.
    """

    _esm = quirks.KEEP_LISTENING + quirks.DRAW_AGAIN + _JAVASCRIPT
    _css = _CSS
    molecule = traitlets.Dict().tag(sync=True)
    live = traitlets.Dict().tag(sync=True)
    values = traitlets.Bytes().tag(sync=True)
    movie = traitlets.Bytes().tag(sync=True)
    movie_id = traitlets.Int(0).tag(sync=True)
    frame = traitlets.Int(0).tag(sync=True)
    height = traitlets.Unicode().tag(sync=True)
    own = traitlets.Unicode().tag(sync=True)

    def __init__(self, state: Callable[[], dict[str, Any]], guard: threading.RLock, height: str) -> None:
        self._make, self._guard = state, guard
        self._timer: threading.Timer | None = None
        self._written_at = -np.inf
        self._closed = False
        self._revision = 0
        own = uuid.uuid4().hex  # chosen here, so that the page knows it from the first moment
        super().__init__(height=height, own=own, model_id=own)
        self.layout.width = "100%"
        self.on_msg(self._on_message)

    def __repr__(self) -> str:
        return "Picture()"

    def push(self) -> None:
        """Write the state now, or a moment later if that was just done: the last state always arrives."""
        with self._guard:
            if self._closed or self._timer is not None:
                return
            wait = self._written_at + SECONDS_BETWEEN_DRAWS - time.monotonic()
            if wait <= 0:
                self.write()
                return
            self._timer = threading.Timer(wait, self.write)
            self._timer.daemon = True
            self._timer.start()

    def write(self, **traits: Any) -> None:
        """Make what moves, and other traits, the state of this widget in one message."""
        with self._guard:
            self._stop_waiting()
            if self._closed:
                return
            self._written_at = time.monotonic()
            self._revision += 1
            with self.hold_sync():
                for name, value in traits.items():
                    setattr(self, name, value)
                live, self.values = scene.packed(self._make())
                self.live = live | {"revision": self._revision}

    def close(self) -> None:
        """End the waiting thread and the widget; a second call does nothing, and neither does a later `push`."""
        with self._guard:
            self._closed = True
            self._stop_waiting()
        super().close()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_message(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        """A page tells which state it has: a message that was lost on the way is mended."""
        if content.get("type") == "have":
            with self._guard:
                ours = {"revision": self._revision, "molecule": self.molecule.get("id"), "movie": self.movie_id}
                if any(content.get(name) != value for name, value in ours.items()):
                    self.send_state()
                self.send({"type": "current"})
