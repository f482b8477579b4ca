"""Run every benchmark and refresh the tables of docs/performance.md and docs/fingerprint.md between their markers.

1. A figure is told with the command that makes it again and with its target, met or missed: nothing is left out.
2. The machine is described by what figures depend on; nothing names it.
3. What is not run keeps nothing of an earlier run: the table is of one run of this program, unless `--only` names some;
   then the rows of the others stay, and it has to be the machine that they were measured on.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from measure import ROOT, machine

QUALITY = "fingerprint-quality"
NAMES = (
    "evaluate",
    "evaluate-verified",
    "publish",
    "publish-one",
    "follow",
    "growth",
    "match",
    "fingerprint",
    "start",
    "detect",
    QUALITY,
)
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
_ROW = re.compile(r"^\| `(?P<name>[a-z-]+)` \|")


def run(name: str, options: Sequence[str]) -> dict[str, Any]:
    """Run one benchmark and return its JSON line."""
    script = ROOT / "benchmarks" / f"bench_{name.replace('-', '_')}.py"
    done = subprocess.run([sys.executable, script, *options], check=True, stdout=subprocess.PIPE, text=True)
    *lines, last = done.stdout.splitlines()
    print("\n".join(lines), flush=True)
    found: dict[str, Any] = json.loads(last)
    return found


def rows(told: Mapping[str, Any]) -> list[str]:
    """Return the table's rows of one benchmark, one for each figure."""
    made = []
    for figure in told["figures"]:
        against = f"{_number(figure['primitive'])} {figure['unit']}" if figure["primitive"] else "–"
        ratio = f"{figure['ratio']:.2f}" if figure["ratio"] else "–"
        more = "; ".join(f"{name} {_number(value)}" for name, value in figure["more"].items())
        made.append(
            f"| `{told['name']}` | {figure['what']} | {_number(figure['product'])} {figure['unit']} | {against} "
            f"| {ratio} | {figure['target']} | {'met' if figure['met'] else '**missed**'} | {more or '–'} |"
        )
    return made


def page(text: str, fresh: Mapping[str, list[str]]) -> str:
    """Return the page with the rows of `fresh` in place of what it had of them."""
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    kept: dict[str, list[str]] = {}
    for line in old.splitlines():
        if found := _ROW.match(line):
            kept.setdefault(found["name"], []).append(line)
    kept.update(fresh)
    today = datetime.datetime.fromtimestamp(_now(), datetime.UTC).strftime("%Y-%m-%d")
    lines = [
        f"{measured_on()}; {today}.",
        "",
        "| `make bench NAME=` | what | product | primitive or rival | ratio | target | | more |",
        "|---|---|---|---|---|---|---|---|",
        *(line for name in NAMES for line in kept.get(name, [])),
    ]
    return f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}"


def measured_on() -> str:
    """Return what the page says of the machine."""
    about = machine()
    return (
        f"Measured on {about['cores']} cores of {about['cpu']}, {about['system']}, Python {about['python']}, "
        f"libsodium {about['libsodium']}"
    )


def _now() -> int:
    from tocsin.client.system import now

    return now()


def _number(value: float) -> str:
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def main() -> None:
    """Run, tell, and write the page."""
    parser = argparse.ArgumentParser(prog="run_all.py", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, default=NAMES, help="run these, keep the others' rows"
    )
    parser.add_argument("--smoke", action="store_true", help="small sizes, and the page is left alone")
    options = parser.parse_args()
    page_names = set(NAMES) - {QUALITY}
    joins = page_names.intersection(options.only) and not page_names.issubset(options.only)
    if joins and not options.smoke and measured_on() not in PAGE.read_text():
        parser.error(f"the rows that would stay in {PAGE.name} are of another machine: run all of them here")
    fresh = {
        name: rows(run(name, ["--smoke"] if options.smoke else ["--page"] if name == QUALITY else []))
        for name in options.only
    }
    if options.smoke:
        return
    if of_page := {name: fresh[name] for name in fresh if name != QUALITY}:  # that one writes its own page
        PAGE.write_text(page(PAGE.read_text(), of_page))
        print(f"refreshed {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
