"""How a campaign's page looks: one style sheet, for light, dark and paper."""

from __future__ import annotations

STYLE = """
:root{--ink:#1b2430;--soft:#5b6776;--line:#dfe4ea;--page:#f5f6f8;--card:#fff;--done:#b3261e;--open:#efc4bf;
--network:#2468b2;--person:#8a4fb5;--tooling:#0f7b6c;--behaviour:#a9640a;--other:#5b6776;--hub:#9aa4b0;--flagged:#d98214}
@media (prefers-color-scheme:dark){:root{--ink:#e8ecf1;--soft:#9aa7b6;--line:#2c3642;--page:#11161c;--card:#1a212a;
--done:#ff6b5e;--open:#5f3431;--network:#6aa9f0;--person:#c08be6;--tooling:#4cc3b0;--behaviour:#e0a458;--hub:#66727f}}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1120px;margin:0 auto;padding:36px 28px 48px}header{position:relative;padding-bottom:10px}
h1{font-size:32px;line-height:1.2;margin:2px 0 14px;letter-spacing:-.015em}h2{font-size:19px;margin:0 0 14px}
.kind{margin:0;color:var(--soft);font-size:13px;text-transform:uppercase;letter-spacing:.08em}
.lead{font-size:17px;max-width:74ch;margin:0 0 20px}.note,footer{color:var(--soft);font-size:13px}
.tlp{position:absolute;right:0;top:0;background:#000;padding:5px 12px;border-radius:4px;font-weight:700;font-size:14px}
.tlp-red{color:#ff2b2b}.tlp-amber,.tlp-amber_strict{color:#ffc000}.tlp-green{color:#33ff00}.tlp-clear{color:#fff}
.cards{display:grid;grid-template-columns:repeat(5,1fr);gap:12px;list-style:none;margin:0;padding:0}
.cards li,section{background:var(--card);border:1px solid var(--line);border-radius:10px}
.cards li{padding:14px 16px}
.cards b{display:block;font-size:28px;line-height:1.15;font-variant-numeric:tabular-nums}
.cards span{color:var(--soft);font-size:13px}
section{padding:22px 24px;margin-top:18px}section p{margin:0 0 12px;max-width:90ch}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13.5px;margin-top:10px}
th{text-align:left;color:var(--soft);font-weight:600;border-bottom:1px solid var(--line);padding:6px 14px 6px 0}
td{border-bottom:1px solid var(--line);padding:6px 14px 6px 0;vertical-align:top}tbody tr:last-child td{border-bottom:0}
.number{text-align:right;font-variant-numeric:tabular-nums;padding-right:22px}
code,pre{font:12.5px/1.5 ui-monospace,"SF Mono",Menlo,Consolas,monospace}code{overflow-wrap:anywhere}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--page);padding:10px;border-radius:6px;margin:0 0 10px}
details{margin-top:8px}summary{cursor:pointer;color:var(--soft);font-size:13.5px}footer{margin-top:22px}
.dot{display:inline-block;width:9px;height:9px;border-radius:3px;margin-right:8px;background:currentColor}
svg{display:block;width:100%;height:auto;font:12px system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif}
svg text{fill:var(--ink)}svg .note{fill:var(--soft);font-size:11px}svg .head{fill:var(--soft);font-size:12.5px}
svg .name{font-weight:600;font-size:12.5px}.link{fill:none;stroke:currentColor;opacity:.34;stroke-linecap:round}
.link.hub{stroke-dasharray:2 5;opacity:.5}.box{fill:var(--page);stroke:var(--line)}.mark{fill:currentColor}
.g-network{color:var(--network)}.g-person{color:var(--person)}.g-tooling{color:var(--tooling)}
.g-behaviour{color:var(--behaviour)}.g-other{color:var(--other)}.hub{color:var(--hub)}
.open{fill:var(--open)}.done{fill:var(--done)}.grid{stroke:var(--line);fill:none}.joined{fill:var(--tooling)}
.line{fill:none;stroke-width:2.5;stroke-linejoin:round}.line.seen{stroke:var(--hub)}.line.flagged{stroke:var(--flagged)}
.line.confirmed{stroke:var(--done)}.key.seen{fill:var(--hub)}
.key.flagged{fill:var(--flagged)}.key.confirmed{fill:var(--done)}
@media (max-width:760px){.cards{grid-template-columns:repeat(2,1fr)}.tlp{position:static;display:inline-block}}
@media print{body{background:#fff}main{padding:0;max-width:none}section{break-inside:avoid;border:0;padding:12px 0}}
"""
