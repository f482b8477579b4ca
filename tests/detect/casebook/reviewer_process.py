"""A reviewer in a process of its own: takes and decides flags until nothing waits, and prints which.

Arguments: the casebook's folder and the reviewer's name.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tocsin.client import system
from tocsin.detect.casebook.book import open_casebook
from tocsin.detect.casebook.claiming import claim_next
from tocsin.detect.casebook.deciding import Decision, decide
from tocsin.detect.casebook.drawing import Drawing
from tocsin.detect.rules import DEFAULT


def main(folder: Path, name: str) -> None:
    below = Drawing(system.random_bytes).below
    with open_casebook(folder) as book:
        while (flag := claim_next(book, name, DEFAULT, system.now(), below)) is not None:
            decide(book, flag.no, Decision("confirmed", "own-evidence", name), system.now(), below)
            print(flag.no, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
