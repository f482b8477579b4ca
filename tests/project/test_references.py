"""Rules are cited where they are enforced, citations are of rules that exist, and every document referred to is here.

1. A rule of protos/SPEC.md (`M-…`) or of the fingerprint's protos/PTF*.md (`P-…`) with a MUST is cited by its id in the
   product's source, beside the check that enforces it.
2. What is cited, in source, tests or documents, is a rule that exists.
3. No file names a document outside this repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.project.test_tree import ROOT, tracked

PROTOCOL = [ROOT / "protos" / "SPEC.md", *sorted((ROOT / "protos").glob("PTF*.md"))]
RULE = re.compile(r"^- \*\*([MP]-\d+\.\d+)\*\* (.*?)(?=^- \*\*|^#|^$)", re.MULTILINE | re.DOTALL)
CITATION = re.compile(r"\b[MP]-\d+\.\d+\b")
OUTSIDE = re.compile(r"\b(?:DESIGN|TARGETS|ARCHITECTURE)\b|\b[Ii]ssue (?:#?\d|§)|/work/")
PRODUCT = ("privacy", "protos/tocsin/wire", "client", "node")


def rules() -> dict[str, str]:
    """Every rule's text by its id."""
    found = [rule for path in PROTOCOL for rule in RULE.findall(path.read_text())]
    assert len(found) == len(dict(found)), "a rule's id is given twice"
    return dict(found)


def written(*patterns: str) -> Iterator[tuple[Path, str]]:
    """Every tracked file that people write, with its text."""
    for path in tracked(*patterns):
        if path.suffix in {".py", ".md", ".toml", ".proto"} and not re.search(
            r"_pb2(_grpc)?\.py$", path.name
        ):
            yield path, path.read_text()


def test_every_rule_is_found() -> None:
    marked = {
        id
        for path in PROTOCOL
        for id in re.findall(r"^- \*\*([MP]-\d+\.\d+)\*\*", path.read_text(), re.MULTILINE)
    }
    assert rules().keys() == marked
    assert {id[0] for id in marked} == {"M", "P"}


def test_every_must_is_cited_where_it_is_enforced() -> None:
    cited = {
        id for folder in PRODUCT for _, text in written(f"{folder}/*.py") for id in CITATION.findall(text)
    }
    must = {id for id, text in rules().items() if "MUST" in text}
    assert sorted(must - cited) == []


def test_every_citation_is_of_a_rule() -> None:
    unknown = {
        f"{path.relative_to(ROOT)}: {id}"
        for path, text in written()
        for id in CITATION.findall(text)
        if id not in rules()
    }
    assert sorted(unknown) == []


def test_no_file_refers_to_a_document_that_is_not_here() -> None:
    outside = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path, text in written()
        if path != Path(__file__)
        for number, line in enumerate(text.splitlines(), 1)
        if OUTSIDE.search(line)
    ]
    assert outside == []
