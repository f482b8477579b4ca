"""`tocsin fingerprint`: look at fingerprints of prompt templates, and make lists of common shingles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from tocsin.cli.ingest import (
    CommonFile,
    FieldMapFile,
    Format,
    Logs,
    Rates,
    StateFolder,
    common_list,
    format_of,
    need_extra,
    warn_passed_over,
)
from tocsin.cli.output import Json, counted, date, note, print_json, print_table, say, warn

EXIT_NOTHING = 1
_SHOWN_PAIRS = 50

app = App(name="fingerprint", help="Look at fingerprints of prompt templates; make lists of common shingles.")


@app.command
def explain(
    *logs: Logs,
    account: Annotated[str, Parameter(help="The account, as the logs write it.")],
    format: Format = "auto",
    field_map: FieldMapFile = None,
    k: int = 32,
    window_days: int = 28,
    common: CommonFile = None,
    state: StateFolder = None,
    json: Json = False,
) -> int:
    """Say which words of an account's prompts became a skeleton, and why it is kept or refused.

    For your own eyes only: the output shows what the account's users wrote. With the --state of your runs the sample is
    theirs; without it other conversations may be looked at.

    Exit codes: 0 done, 1 the logs hold nothing of the account, 2 the input is unusable.
    """
    need_extra()
    from tocsin.client.system import random_bytes
    from tocsin.detect.explaining import Explainer
    from tocsin.detect.ingest import files, reading
    from tocsin.detect.state import read_key
    from tocsin.indicators.ptf1.account import KEY_BYTES

    listed, form = common_list(common), format_of(format, field_map)
    explainer = Explainer(
        account, random_bytes(KEY_BYTES) if state is None else read_key(state), k, window_days
    )
    bad, counts = reading.BadLines(0), reading.Counts()
    inputs = files.find(logs)
    for piece in reading.cut(inputs.sources, 1):
        explainer.take(reading.read(piece, form, bad, counts))
    found = explainer.explain(listed)
    note("for your own eyes only: this shows what the account's users wrote")
    if any(level.refused is None for each in found for level in each.levels):
        note(
            "kept as far as this account goes: only `tocsin ingest` looks at all accounts, and refuses what many of "
            "them share (template.local)"
        )
    warn_passed_over(inputs.passed_over)
    if counts.bad:
        warn(f"{counted(counts.bad, 'bad line')} passed over")
    if not explainer.exchanges:
        warn(
            "the logs hold no exchange of this account: write its id as they do, and name the logs that hold it"
        )
    if json:
        print_json(
            {
                "exchanges": explainer.exchanges,
                "skeletons": [
                    {
                        "window": each.window,
                        "type": each.type,
                        "support": each.support,
                        "sampled": each.sampled,
                        "levels": [
                            {name: getattr(level, name) for name in level.__dataclass_fields__}
                            for level in each.levels
                        ],
                        "words": list(each.words),
                    }
                    for each in found
                ],
            }
        )
    else:
        for each in found:
            say(
                f"{each.type}, window from {date(each.window)}: {each.support} of {each.sampled} sampled "
                "conversations"
            )
            print_table(
                "Levels",
                ("of conversations", "shingles", "bits", "on the common list", "verdict"),
                [
                    (
                        f"{level.percent} %",
                        str(level.shingles),
                        str(level.bits),
                        f"{level.common_percent:.0f} %",
                        "kept" if level.refused is None else f"refused: {level.refused}",
                    )
                    for level in each.levels
                ],
            )
            say(f"words: {' … '.join(each.words)}\n")
        say(f"{counted(explainer.exchanges, 'exchange')}, {counted(len(found), 'skeleton')}")
    return 0 if explainer.exchanges else EXIT_NOTHING


@app.command
def compare(a: Path, b: Path, *, common: CommonFile = None, json: Json = False) -> int:
    """Compare two files of prompts (one a line, or JSON lines with `prompt`), or two files of indicators.

    Skeletons are numbered in the order in which they are found; of files of indicators their accounts are named. A
    federation tells of two that are equal at some level, or agree in enough bands.

    Exit codes: 0 some are alike, 1 none are, 2 the input is unusable.
    """
    from tocsin.detect.comparing import compare_skeletons, compare_values, skeletons_of
    from tocsin.detect.indicators_file import read_indicators
    from tocsin.detect.prompts import read_prompts
    from tocsin.indicators.ptf1.bands import BAND_THRESHOLD, BANDS
    from tocsin.indicators.ptf1.template import TEMPLATE

    if all(_is_parquet(each) for each in (a, b)):
        left, right = ([each for each in read_indicators(path) if each.type == TEMPLATE] for path in (a, b))
        pairs = compare_values(left, right)
    else:
        mine, theirs = (skeletons_of(read_prompts(path)) for path in (a, b))
        pairs = compare_skeletons(mine, theirs, common_list(common))
    if json:
        print_json(
            {
                "bands": BANDS,
                "threshold": BAND_THRESHOLD,
                "pairs": [
                    {name: getattr(each, name) for name in each.__dataclass_fields__} for each in pairs
                ],
            }
        )
    else:
        print_table(
            f"{counted(len(pairs), 'pair')} of skeletons",
            ("A", "B", "shingles", "in common", "Jaccard", "equal", f"bands of {BANDS}", "told"),
            [
                (
                    _side(each.left, each.accounts[0]),
                    _side(each.right, each.accounts[1]),
                    f"{each.shingles[0]}, {each.shingles[1]}",
                    str(each.shared),
                    f"{each.jaccard:.3f}",
                    ", ".join(f"{level} %" for level in each.equal_levels) or ("yes" if each.equal else "-"),
                    str(each.bands),
                    "yes" if each.reached else "no",
                )
                for each in pairs[:_SHOWN_PAIRS]
            ],
        )
        if len(pairs) > _SHOWN_PAIRS:
            say(f"and {counted(len(pairs) - _SHOWN_PAIRS, 'more pair')}")
        say(f"told: equal at a level, or {BAND_THRESHOLD} bands or more agree")
    return 0 if pairs else EXIT_NOTHING


@app.command(name="common")
def make_common(
    *sources: Annotated[Path, Parameter(help="Files of prompts: one a line, or JSON lines with `prompt`.")],
    name: Annotated[str, Parameter(help="The list's name: a-z, 0-9, inner dots and hyphens.")],
    out: Annotated[Path, Parameter(help="File to write; it must not exist.")],
    least: Annotated[int, Parameter(help="In how many prompts a shingle stands to be on the list.")] = 3,
    json: Json = False,
) -> int:
    """Make a list of common shingles out of prompts that anybody might write.

    Values made under different lists never match: all members of a federation use one list.

    Exit codes: 0 done, 2 the input is unusable.
    """
    from collections import Counter

    from tocsin.detect.prompts import BadPrompts, read_prompts
    from tocsin.indicators.ptf1.common_list import build_common_list, parse_common_list
    from tocsin.indicators.ptf1.shingles import Shingler
    from tocsin.indicators.snapshot_files import CURRENT

    if not sources or least < 1:
        raise BadPrompts("name files of prompts, and --least of 1 or more")
    counts: Counter[int] = Counter()
    shingler, rates, prompts = Shingler(CURRENT), Rates(), 0
    for path in sources:
        for prompt in read_prompts(path):
            counts.update(shingler.hashes(prompt))
            prompts += 1
            if prompts % 1_000 == 0:
                rates("prompts", prompts, 0)
    if not counts:
        raise BadPrompts("the files hold no prompt of three words or more")
    data = build_common_list(name, counts, least)
    made = parse_common_list(data)
    with out.open("xb") as file:
        file.write(data)
    if json:
        print_json({"name": made.name, "id": made.id.hex(), "prompts": prompts, "shingles": len(made)})
    else:
        say(f"{made.name} ({made.id.hex()}): {counted(len(made), 'shingle')} of {counted(prompts, 'prompt')}")
    return 0


def _side(number: int, accounts: tuple[str, ...]) -> str:
    """Name a skeleton by its number and, of a file of indicators, by an account that holds it."""
    if not accounts:
        return str(number)
    more = f" and {len(accounts) - 1} more" if len(accounts) > 1 else ""
    return f"{number}: {accounts[0]}{more}"


def _is_parquet(path: Path) -> bool:
    from tocsin.detect.ingest.sources import PARQUET

    with path.open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET
