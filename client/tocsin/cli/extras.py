"""How to install an extra of this distribution, in words that work where they are read."""

from __future__ import annotations

from pathlib import Path


def how_to_install(extra: str) -> str:
    """Say how to install an extra: from the checkout, if this code runs from one, else from the package."""
    root = Path(__file__).resolve().parents[3]
    if (root / "pyproject.toml").is_file() and (root / "client" / "tocsin").is_dir():
        return f"in {root} run: pip install '.[{extra}]'"
    return f"run: pip install 'tocsin[{extra}]'"
