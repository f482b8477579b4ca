"""Generate the gRPC modules beside the .proto files: `python protos/generate.py OUT`.

The generators are those of the active environment, at the locked versions: the same files give the same bytes.
"""

import os
import sys
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent


def generate(out: Path) -> None:
    """Write `tocsin/v1/*_pb2*.py[i]` under `out`; raise SystemExit where a generator fails."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    kinds = ("python", "mypy", "grpc_python", "mypy_grpc")
    files = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.glob("tocsin/v1/*.proto"))
    status = protoc.main(
        [
            "protoc",
            f"-I{PROTOS}",
            *(f"--{kind}_out=quiet:{out}" if "mypy" in kind else f"--{kind}_out={out}" for kind in kinds),
            *files,
        ]
    )
    if status != 0:
        raise SystemExit(f"protoc failed with status {status}")


if __name__ == "__main__":
    generate(Path(sys.argv[1]))
