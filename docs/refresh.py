"""Refresh what the documents quote: the README's demonstration and the picture of the data flow.

`make readme` runs it. The demonstration's output stands between markers and is replaced as a whole.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
DEMO = re.compile(r"(<!-- demo:begin -->\n).*?(<!-- demo:end -->)", re.DOTALL)

_LANES = ("client of A", "node of A", "evaluators (t of c)", "node of B", "client of B")
_STEPS: tuple[tuple[int, int, str], ...] = (
    (0, 1, "blinded values"),
    (1, 2, "the same, to one quorum"),
    (2, 1, "signed partials with proofs"),
    (1, 0, "partials, to verify and combine"),
    (0, 1, "sealed entry (tag, box)"),
    (1, 3, "signed checkpoint, leaves, bodies"),
    (4, 3, "own tags under every writer"),
    (3, 4, "hits with inclusion proofs"),
)


def dataflow() -> str:
    """The picture of the data flow as SVG."""
    lane, top, step = 190, 70, 46
    width, height = lane * len(_LANES), top + step * len(_STEPS) + 70
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="13">',
        '<defs><marker id="tip" markerWidth="9" markerHeight="9" refX="8" refY="4" orient="auto">'
        '<path d="M0,0 L9,4 L0,8 z" fill="#1f4e79"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number, name in enumerate(_LANES):
        x = lane * number + lane // 2
        colour = "#e3f1e3" if name.startswith("client") else "#e8eef6"
        parts.append(
            f'<rect x="{x - 80}" y="14" width="160" height="30" rx="6" fill="{colour}" stroke="#8899aa"/>'
        )
        parts.append(f'<text x="{x}" y="34" text-anchor="middle">{escape(name)}</text>')
        parts.append(f'<line x1="{x}" y1="44" x2="{x}" y2="{height - 50}" stroke="#c5ced8"/>')
    for number, (start, end, text) in enumerate(_STEPS):
        y = top + step * number + 14
        x1, x2 = (lane * side + lane // 2 for side in (start, end))
        parts.append(
            f'<line x1="{x1}" y1="{y}" x2="{x2}" y2="{y}" stroke="#1f4e79" stroke-width="1.6" marker-end="url(#tip)"/>'
        )
        parts.append(
            f'<text x="{(x1 + x2) // 2}" y="{y - 6}" text-anchor="middle" fill="#1a1a1a" stroke="#ffffff" '
            f'stroke-width="4" paint-order="stroke">{number + 1}. {escape(text)}</text>'
        )
    notes = "Raw values, F, K and peppers stay in the green boxes. Nodes see blinded elements, tags and sealed boxes."
    parts.append(
        f'<text x="{width // 2}" y="{height - 20}" text-anchor="middle" font-style="italic">{notes}</text>'
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


def demonstration() -> str:
    """What the demonstration prints, as a person sees it at 100 columns."""
    run = subprocess.run(
        [sys.executable, "-m", "tocsin.cli.main", "demo"],
        check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
    )  # fmt: skip
    return "\n".join(line.rstrip() for line in run.stdout.splitlines()).strip()


def main() -> None:
    """Write the README's output and docs/dataflow.svg."""
    (ROOT / "docs" / "dataflow.svg").write_text(dataflow())
    readme = ROOT / "README.md"
    shown = f"```text\n{demonstration()}\n```\n"
    readme.write_text(DEMO.sub(lambda found: found[1] + shown + found[2], readme.read_text()))


if __name__ == "__main__":
    main()
