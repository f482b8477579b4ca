"""`tocsin demo`: a federation on this machine, with generated accounts that belong to nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def demo(
    *,
    members: int = 3,
    committee: int | None = None,
    threshold: int = 2,
    seed: int = 2026,
    prompts: Path | None = None,
    keep: Path | None = None,
    details: Annotated[
        bool, Parameter(negative=(), help="Print the tables behind the summary, too.")
    ] = False,
    json: Annotated[
        bool,
        Parameter(negative=(), help="Print the data behind the summary as JSON, after it."),
    ] = False,
) -> None:
    """Found providers, run their nodes and clients, and tell what each learned and what others see.

    Example: tocsin demo --members 5 --keep DIR

    Exit codes: 0 it showed what it promises; 1 it did not; 2 bad usage; 3 a node did not start; 130 interrupted;
    143 ended by SIGTERM.

    Parameters
    ----------
    members
        How many providers, 2 to 10.
    committee
        How many of them hold key shares, at most 7; by default as many as there are members, up to 7.
    threshold
        How many evaluators an evaluation needs.
    seed
        The same seed gives the same accounts.
    prompts
        Prompt texts for the benign users' gateway logs: one a line, or JSON lines with `prompt`; plain or .gz.
    keep
        Leave everything in this new folder instead of removing all but the campaign's page.
    """
    from tocsin.cli.ingest import need_extra

    need_extra()
    from tocsin.cli.demo.run import Detail, ImpossibleDemo, run, temporary_folder
    from tocsin.cli.output import print_json
    from tocsin.cli.termination import ended_by_sigterm

    seats = min(7, members) if committee is None else committee
    if not (2 <= members <= 10 and 1 <= threshold <= seats <= min(7, members)):
        raise ImpossibleDemo(
            f"{members} members with committee {seats} and threshold {threshold}: "
            "2 to 10 members and 1 <= threshold <= committee <= min(7, members) are possible"
        )
    with ended_by_sigterm(), temporary_folder(keep) as folder:
        outcome = run(
            Path(folder), members=members, committee=seats, threshold=threshold, seed=seed, prompts=prompts,
            detail=Detail.TABLES if details else Detail.STORY, keep=keep is not None,
        )  # fmt: skip
    if json:
        print_json(outcome)
