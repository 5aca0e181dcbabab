"""`StoredRun`: what a dashboard plays before its session has begun."""

from __future__ import annotations

import time

from piwsl_lab.lab.sessions.replay import Replay
from piwsl_lab.lab.sessions.training import Session

LATE = 4.0  # s: a page that comes later sees the stored run from its beginning


class StoredRun:
    """The stored run with the settings of a session that has not begun, played at the speed of a clock.

    Attributes
    ----------
    replay : Replay or None
        None where there is no such run, and once it was ended.
    """

    def __init__(self, session: Session) -> None:
        self.replay = _stored_run(session)
        self._began, self._seen = time.monotonic(), False

    def advance(self) -> None:
        """Put the replay at the present time; nothing happens without one."""
        if self.replay is not None:
            self.replay.advance(time.monotonic() - self._began)

    def seen(self) -> bool:
        """A page shows it. Returns whether it begins anew: for the first page, where that comes late."""
        first, self._seen = not self._seen, True
        if not first or self.replay is None or time.monotonic() - self._began <= LATE:
            return False
        self._began = time.monotonic()
        self.replay.advance(0.0)
        return True

    def end(self) -> None:
        """The session has begun."""
        self.replay = None


def _stored_run(session: Session) -> Replay | None:
    if session.step or session.busy:
        return None
    objectives = {twin.name: twin.objective for twin in session.twins}
    replay = Replay.of(session.setup, objectives, {twin.name: twin.setup.head for twin in session.twins})
    if replay is not None:
        replay.task = session.task  # the same frames, prepared already
        replay.advance(0.0)
    return replay
