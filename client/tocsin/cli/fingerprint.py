"""`tocsin fingerprint`: look at fingerprints of prompt templates, and make lists of common shingles.

1. If nothing was found, or nothing would be shared, tables and JSON say why.
2. `explain` reads logs as `ingest` does, and reports the same: bad lines, progress, what cannot be sampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from tocsin.cli.ingest import (
    BadFormat,
    CommonFile,
    FieldMapFile,
    Format,
    Logs,
    Rates,
    common_list,
    format_of,
    need_extra,
    no_line_read,
    warn_bad,
    warn_skipped,
)
from tocsin.cli.output import (
    Cell,
    Json,
    counted,
    date,
    fail,
    note,
    print_json,
    print_table,
    say,
    warn,
    wrapped,
)

if TYPE_CHECKING:
    from tocsin.indicators.ptf2.common_list import CommonList
    from tocsin.ingest.comparing import Agreement, Likeness
    from tocsin.ingest.explaining import Explained

EXIT_NOTHING = 1
EXIT_INPUT = 2
_SHOWN_PAIRS = 50
_TOLD_EXCHANGES = 4_096

app = App(name="fingerprint", help="Look at fingerprints of prompt templates; make lists of common shingles.")


class BadComparison(ValueError):
    """Two files that do not compare, or an option that they do not go with."""


@app.command
def explain(
    *logs: Logs,
    account: Annotated[str, Parameter(help="The account id, as the logs write it.")],
    format: Format = "auto",
    field_map: FieldMapFile = None,
    k: Annotated[
        int | None,
        Parameter(help="Conversations sampled of each window; as the state says, 256 without one."),
    ] = None,
    window_days: Annotated[
        int | None, Parameter(help="Length of a window; as the state says, 28 without one.")
    ] = None,
    common: CommonFile = None,
    state: Annotated[
        Path | None, Parameter(help="Folder that your runs of `tocsin ingest` use; it is not changed.")
    ] = None,
    json: Json = False,
) -> int:
    """Show which words of an account's prompts became a skeleton, and why it is kept or refused, or why there is none.

    For your own eyes only: the output shows what the account's users wrote. With the --state of your runs, and all
    their logs, the sample is the same as theirs; without it other conversations may be sampled.

    Example: tocsin fingerprint explain logs/ --account acct-17

    Exit codes: 0 done; 1 the logs hold nothing of the account; 2 the input is unusable.
    """
    need_extra()
    from tocsin.client.system import random_bytes
    from tocsin.indicators.ptf2.account import KEY_BYTES
    from tocsin.ingest import input_files, log_reader
    from tocsin.ingest.accounts import claude_code_account
    from tocsin.ingest.explaining import Explainer, sampling_of
    from tocsin.ingest.ingesting import ALIKE, SHOWN, Options
    from tocsin.ingest.read_report import to_tell
    from tocsin.ingest.state import read_key

    if not logs:
        raise BadFormat("nothing to read: name files, folders, or `-` for standard input")
    key = random_bytes(KEY_BYTES) if state is None else read_key(state)
    settings = sampling_of(state, k, window_days)
    options = Options(common_list(common), format_of(format, field_map), *settings)
    named = claude_code_account(account)
    explainer = Explainer(account if named is None else named.account, key, options.k, options.window_days)
    bad, counts, rates = log_reader.BadLines(SHOWN * ALIKE, ALIKE), log_reader.Counts(), Rates()
    inputs = input_files.find(logs)
    done = 0
    rates("exchanges", done, 0)
    for piece in log_reader.cut(inputs.sources, 1):
        exchanges = log_reader.read(piece, options.format, bad, counts)
        while took := explainer.take(islice(exchanges, _TOLD_EXCHANGES)):
            done += took
            rates("exchanges", done, 0)
    rates.end()
    warn_skipped(inputs.passed_over)
    order = {source.path: place for place, source in enumerate(inputs.sources)}
    warn_bad(to_tell([bad], order, SHOWN, ALIKE), counts.bad)
    if counts.bad and not counts.exchanges:
        fail(f"{counted(counts.bad, 'bad line')}: {no_line_read(counts, mapped=field_map is not None)}")
        return EXIT_INPUT
    found = explainer.explain(options.common)
    note("for your own eyes only: this shows what the account's users wrote")
    if any(level.refused is None for skeleton in found.skeletons for level in skeleton.levels):
        note(
            "kept as far as this account goes: only `tocsin ingest` looks at all accounts, and refuses what many of "
            "them share (template.local)"
        )
    if not explainer.exchanges:
        warn(
            "the logs hold no exchange of this account: write its id as they do, and name the logs that hold it"
        )
    if json:
        totals = {"exchanges": explainer.exchanges, "without_content": explainer.without_content}
        print_json(totals | asdict(found))
    else:
        for skeleton in found.skeletons:
            _print_explained(skeleton)
        for missing in found.missing:
            say(f"{missing.type}, window from {date(missing.window)}: no skeleton, {missing.why}")
        without = f" ({explainer.without_content:,} without content)" if explainer.without_content else ""
        skeletons = counted(len(found.skeletons), "skeleton")
        say(f"{counted(explainer.exchanges, 'exchange')}{without}, {skeletons}")
    return 0 if explainer.exchanges else EXIT_NOTHING


@app.command
def compare(
    a: Annotated[
        Path,
        Parameter(
            help="A file of prompts (one a line, or JSON lines with `prompt`), or of indicators that `tocsin ingest` "
            "wrote."
        ),
    ],
    b: Annotated[Path, Parameter(help="A file of the same kind, to compare it with.")],
    *,
    common: CommonFile = None,
    json: Json = False,
) -> int:
    """Compare two files of prompts, or two files of indicators: which skeletons would match in a federation?

    Skeletons of prompts are numbered in the order in which they are found, each with what would be shared of it:
    nothing, if there are fewer than 4 prompts. Skeletons of indicators, `prompt.template` and `client.system` each
    among their own, are named by the first row that holds them, and by their accounts. Two skeletons match if they are
    equal at some level, or agree in enough bands.

    Example: tocsin fingerprint compare mine.txt theirs.txt

    Exit codes: 0 some pair would match; 1 none would; 2 the input is unusable.
    """
    made = [_is_parquet(path) for path in (a, b)]
    if made[0] != made[1]:
        indicators, other = (a, b) if made[0] else (b, a)
        raise BadComparison(
            f"{indicators} is a file of indicators and {other} is none: name two files of prompts, or two that "
            "`tocsin ingest` made"
        )
    if made[0] and common is not None:
        raise BadComparison(
            "--common changes nothing about files of indicators, which were judged when `tocsin ingest` made them: "
            "leave it out"
        )
    found = _compared_indicators(a, b) if made[0] else _compared_prompts(a, b, common_list(common))
    if json:
        print_json(
            {
                "files": found.files,
                "pairs": [asdict(pair) for pair in found.pairs],
            }
        )
    else:
        _print_compared(found)
    return 0 if any(pair.reached for pair in found.pairs) else EXIT_NOTHING


@app.command(name="common")
def make_common(
    *sources: Annotated[Path, Parameter(help="Files of prompts: one a line, or JSON lines with `prompt`.")],
    name: Annotated[str, Parameter(help="The list's name: a-z, 0-9, inner dots and hyphens.")],
    out: Annotated[Path, Parameter(help="File to write; it must not exist.")],
    least: Annotated[int, Parameter(help="Prompts that a shingle must be in to be on the list.")] = 3,
    json: Json = False,
) -> int:
    """Make a list of common shingles from prompts that anybody might write.

    Values made under different lists never match: all members of a federation use one list.

    Example: tocsin fingerprint common public-prompts.txt --name mine-1 --out mine-1.ptfc

    Exit codes: 0 done; 2 the input is unusable.
    """
    from collections import Counter

    from tocsin.indicators.ptf2.common_list import build_common_list, parse_common_list
    from tocsin.indicators.ptf2.shingles import Shingler
    from tocsin.indicators.snapshot_files import CURRENT
    from tocsin.ingest.prompts import BadPrompts, read_prompts

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
    most = max(counts.values())
    if most < least:
        raise BadPrompts(
            f"no shingle is in {least:,} prompts: the most frequent one is in {most:,}; give a lower --least, "
            "or more prompts"
        )
    data = build_common_list(name, counts, least)
    made = parse_common_list(data)
    with out.open("xb") as file:
        file.write(data)
    if json:
        print_json({"name": made.name, "id": made.id.hex(), "prompts": prompts, "shingles": len(made)})
    else:
        say(f"{made.name} ({made.id.hex()}): {counted(len(made), 'shingle')} of {counted(prompts, 'prompt')}")
    return 0


@dataclass(slots=True)
class _Compared:
    """What is said of two files: each by itself as in JSON, their pairs, and what names the sides of a pair."""

    files: list[dict[str, Any]]
    pairs: list[Likeness]
    named_by: str


def _compared_prompts(a: Path, b: Path, common: CommonList) -> _Compared:
    from tocsin.ingest.comparing import compare_skeletons, side_of, verdicts
    from tocsin.ingest.prompts import read_prompts

    left, right = sides = [side_of(read_prompts(path)) for path in (a, b)]
    files = [
        {
            "file": str(path),
            "common": [common.id.hex()],
            "prompts": side.prompts,
            "skeletons": [asdict(verdict) for verdict in verdicts(side, common)],
            "why_none": side.why_none,
        }
        for path, side in zip((a, b), sides, strict=True)
    ]
    return _Compared(files, compare_skeletons(left, right, common), "skeleton")


def _compared_indicators(a: Path, b: Path) -> _Compared:
    from tocsin.indicators.ptf2.template import SYSTEM, TEMPLATE
    from tocsin.ingest.comparing import compare_values, lists_of
    from tocsin.ingest.indicators_file import read_indicators

    left, right = sides = [
        [indicator for indicator in read_indicators(path) if indicator.type in (TEMPLATE, SYSTEM)]
        for path in (a, b)
    ]
    one, other = lists = [lists_of(path, side) for path, side in zip((a, b), sides, strict=True)]
    if one and other and one != other:
        warn(
            f"{a} was made with the common list {', '.join(one)} and {b} with {', '.join(other)}: what was made with "
            "different lists never matches"
        )
    files = [
        {
            "file": str(path),
            "common": ids,
            "values": len(side),
            "why_none": None if side else f"it holds no {TEMPLATE} and no {SYSTEM}",
        }
        for path, side, ids in zip((a, b), sides, lists, strict=True)
    ]
    return _Compared(files, compare_values(left, right), "row: accounts")


def _print_compared(found: _Compared) -> None:
    rows = [
        _skeleton_row(name, file["prompts"], skeleton)
        for name, file in zip("AB", found.files, strict=True)
        for skeleton in file.get("skeletons", ())
    ]
    if rows:
        columns = ("file", "skeleton", ("in", "prompts"), "shingles", "levels kept", "with bands", "verdict")
        names = (f"{name} is {file['file']}" for name, file in zip("AB", found.files, strict=True))
        print_table(f"Skeletons: {', '.join(names)}", columns, [_fitted(row) for row in rows])
    for file in found.files:
        if file["why_none"] is not None:
            say(f"{file['file']}: no skeleton: {file['why_none']}")
    pairs = found.pairs
    print_table(
        f"{counted(len(pairs), 'pair')} of skeletons",
        (
            *((name, f"({found.named_by})") for name in "AB"),
            "shingles",
            ("in", "common"),
            "Jaccard",
            "equal",
            "bands",
            "shared",
        ),
        [
            (
                _side(pair.left, pair.accounts[0]),
                _side(pair.right, pair.accounts[1]),
                f"{pair.shingles[0]}, {pair.shingles[1]}",
                str(pair.shared),
                f"{pair.jaccard:.3f}",
                wrapped(_equal(pair), 20),
                _bands(pair.bands),
                wrapped(_told(pair), 34),
            )
            for pair in pairs[:_SHOWN_PAIRS]
        ],
    )
    if len(pairs) > _SHOWN_PAIRS:
        say(f"and {counted(len(pairs) - _SHOWN_PAIRS, 'more pair')}")
    say("shared: equal at a level, or as many bands agree as are needed")


def _bands(bands: Agreement) -> str:
    return f"{bands.agreeing} of {bands.of}, {bands.needed} needed" if bands.of else "none"


def _skeleton_row(name: str, prompts: int, skeleton: dict[str, Any]) -> tuple[str, ...]:
    return (
        name,
        str(skeleton["number"]),
        f"{skeleton['prompts']:,} of {prompts:,}",
        str(skeleton["shingles"]),
        _percents(skeleton["kept"]),
        _percents(skeleton["banded"]),
        _verdict(skeleton["refused"], skeleton["why"]),
    )


def _percents(levels: Sequence[int]) -> str:
    return f"{', '.join(map(str, levels))} %" if levels else "-"


def _equal(pair: Likeness) -> str:
    if pair.equal_levels:
        return f"yes, at {_percents(pair.equal_levels)}"
    return "yes" if pair.equal else "no"


def _verdict(refused: str | None, why: str | None) -> str:
    return "kept" if refused is None else f"refused: {refused} ({why})"


def _told(pair: Likeness) -> str:
    """Say whether the pair would match and, if a refusal prevents it, which."""
    if pair.reached:
        return "yes"
    sides = [f"{name} is refused ({rule})" for name, rule in zip("AB", pair.refused, strict=True) if rule]
    return f"no: {' and '.join(sides)}" if sides else "no"


def _print_explained(explained: Explained) -> None:
    say(
        f"{explained.type}, window from {date(explained.window)}: {explained.support} of {explained.sampled} sampled "
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
                wrapped(
                    _verdict(level.refused, level.why)
                    + (", with bands" if level.banded else "")
                    + (f", as that of {level.same_as} %" if level.same_as is not None else ""),
                    44,
                ),
            )
            for level in explained.levels
        ],
    )
    say(f"words: {' ... '.join(explained.words)}\n")


def _fitted(row: Sequence[str]) -> list[Cell]:
    """Wrap the cells of a skeleton's row that may be long: its levels and its verdict."""
    *cells, kept, banded, verdict = row
    return [*cells, wrapped(kept, 14), wrapped(banded, 14), wrapped(verdict, 32)]


def _side(number: int, accounts: tuple[str, ...]) -> str:
    """Name a skeleton by its number or, of a file of indicators, by its row and an account that holds it."""
    if not accounts:
        return str(number)
    more = f" and {len(accounts) - 1} more" if len(accounts) > 1 else ""
    return f"{number}: {accounts[0]}{more}"


def _is_parquet(path: Path) -> bool:
    from tocsin.ingest.decompression import PARQUET

    if path.is_dir():
        raise BadComparison(
            f"{path} is a folder: name a file of prompts, or of indicators that `tocsin ingest` made"
        )
    with path.open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET
