"""Write the snapshots that are taken from elsewhere; run by hand, under Python 3.11 (Unicode 14).

    python tests/indicators/regenerate_snapshots.py

A published snapshot never changes: a newer public suffix list gets a name of its own, from its own version
line.
"""

import gzip
import json
import re
import sys
import unicodedata
from importlib.resources import files
from pathlib import Path

SNAPSHOTS = Path(__file__).parents[2] / "privacy" / "tocsin" / "indicators" / "snapshots"


def unicode_table() -> bytes:
    """Assigned ranges as [gap since the last range, length] pairs."""
    ranges: list[list[int]] = []
    end = 0
    inside = False
    for code in range(sys.maxunicode + 1):
        assigned = unicodedata.category(chr(code)) != "Cn"
        if assigned and not inside:
            ranges.append([code - end, 0])
            end = code
        elif inside and not assigned:
            ranges[-1][1] = code - end
            end = code
        inside = assigned
    if inside:
        ranges[-1][1] = sys.maxunicode + 1 - end
    about = "Assigned code points of Unicode 14.0.0 as [gap, length] pairs from 0"
    pairs = ",\n".join(json.dumps(pair, separators=(",", ":")) for pair in ranges)
    return f'{{"about": "{about}",\n"assigned": [\n{pairs}\n]}}\n'.encode()


def public_suffix_list() -> tuple[str, bytes]:
    """The installed package's list, unchanged (Mozilla Public License 2.0, its header inside), packed."""
    text = (files("publicsuffixlist") / "public_suffix_list.dat").read_bytes()
    version = re.search(rb"// VERSION: (\d{4}-\d{2}-\d{2})", text)
    if version is None:
        raise SystemExit("the public suffix list carries no version line")
    return f"public-suffix-{version[1].decode()}.dat.gz", gzip.compress(text, 9, mtime=0)


def main() -> None:
    if unicodedata.unidata_version != "14.0.0":
        raise SystemExit("run this under Python 3.11, whose unicodedata is Unicode 14.0.0")
    (SNAPSHOTS / "unicode-14.0.0.json").write_bytes(unicode_table())
    name, packed = public_suffix_list()
    (SNAPSHOTS / name).write_bytes(packed)


if __name__ == "__main__":
    main()
