"""Every event of the node's log, by name. A name never changes its meaning; operators may alert on it.

| level | meaning |
|---|---|
| error | somebody must act, or the node works only in part |
| warning | something was refused or failed; the node tries again or goes on without |
| info | something changed as intended |
| debug | only with `log_level = "debug"` |

A warning or error that says the same again within ten minutes is counted, not written; the next one that is written has
the count as `repeated`.
"""

from __future__ import annotations

from collections.abc import Mapping

EVENTS: Mapping[str, str] = {
    # process
    "serving": "info: the node takes calls; `address`, `charter` (version), `problem` (why it is not ready, or null)",
    "stopping": "info: a signal arrived; no new calls are taken",
    "stopped": "info: everything acknowledged is written",
    "start-failed": "debug: the error behind the line on standard error",
    "task-failed": "error: a background `task` ended unexpectedly and starts again in 5 seconds",
    "charter-in-force": "info: a new `charter` (version) was verified, stored and applied",
    "charter-needs-attention": "error: a new `charter` is in force, but keys or shares here do not fit it: `problem`",
    "certificate-rotated": "info: the new certificate is served",
    "shares-loaded": "info: the share files changed and were opened for `charter` (version)",
    "share-missing": "error: the node cannot evaluate for a seat: `problem`; it serves everything else",
    "certificate-expires": "warning: the node's certificate expires in `days`; issue a new one",
    "charter-expires": "warning: `charter` (version) expires in `days`; the members must sign the next one",
    "descriptors-scarce": "warning: `open` of `limit` descriptors are in use; further connections are refused",
    "descriptors-enough": "info: descriptors are no longer scarce",
    "file-refused": "error: a changed charter, certificate or share `file` was refused: `problem`; the old one stays",
    # health and audit
    "readiness-changed": "warning: `ready`, the check that failed: `problem`, and what it found: `reason`",
    "check-failed": "debug: a readiness `check` failed",
    "caller-refused": "warning: a caller was refused for `reason`; `problem` names it; `held_back` were only counted",
    "audit-failed": "warning: a refusal could not be written to the audit trail",
    "internal-error": "error: a fault of this node's own in `method`; the caller was given `incident`",
    "library-warning": "warning: `logger`, another library, warned",
    # publishing
    "tick-failed": "warning: nothing was signed at this tick: `problem`; the next tick tries again",
    "publishing-stopped": "error: a peer holds another history of this log: `problem`; nothing is signed any more",
    "unsigned-checkpoint-shown": "warning: `peer` shows a checkpoint of this log that this log's key did not sign",
    # following
    "following-failed": "warning: the last exchange with `member` failed or found a fault: `problem`",
    "bodies-restored": "warning: `count` bodies that were erased too early, by a clock ahead, were fetched again",
    "restoring-failed": "warning: bodies that were erased too early could not be fetched again yet: `problem`",
    "charter-refused": "warning: `peer` offered a charter that does not verify: `problem`",
    "log-quarantined": "error: `origin` signed two histories; the proof is kept and the log followed no further",
    # evaluating
    "evaluator-skipped": "info: `seat` did not serve a batch, for `reason`; another quorum was asked",
    "false-complaint": "warning: this member's client complained of `seat` without ground: `problem`",
    "bad-partial": "error: `evaluator` signed a partial whose proof fails; the evidence is in the audit trail",
}
