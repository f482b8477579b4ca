"""Files of prompts that a person names: one prompt a line, or JSON lines with `prompt`.

1. A file is JSON lines where its first character is `{`. It may be packed with gzip.
2. A JSON array is refused, since its lines would be taken as prompts: a file whose first line is `[`, or an array by
   itself. A prompt may begin with `[`.
3. A line that cannot be read is reported by its number, never by its content.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

from tocsin.ingest.decompression import GZIP
from tocsin.ingest.line_splitting import MAX_LINE


class BadPrompts(ValueError):
    """A file of prompts that cannot be read; the message names file and line."""


def read_prompts(path: Path) -> Iterator[str]:
    """Yield the prompts of a file. Raises `BadPrompts`, OSError."""
    with path.open("rb") as raw:
        packed = raw.peek(len(GZIP)).startswith(GZIP)
        file = io.TextIOWrapper(gzip.GzipFile(fileobj=raw) if packed else raw, encoding="utf-8-sig")
        number, as_json = 0, False
        try:
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE:
                    raise BadPrompts(f"{path}:{number}: the line has more than {MAX_LINE >> 20} MiB")
                if number == 1:
                    as_json = line.lstrip().startswith("{")
                    if _begins_array(line):
                        raise BadPrompts(
                            f"{path} is a JSON array: write JSON lines, an object with the text `prompt` on each line"
                        )
                if line.strip():
                    yield _of_json(path, number, line) if as_json else line
        except UnicodeDecodeError:
            raise BadPrompts(f"{path}: is not UTF-8 after line {number}") from None
        except (gzip.BadGzipFile, zlib.error, EOFError):
            raise BadPrompts(f"{path}: the gzip stream is damaged after line {number}") from None


def _begins_array(line: str) -> bool:
    try:
        return line.strip() == "[" or isinstance(json.loads(line), list)
    except (ValueError, RecursionError):
        return False


def _of_json(path: Path, number: int, line: str) -> str:
    try:
        prompt = json.loads(line)["prompt"]
    except (ValueError, KeyError, TypeError, RecursionError):
        prompt = None
    if not isinstance(prompt, str):
        raise BadPrompts(f"{path}:{number}: the line is not a JSON object with the text `prompt`")
    return prompt
