"""What a flight deck says and reads in words: the state of a flight, what waits for *Start anew*, atoms to measure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from piwsl_lab.lab.figures.md import KINDS
from piwsl_lab.lab.sessions.md import FlightSession

MOST_ATOMS = max(KINDS)


def flight_state(session: FlightSession) -> str:
    """Whether it flies, and what to press next."""
    if session.running:
        return "Flying."
    if all(simulation.finished for simulation in session.simulations.values()):
        return "All replicas are lost. Press Start anew."
    if session.finished:
        return "The longest flight has been made. Press Start anew."
    return "Paused." if session.time > 0 else "Ready: press Fly."


def held_atoms(session: FlightSession) -> str:
    """Which atoms are held in place, as a sentence; "" where none is."""
    return f"{session.held[0].upper()}{session.held[1:]}." if session.held else ""


def saved_files(paths: Sequence[Path]) -> str:
    """Where the files of a flight are; the last one is the page."""
    size = sum(path.stat().st_size for path in paths) / 1e6
    return f"Saved {len(paths)} files ({size:.1f} MB) in {paths[0].parent}; open {paths[-1].name} in a browser."


def numbers_in(text: str) -> list[str]:
    """The numbers of atoms in a text such as "0 1", "0, 1" or "0-1", still as text."""
    return text.replace(",", " ").replace("-", " ").split()


def atoms_in(text: str, count: int) -> list[int]:
    """The atoms that a text names.

    Raises
    ------
    ValueError
        They are more than four, or no different atoms of a molecule of `count`.
    """
    words = numbers_in(text)
    known = all(word.isascii() and word.isdigit() and int(word) < count for word in words)
    if not known or len({int(word) for word in words}) < len(words) or len(words) > MOST_ATOMS:
        raise ValueError(f"“{text}”: type two to four different atoms, numbers from 0 to {count - 1}, such as 0 1.")
    return [int(word) for word in words]


def with_atom(text: str, atom: int) -> str:
    """The text after an atom was clicked: it joins those that are measured or leaves them; a fifth begins anew."""
    words, word = numbers_in(text), str(atom)
    if word in words:
        words = [other for other in words if other != word]
    else:
        words = [*words, word] if len(words) < MOST_ATOMS else [word]
    return " ".join(words)
