"""The rival of `match`: a private set intersection of the whole sets, by openmined-psi. Runs in its own environment.

Elliptic-curve PSI with the Golomb-compressed set, client learns the intersection; CPU seconds of both parties. Prints
one JSON line. It knows nothing of Tocsin, and Tocsin nothing of it.
"""

import json
import sys
import time

import private_set_intersection.python as psi  # type: ignore[import-not-found] # only in its own environment

FALSE_POSITIVES = 1e-9


def main() -> None:
    """Intersect two sets that share one value in a hundred."""
    size = int(sys.argv[1])
    shared = size // 100
    both = [f"shared-{number}@example.com" for number in range(shared)]
    client_set = [f"client-{number}@example.com" for number in range(size - shared)] + both
    server_set = [f"server-{number}@example.com" for number in range(size - shared)] + both
    client = psi.client.CreateWithNewKey(True)
    server = psi.server.CreateWithNewKey(True)
    began = time.process_time()
    setup = server.CreateSetupMessage(FALSE_POSITIVES, size, server_set, psi.DataStructure.GCS)
    response = server.ProcessRequest(client.CreateRequest(client_set))
    found = client.GetIntersection(setup, response)
    spent = time.process_time() - began
    if len(found) != shared:
        raise SystemExit(f"the intersection has {len(found)} values, {shared} are shared")
    print(json.dumps({"cpu_seconds": spent, "size": size}))


if __name__ == "__main__":
    main()
