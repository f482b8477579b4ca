"""A node of the product that also writes down everything it receives and answers: what its owner can always do.

    python spying_node.py NODE.TOML SPIED.JSONL

One line per unary call: method, caller (member id and role), request and answer as they were on the wire.
"""

from __future__ import annotations

import base64
import inspect
import json
import sys
from collections.abc import Awaitable, Callable
from io import RawIOBase
from pathlib import Path
from typing import Any

from tocsin.node.config import load_config
from tocsin.node.process import run_node
from tocsin.node.rpc import servicers
from tocsin.node.rpc.guard import current_caller


def spied(name: str, serve: Callable[..., Awaitable[Any]], file: RawIOBase) -> Callable[..., Awaitable[Any]]:
    async def serve_and_write(self: Any, request: Any, context: Any) -> Any:
        caller = current_caller()
        line = {
            "method": name,
            "caller": caller.member.hex(),
            "role": str(caller.role),
            "request": base64.b64encode(request.SerializeToString()).decode(),
        }
        answer = None
        try:
            answer = await serve(self, request, context)
        finally:
            if answer is not None:
                line["answer"] = base64.b64encode(answer.SerializeToString()).decode()
            file.write(json.dumps(line).encode() + b"\n")  # one write, so that no reader sees half a line
        return answer

    return serve_and_write


def main() -> int:
    config, spool = Path(sys.argv[1]), Path(sys.argv[2])
    with spool.open("ab", buffering=0) as file:
        for _, servicer in inspect.getmembers(servicers, inspect.isclass):
            for name, serve in inspect.getmembers(servicer, inspect.iscoroutinefunction):
                if servicer.__module__ == servicers.__name__ and name[0].isupper():
                    setattr(servicer, name, spied(name, serve, file))
        return run_node(load_config(config))


if __name__ == "__main__":
    sys.exit(main())
