"""`tocsin case`: a campaign's evidence in a folder for Legal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from tocsin.cli.casebook import DEFAULT_CASEBOOK, By, CasebookFolder, HoldingsSource, ShowValues, reviewer
from tocsin.cli.options import DEFAULT_CONFIG, Config, connect
from tocsin.cli.output import Json, counted, print_json, say
from tocsin.cli.report import DEFAULT_TLP, Widest, gathered

app = App(name="case", help="Put a campaign's evidence into a folder for Legal.")


@app.command
def export(
    id: Annotated[str, Parameter(help="A campaign, such as C1.")],
    *,
    out: Annotated[Path, Parameter(help="A new folder.")],
    tlp: Widest = DEFAULT_TLP,
    show_values: ShowValues = False,
    holdings: HoldingsSource = "",
    by: By = "",
    config: Config = DEFAULT_CONFIG,
    casebook: CasebookFolder = DEFAULT_CASEBOOK,
    json: Json = False,
) -> int:
    """Write a campaign's page and facts, a proof of every report, its history, and the SHA-256 of every file.

    The proofs verify offline. The export is written into the history. Existing folders are never overwritten, and none
    is left half written.

    Example: tocsin case export C1 --out case-C1

    Exit codes: 0 written; 2 no such campaign, or the folder exists; 3 the node is unavailable; 5 a proof fails.
    """
    from tocsin.cli.casebook import open_book
    from tocsin.detect.reports.case import export_case
    from tocsin.detect.reports.writing import check_new

    check_new(out)
    about, proven = gathered(casebook, id, tlp, holdings, config, unmasked=show_values)
    with connect(config) as client:
        charters = client.charter_chain()
    with open_book(casebook) as book:
        written = export_case(book, out, about, proven or (), charters, reviewer(by))
    if json:
        print_json({
            "campaign": id, "folder": str(out), "files": written.files, "proofs": written.proofs,
            "manifest_sha256": written.manifest,
        })  # fmt: skip
        return 0
    say(f"{id} is in {out}: {counted(written.files, 'file')}, {counted(written.proofs, 'proof')}")
    say(f"SHA-256 of its manifest: {written.manifest}")
    say(f"anyone can check it: (cd {out} && sha256sum -c MANIFEST.sha256)")
    if written.proofs:
        say(f"and each proof: tocsin evidence verify {out}/evidence/* --pin ...")
    return 0
