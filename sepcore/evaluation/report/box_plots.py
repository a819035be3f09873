"""The box plots of an evaluation, a panel per stem, in the style of SiSEC: this model, baselines, published models."""

import io
import math
import re
import textwrap
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sepcore.evaluation.report.evaluation_report import NOT_COMPARABLE, PUBLISHED, EvaluationReport
from sepcore.evaluation.report.score_tables import decibels, stem_scores
from sepcore.signal.spectrogram_picture import save_figure
from sepcore.system.atomic import write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH_IN, _ROW_IN, _PANEL_IN, _FRAME_IN = 10.0, 0.27, 0.75, 1.1
_LABEL_LENGTH, _CAPTION_LENGTH = 30, 120
# In a page they become the page's own colors, for light and dark; see `_for_page`.
_INK, _ACCENT, _PAPER = "#23211f", "#b3431f", "#ffffff"
_BASELINE = "#8d857b"
_FOR_PAGE = {_INK: "currentColor", _ACCENT: "var(--accent)", _PAPER: "none"}
_CAPTION = (
    "Boxes: quartiles of the tracks' median SDR; line: median over the tracks; whiskers: the furthest track within 1.5 "
    "interquartile ranges; dots: tracks beyond. Diamonds: published medians on MUSDB18's test set."
)


@dataclass(frozen=True)
class _Row:
    """One model in one panel: the scores of its tracks, or only the median of a published one."""

    label: str
    color: str
    scores: NDArray[np.float64]
    is_published: bool = False

    @property
    def median(self) -> float:
        return float(np.median(self.scores)) if len(self.scores) else math.nan


def save_box_plots(folder: Path, evaluation: EvaluationReport) -> str:
    """Write ``boxplot.png`` and ``boxplot.svg``; the same evaluation gives the same bytes.

    Each panel is sorted by median, the best on top. Tracks without a score are left out; a model without any scored
    track of a stem is named without a box.

    Returns:
        The SVG to embed in a page, in the colors of the page.
    """
    figure = _build_figure(evaluation)
    save_figure(folder / "boxplot.png", figure)
    figure.set_layout_engine("none")  # the layout is done
    svg = _svg(figure)
    write_text(folder / "boxplot.svg", svg)
    return _for_page(svg)


def _build_figure(evaluation: EvaluationReport) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    panels = {stem: _rows(evaluation, stem) for stem in evaluation.instruments}
    num_columns = min(2, len(panels))
    num_rows = math.ceil(len(panels) / num_columns)
    height_in = _FRAME_IN + num_rows * (_PANEL_IN + _ROW_IN * max(map(len, panels.values())))
    layout = ConstrainedLayoutEngine(hspace=0.06, wspace=0.04)
    figure = Figure(figsize=(_WIDTH_IN, height_in), dpi=120, layout=layout, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    axes = figure.subplots(num_rows, num_columns, sharex=True, squeeze=False).ravel()
    for panel, (stem, rows) in zip(axes, panels.items(), strict=False):
        _draw(panel, stem, rows)
    for empty in axes[len(panels) :]:
        empty.remove()
    # The last row may be shorter: then panels above it are the lowest of their columns.
    for panel in axes[max(len(panels) - num_columns, 0) : len(panels)]:
        panel.tick_params(labelbottom=True)
        panel.set_xlabel("SDR (dB)", color=_INK)
    title = _shortened(f"{evaluation.model} on {evaluation.dataset}", 90)
    if not evaluation.is_musdb18_test:
        title += f"\n{NOT_COMPARABLE}"  # pictures are shared without their page
    figure.suptitle(title, color=_INK, fontsize="large", fontweight="bold", parse_math=False)
    figure.supxlabel(textwrap.fill(_CAPTION, _CAPTION_LENGTH), color=_INK, fontsize="small", linespacing=1.4)
    return figure


def _rows(evaluation: EvaluationReport, stem: str) -> list[_Row]:
    """The best first, without a score last."""
    rows = [
        _Row(evaluation.model, _ACCENT, stem_scores(evaluation.tracks, stem)),
        *(_Row(name, _BASELINE, stem_scores(table, stem)) for name, table in evaluation.comparable_baselines.items()),
        *(
            _Row(model.name, _INK, np.array([model.sdr[stem]]), is_published=True)
            for model in PUBLISHED
            if stem in model.sdr
        ),
    ]
    return sorted(rows, key=lambda row: -math.inf if math.isnan(row.median) else row.median, reverse=True)


def _draw(panel: "Axes", stem: str, rows: list[_Row]) -> None:
    panel.set_title(stem, color=_INK, fontweight="bold", loc="left", parse_math=False)
    panel.set_axisbelow(True)
    panel.grid(axis="x", color=_INK, alpha=0.15)
    for side in panel.spines:
        panel.spines[side].set(visible=side == "bottom", color=_INK)
    places = np.arange(len(rows))[::-1]
    for place, row in zip(places, rows, strict=True):
        _draw_row(panel, float(place), row)
    names = [_shortened(row.label, _LABEL_LENGTH) for row in rows]
    panel.set_yticks(places, names, parse_math=False)
    for tick, row in zip(panel.get_yticklabels(), rows, strict=True):
        is_evaluated = row.color == _ACCENT
        tick.set(color=_ACCENT if is_evaluated else _INK, fontweight="bold" if is_evaluated else "normal")
    panel.set_ylim(-0.6, len(rows) - 0.4)
    panel.tick_params(axis="y", length=0)
    panel.tick_params(axis="x", colors=_INK)


def _draw_row(panel: "Axes", place: float, row: _Row) -> None:
    at_edge: dict[str, Any] = {
        "transform": panel.get_yaxis_transform(),
        "va": "center",
        "fontsize": "small",
        "color": _INK,
    }
    if math.isnan(row.median):
        panel.text(0.5, place, "no track with a score", ha="center", **at_edge)
        return
    panel.text(1.01, place, decibels(row.median), **at_edge)
    if row.is_published:
        panel.plot([row.median], [place], marker="D", markersize=6, color=row.color, linestyle="none", fillstyle="none")
        return
    line: dict[str, Any] = {"color": row.color, "linewidth": 1.2}
    panel.boxplot(
        [row.scores],
        positions=[place],
        orientation="horizontal",
        widths=0.6,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": (row.color, 0.25), "edgecolor": row.color, "linewidth": 1.2},
        medianprops={"color": row.color, "linewidth": 2.5},
        whiskerprops=line,
        capprops=line,
        flierprops={"marker": "o", "markersize": 3, "markerfacecolor": row.color, "markeredgecolor": "none"},
    )


def _shortened(text: str, length: int) -> str:
    """The start of a label, even in the middle of a word: the layout would leave out all of a long one."""
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 2].rstrip()} …"


def _svg(figure: "Figure") -> str:
    from matplotlib import rc_context

    # Text as text, for screen readers, search and any alphabet. A fixed salt, or the names would be random.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "stemworks"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return written.getvalue()


def _for_page(svg: str) -> str:
    """Only the SVG element, without names of formats (which look like links), in the colors of the page."""
    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r' xmlns(:\w+)?="[^"]*"', "", element).replace("xlink:href", "href")
    for color, of_page in _FOR_PAGE.items():
        element = element.replace(color, of_page)
    return element.rstrip()
