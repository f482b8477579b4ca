"""Start-up with bytecode compiled: `tocsin --help`, and a node from exec to the line that says it serves.

The primitive of the first is the bare interpreter. The node opens its keyring, its database and its shares, verifies
its charter and listens; the federation it starts in is new.
"""

from __future__ import annotations

import compileall
import subprocess
import sys
import time

import measure

from federation import founded
from tocsin.localnet.federation import Nodes

NAME = "start"
HELP_S, NODE_S = 0.3, 2.0
TOCSIN = "import sys; sys.argv[0] = 'tocsin'; from tocsin.cli.main import main; sys.exit(main())"
"""What the installed command runs."""


def run(*arguments: str) -> float:
    """Run the interpreter; return how long it took."""
    return measure.seconds(
        lambda: subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    )


def main() -> None:
    """Measure and tell."""
    parser = measure.arguments(NAME, __doc__ or "")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--node-rounds", type=int, default=7)
    options = parser.parse_args()
    if options.smoke:
        options.rounds, options.node_rounds = 1, 1
    for part in ("privacy", "protos", "client", "node"):
        compileall.compile_dir(measure.ROOT / part, quiet=2)

    shown, bare = measure.in_turns(
        options.rounds,
        lambda: run("-c", TOCSIN, "--help"),
        lambda: run("-c", "pass"),
        warm_up=0 if options.smoke else 2,
    )
    with founded(3, threshold=2, tick_seconds=60) as homes:
        nodes, peak, used = Nodes(homes[:1]), 0.0, []

        def start() -> float:
            nonlocal peak
            began = time.perf_counter()
            nodes.launch(homes[0])
            nodes.await_serving(homes[0])
            took = time.perf_counter() - began
            processes = [process.pid for process in nodes.processes.values()]
            peak = measure.peak_mib(processes)
            used.append(measure.cpu_of(processes))
            nodes.stop_one(homes[0])
            return took

        try:
            (served,) = measure.in_turns(options.node_rounds, start, warm_up=0 if options.smoke else 1)
        finally:
            nodes.stop()
    help_s, node_s, bare_s = measure.median(shown), measure.median(served), measure.median(bare)
    measure.tell(
        NAME,
        [
            measure.Figure(
                "`tocsin --help`", "s", help_s, bare_s, help_s / bare_s, f"≤ {HELP_S} s", help_s <= HELP_S
            ),
            measure.Figure(
                "node, exec to SERVING",
                "s",
                node_s,
                bare_s,
                node_s / bare_s,
                f"≤ {NODE_S:g} s",
                node_s <= NODE_S,
            ),
        ],
        samples=options.rounds,
        cpu_seconds=sum(used),
        peak=peak,
    )


if __name__ == "__main__":
    main()
