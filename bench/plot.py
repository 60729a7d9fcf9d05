"""The results as a picture: CPU per query of every server, row by row.

Needs matplotlib, which is the ``bench`` extra.
"""

import importlib
import json
from pathlib import Path
from typing import Any

from bench.report import FLOOR, Cell, machine_line

_INK = {"skydns": "#1f77b4", "skydns-pure": "#9ecae1", FLOOR: "#7f7f7f"}
_OTHERS = "#d9d9d9"
_WORST = 4.0
"""Bars end here, in times the best of their row, so that a slow server does not hide the others."""


def save(path: Path) -> str:
    """Draw the results kept in the JSON file ``path`` beside it, as PNG; returns a line of what was done.

    The function is apart from the measuring, so that a picture can be drawn again from what was kept.
    """
    kept = json.loads(path.read_text())
    cells = [Cell(**cell) for cell in kept["cells"]]
    if not cells:
        return "no plot: there is nothing to draw"
    try:
        importlib.import_module("matplotlib").use("Agg")
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ImportError:
        return "no plot: matplotlib is missing (pip install 'skydns-py[bench]')"
    rows = list(dict.fromkeys(cell.row for cell in cells))
    figure, axes = pyplot.subplots(len(rows), 1, figsize=(8, 1.9 * len(rows) + 0.6), squeeze=False)
    for place, row in zip(axes[:, 0], rows, strict=True):
        _draw(place, row, [cell for cell in cells if cell.row == row])
    figure.suptitle(f"CPU microseconds per query\n{machine_line(kept['machine'])}", fontsize=8)
    figure.tight_layout()
    picture = path.with_suffix(".png")
    figure.savefig(picture, dpi=120)
    pyplot.close(figure)
    return f"plotted as {picture}"


def _draw(place: Any, row: str, cells: list[Cell]) -> None:
    """One row's bars, the cheapest on top, with the spread of the rounds as a line."""
    cells = sorted(cells, key=lambda cell: -cell.cpu_us)
    names = [cell.server for cell in cells]
    costs = [cell.cpu_us for cell in cells]
    below = [cell.cpu_us - cell.least_us for cell in cells]
    above = [cell.most_us - cell.cpu_us for cell in cells]
    ink = [_INK.get(name, _OTHERS) for name in names]
    place.barh(names, costs, xerr=(below, above), color=ink, ecolor="#444444", height=0.7)
    limit = min(max(costs) * 1.15, min(costs) * _WORST)
    place.set_xlim(0, limit)
    for at, cost in enumerate(costs):
        place.text(limit * 0.01, at, f"{cost:.2f}", va="center", fontsize=7)
    place.set_title(row, fontsize=8, loc="left")
    place.tick_params(labelsize=7)
