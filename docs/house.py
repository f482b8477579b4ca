"""Draw docs/architecture.svg: the house as import-linter enforces it, with each part's own first sentence.

`make readme` runs it. Floors come from the layers contract in pyproject.toml, sentences from the packages' docstrings,
so the picture cannot say what the code does not.
"""

from __future__ import annotations

import ast
import textwrap
import tomllib
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"

# Colour and meaning of each top-level folder, in the order of the legend.
FOLDERS = {
    "client": ("#e3f1e3", "client/: what runs beside a member's data"),
    "node": ("#e8eef6", "node/: the server"),
    "protos": ("#fdf1d8", "protos/: what both speak"),
    "privacy": ("#f3e8f6", "privacy/: the pure core, without I/O, clock or randomness of its own"),
}
_WIDTH, _GAP, _FLOOR, _TOP = 1_100, 12, 78, 64


def floors() -> list[list[str]]:
    """The packages of each floor, top floor first, as the layers contract names them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(contract for contract in settings["contracts"] if contract["type"] == "layers")["layers"]
    return [[name.strip().removeprefix("tocsin.") for name in layer.split("|")] for layer in layers]


def described(package: str) -> tuple[str, str]:
    """The folder that a package lies in, and the first sentence of its docstring."""
    for folder in FOLDERS:
        place = ROOT / folder / "tocsin" / package
        if place.is_dir():
            for module in ("__init__.py", "main.py", "process.py"):
                if (place / module).exists() and (
                    text := ast.get_docstring(ast.parse((place / module).read_text()))
                ):
                    sentence = text.splitlines()[0].rstrip(":.").split(": ")[-1].replace("`", "")
                    return folder, sentence[0].upper() + sentence[1:]
            return folder, "The gRPC modules, generated from *.proto"
    raise FileNotFoundError(f"no folder holds tocsin.{package}")


def picture() -> str:
    """The whole picture as SVG."""
    rows = floors()
    height = _TOP + _FLOOR * len(rows) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    x = _GAP
    for colour, meaning in FOLDERS.values():
        parts.append(f'<rect x="{x}" y="16" width="14" height="14" fill="{colour}" stroke="#8899aa"/>')
        parts.append(f'<text x="{x + 20}" y="28" font-size="12">{escape(meaning)}</text>')
        x += 46 + 6 * len(meaning)
    for number, packages in enumerate(rows):
        width = (_WIDTH - _GAP * (len(packages) + 1)) // len(packages)
        top = _TOP + _FLOOR * number
        for place, package in enumerate(packages):
            folder, sentence = described(package)
            left = _GAP + place * (width + _GAP)
            parts.append(
                f'<rect x="{left}" y="{top}" width="{width}" height="{_FLOOR - 12}" rx="6" '
                f'fill="{FOLDERS[folder][0]}" stroke="#8899aa"/>'
            )
            middle = left + width // 2
            parts.append(
                f'<text x="{middle}" y="{top + 22}" text-anchor="middle" font-size="15" font-weight="bold">'
                f"tocsin.{escape(package)}</text>"
            )
            for line, text in enumerate(textwrap.wrap(sentence, max(20, width // 7))[:2]):
                parts.append(
                    f'<text x="{middle}" y="{top + 40 + 15 * line}" text-anchor="middle" font-size="12">'
                    f"{escape(text)}</text>"
                )
    parts.append(
        f'<text x="{_WIDTH // 2}" y="{height - 10}" text-anchor="middle" font-size="12" font-style="italic">'
        "Imports run downwards only; packages of one floor do not know each other.</text>"
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(picture())


if __name__ == "__main__":
    main()
