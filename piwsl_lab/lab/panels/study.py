"""`StudyFilter` shows the methods of a study for one data set and one number of labels, chosen with dropdowns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import ipywidgets as W

from piwsl_lab.lab.figures.side_by_side import SideBySide, methods_table
from piwsl_lab.lab.figures.study import TITLES, axes_of
from piwsl_lab.study.tables import Row, label_text, own_test


class StudyFilter(W.VBox):
    """Choose a study, data, labels and a quantity: a figure and a table of all methods there follow.

    Parameters
    ----------
    studies : mapping
        Rows of `read_summary` by the name of the study; one with axes beyond data and labels is left out.
    """

    CHOICES = ("study", "trained → tested on", "labels", "quantity")

    def __init__(self, studies: Mapping[str, Sequence[Row]], live: bool | None = None) -> None:
        self._studies = {name: list(rows) for name, rows in studies.items() if rows and not axes_of(rows)}
        style, layout = {"description_width": "130px"}, W.Layout(width="400px")
        self.choices = [W.Dropdown(description=words, style=style, layout=layout) for words in self.CHOICES]
        self.plot, self.table, self._filling = SideBySide(live), W.HTML(), False
        rows = [W.HBox(self.choices[:2], layout=W.Layout(flex_flow="row wrap"))]
        rows += [W.HBox(self.choices[2:], layout=W.Layout(flex_flow="row wrap")), self.plot.widget, self.table]
        super().__init__(rows, layout=W.Layout(width="100%"))
        for k, choice in enumerate(self.choices):
            choice.observe(partial(self._chosen, k), "value")
        if self._studies:
            self._fill(0)
        else:
            self.children = [W.HTML("No study has results here yet.")]

    def __repr__(self) -> str:
        return f"StudyFilter({', '.join(self._studies)})"

    def rows(self, depth: int = 4) -> list[Row]:
        """Rows that the first `depth` choices leave."""
        study, *others = [choice.value for choice in self.choices]
        chosen = self._studies[study] if depth else []
        for key, value in zip((_where, label_text, _what), others[: max(depth - 1, 0)], strict=False):
            chosen = [row for row in chosen if key(row) == value]
        return chosen

    def _chosen(self, k: int, _change: dict[str, Any]) -> None:
        if not self._filling:
            self._fill(k + 1)

    def _fill(self, first: int) -> None:
        """Offer what there is from a choice on, keep what was chosen where it is still there, and draw."""
        self._filling = True
        for k, key in list(enumerate((None, _where, label_text, _what)))[first:]:
            rows = self.rows(k)
            offered = list(self._studies) if key is None else list(dict.fromkeys(map(key, [*own_test(rows), *rows])))
            kept = self.choices[k].value
            self.choices[k].options = offered
            self.choices[k].value = kept if kept in offered else offered[0]
        self._filling = False
        rows = self.rows()
        self.plot.draw(rows)
        self.table.value = methods_table(rows)


def _where(row: Row) -> str:
    return f"{row['data']} → {row['part']}"


def _what(row: Row) -> str:
    quantity: str = row["quantity"]
    return TITLES.get(quantity, quantity)
