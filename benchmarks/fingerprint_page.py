"""Fill the table of docs/fingerprint.md and draw its picture, from a run of `bench_fingerprint_quality.py`."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import measure

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "tocsin"
from matplotlib import pyplot as plt  # noqa: E402  the backend is chosen first

PAGE = measure.ROOT / "docs" / "fingerprint.md"
PICTURE = measure.ROOT / "docs" / "fingerprint-common-text.svg"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
RIVALS = ("MinHash-LSH over prompts", "embedding")
_COMMON = re.compile(r"other templates, (\d+) % of their words in common")
_COLOURS = {"ptf2": "#1f6fb2", RIVALS[0]: "#c77f2e", RIVALS[1]: "#8a8a8a"}


def write(figures: Sequence[measure.Figure], about: Mapping[str, object]) -> None:
    """Write the table between its markers, and the picture."""
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(figures, about)}\n{END}{after}", "utf-8")
    common_text(figures)


def table(figures: Sequence[measure.Figure], about: Mapping[str, object]) -> str:
    """Return one row for each figure: what `ptf2` and both rivals make of it."""
    now = datetime.datetime.fromtimestamp(_now(), datetime.UTC)
    threshold = about["embedding_threshold"]
    embedded = f"embedding at a cosine of {threshold}" if threshold else "embedding not run"
    lines = [
        f"Seed {about['seed']}; {about['templates']} templates, {about['eligible']} of them eligible; {embedded}; "
        f"{now:%Y-%m-%d}.",
        "",
        "| case | `ptf2` | by exact tokens alone | aim | MinHash-LSH over prompts | embedding | pairs |",
        "|---|---|---|---|---|---|---|",
    ]
    for figure in figures:
        if "records opened" in figure.what:
            continue
        aim = (
            "–" if figure.target == "none stated" else figure.target + ("" if figure.met else ", **missed**")
        )
        columns = [_number(figure.product, figure.unit), _more(figure, "by exact token"), aim]
        columns += [_more(figure, rival) for rival in RIVALS]
        lines.append(f"| {figure.what} | {' | '.join(columns)} | {_pairs(figure)} |")
    return "\n".join(lines)


def common_text(figures: Sequence[measure.Figure]) -> None:
    """Draw how many pairs of unrelated templates match, by the share of their words that both have."""
    points = [(int(match[1]), figure) for figure in figures if (match := _COMMON.fullmatch(figure.what))]
    figure, panel = plt.subplots(figsize=(6, 3.4))
    shares = [share for share, _ in points]
    panel.plot(shares, [found.product for _, found in points], "o-", label="ptf2", color=_COLOURS["ptf2"])
    for rival in RIVALS:
        if all(rival in found.more for _, found in points):
            rates = [found.more[rival] for _, found in points]
            panel.plot(shares, rates, "s--", label=rival, color=_COLOURS[rival], linewidth=1)
    panel.set_xlabel("words that two unrelated templates of 60 words have in common, in one piece, %")
    panel.set_ylabel("pairs that match")
    panel.set_ylim(-0.02, 1.02)
    panel.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(PICTURE, metadata={"Date": None})
    plt.close(figure)


def _pairs(figure: measure.Figure) -> str:
    if "draws" in figure.more:
        return f"{figure.more['draws']:.0f} draws, {figure.more['fewest']:.0f} to {figure.product:.0f}"
    return f"{figure.more['pairs']:,.0f}"


def _more(figure: measure.Figure, name: str) -> str:
    return _number(figure.more[name], figure.unit) if name in figure.more else "–"


def _number(value: float, unit: str) -> str:
    return f"{value:.2f}" if unit == "of pairs" else f"{value:,.0f}"


def _now() -> int:
    from tocsin.client.system import now

    return now()
