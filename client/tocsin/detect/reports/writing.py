"""New files and folders that are there whole or not at all, and never in place of something else."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_new(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read. Raises FileExistsError, OSError."""
    check_new(path)
    fresh = Path(tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)[1])
    try:
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(fresh, path)  # fails where somebody was faster
    finally:
        fresh.unlink()


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to fill, which becomes `path` at the end; where anything fails, nothing is left.

    Raises FileExistsError, OSError.
    """
    check_new(path)
    fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield fresh
        for file in sorted(fresh.rglob("*")):
            if file.is_file():
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
        check_new(path)
        fresh.rename(path)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def check_new(path: Path) -> None:
    """Raise FileExistsError where something has this name, FileNotFoundError where its folder is missing."""
    if path.is_symlink() or path.exists():
        raise FileExistsError(17, "File exists", str(path))
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(2, "No such file or directory", str(path.parent))
