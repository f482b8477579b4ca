"""Draw docs/detection-*.svg and fill the table of docs/detection.md from a run of `bench_detection.py`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import measure

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "tocsin"
from matplotlib import pyplot as plt  # noqa: E402  the backend is chosen first

PAGE = measure.ROOT / "docs" / "detection.md"
BEGIN, END = "<!-- detection: begin -->", "<!-- detection: end -->"
COLOURS = {"alone": "#8a8a8a", "own": "#c77f2e", "reviewed": "#1f6fb2", "pooled": "#3a8f4d"}
_PLAIN = {"metadata": {"Date": None}}


def write_pages(
    table: Mapping[str, Mapping[str, Sequence[Any]]],
    rivals: Mapping[str, Mapping[str, Sequence[tuple[float, float, int]]]],
    scale: float,
    seeds: int,
) -> None:
    """Write three pictures and the table between its markers."""
    recall_by_day(table)
    precision_by_recall(table, rivals)
    prevented(table)
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{page_table(table, rivals, scale, seeds)}\n{END}{after}", "utf-8")


def recall_by_day(table: Mapping[str, Mapping[str, Sequence[Any]]]) -> None:
    """One small panel for each scenario: recall of each mode over the days."""
    names = list(table)
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4 * columns, 2.6 * rows), sharey=True, squeeze=False)
    for place, panel in enumerate(axes.flat):
        if place >= len(names):
            panel.axis("off")
            continue
        for mode, results in table[names[place]].items():
            days = len(results[0].by_day)
            means = [statistics.fmean(result.by_day[day] for result in results) for day in range(days)]
            panel.plot(range(days), means, label=mode, color=COLOURS[mode])
        panel.set_title(names[place], fontsize=9)
        panel.set_ylim(0, 1)
        panel.set_xlabel("day", fontsize=8)
    axes[0][0].set_ylabel("hostile accounts flagged", fontsize=8)
    axes[0][0].legend(fontsize=8)
    save(figure, "detection-recall.svg")


def precision_by_recall(
    table: Mapping[str, Mapping[str, Sequence[Any]]],
    rivals: Mapping[str, Mapping[str, Sequence[tuple[float, float, int]]]],
) -> None:
    """Each mode of each scenario, and each rival, as a point."""
    figure, panel = plt.subplots(figsize=(6, 4))
    for mode, colour in COLOURS.items():
        found = [results for modes in table.values() for name, results in modes.items() if name == mode]
        points = [
            (
                statistics.fmean(result.recall for result in results),
                statistics.fmean(result.precision for result in results),
            )
            for results in found
        ]
        if points:
            recalls, precisions = zip(*points, strict=True)
            panel.scatter(recalls, precisions, label=mode, color=colour, s=18)
    for rival, results in next(iter(rivals.values()), {}).items():
        recall = statistics.fmean(result[0] for result in results)
        precision = statistics.fmean(result[1] for result in results)
        panel.scatter([recall], [precision], marker="x", color="#b03030", s=30)
        panel.annotate(rival, (recall, precision), fontsize=7, xytext=(4, -8), textcoords="offset points")
    panel.axhline(0.99, color="#cccccc", linewidth=0.8)
    panel.set_xlabel("hostile accounts flagged by day 20")
    panel.set_ylabel("precision")
    panel.legend(fontsize=8)
    save(figure, "detection-precision.svg")


def prevented(table: Mapping[str, Mapping[str, Sequence[Any]]]) -> None:
    """Bars: the share of the hostile exchanges that come after their account's flag."""
    figure, panel = plt.subplots(figsize=(7, 0.5 + 0.55 * len(table)))
    names = list(table)
    modes = [mode for mode in COLOURS if any(mode in found for found in table.values())]
    height = 0.8 / len(modes)
    for place, mode in enumerate(modes):
        values = [
            statistics.fmean(result.prevented for result in table[name][mode]) if mode in table[name] else 0.0
            for name in names
        ]
        panel.barh(
            [at + place * height for at in range(len(names))], values, height, label=mode, color=COLOURS[mode]
        )
    panel.set_yticks([at + 0.4 - height / 2 for at in range(len(names))], names, fontsize=8)
    panel.invert_yaxis()
    panel.set_xlabel("share of hostile exchanges prevented")
    panel.legend(fontsize=8)
    save(figure, "detection-prevented.svg")


def save(figure: Any, name: str) -> None:
    """Write a picture that is the same for the same figures."""
    figure.tight_layout()
    figure.savefig(measure.ROOT / "docs" / name, **_PLAIN)
    plt.close(figure)


def page_table(
    table: Mapping[str, Mapping[str, Sequence[Any]]],
    rivals: Mapping[str, Mapping[str, Sequence[tuple[float, float, int]]]],
    scale: float,
    seeds: int,
) -> str:
    """Return the table of docs/detection.md."""
    from bench_detection import spread

    modes = [mode for mode in COLOURS if any(mode in found for found in table.values())]
    lines = [
        f"{seeds} worlds at {scale:g} of full scale; flagged by day 20, mean (least–most) over the worlds.",
        "",
        f"| scenario | {' | '.join(modes)} | precision, reviewed | exposure, days | false flags | innocents reviewed |",
        "|---" * (len(modes) + 5) + "|",
    ]
    for name, found in table.items():
        shared = found.get("reviewed") or next(iter(found.values()))
        recalls = " | ".join(
            spread([result.recall for result in found[mode]]) if mode in found else "–" for mode in modes
        )
        lines.append(
            f"| {name} | {recalls} | {spread([result.precision for result in shared], 3)} "
            f"| {spread([result.exposure for result in shared], 1)} "
            f"| {spread([float(result.false_flags) for result in shared], 1)} "
            f"| {spread([float(result.reviews_wasted) for result in shared], 1)} |"
        )
    for name, of_name in rivals.items():
        lines += ["", f"| rival: {name} | flagged by day 20 | precision | false flags |", "|---|---|---|---|"]
        lines += [
            f"| {rival} | {spread([one[0] for one in results])} | {spread([one[1] for one in results], 3)} "
            f"| {spread([float(one[2]) for one in results], 0)} |"
            for rival, results in of_name.items()
        ]
    return "\n".join(lines)
