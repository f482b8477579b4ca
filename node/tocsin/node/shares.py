"""The member's shares of class keys: the `Shares` port on its share files.

1. A share opens under `node_hpke` for its place (M-8.2) and fits the charter's commitments.
2. `load` opens every share of the live class keys of a charter, then replaces the whole set in one assignment. A file
   that is missing or wrong costs that seat alone: what is wrong is kept in `problems`, and the rest is served.
3. Files of epochs that the charter does not name are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tocsin.charter.document import Charter, ClassKey
from tocsin.node.config import ConfigError, NodeConfig
from tocsin.node.keys import NodeKeys, read_file
from tocsin.oprf.group import BadScalar, Scalar, decode_scalar
from tocsin.oprf.shares import BadShare, verify_share
from tocsin.sealing import hpke


class FileShares:
    """Shares from the folder that the settings name; none before the first `load`."""

    def __init__(self, config: NodeConfig, keys: NodeKeys) -> None:
        self._config = config
        self._keys = keys
        self._held: Mapping[tuple[int, int, int], Scalar] = {}
        self.problems: tuple[str, ...] = ()

    def share(self, key_class: int, epoch: int, seat: int) -> Scalar | None:
        """Return the share of a class key's seat, None where this node holds none."""
        return self._held.get((key_class, epoch, seat))

    def check(self) -> None:
        """Raise `ConfigError` while a share of a live class key is missing."""
        if self.problems:
            raise ConfigError("; ".join(self.problems))

    def load(self, charter: Charter, now: int) -> None:
        """Open the shares of every class key that is live at `now` (unix seconds); `problems` says which failed."""
        folder = self._config.path(self._config.shares)
        held: dict[tuple[int, int, int], Scalar] = {}
        problems: list[str] = []
        for key_class in sorted({key.key_class for key in charter.classes}):
            for key in charter.live_classes(key_class, now):
                for seat in key.seats_of(self._config.member_id):
                    path = folder / f"{key.key_class}-{key.epoch}-{seat}.share"
                    try:
                        held[key.key_class, key.epoch, seat] = self._open(path, charter.federation, key, seat)
                    except ConfigError as error:
                        problems.append(str(error))
        self._held, self.problems = held, tuple(problems)

    def _open(self, path: Path, federation: str, key: ClassKey, seat: int) -> Scalar:
        sealed = read_file(path, "shares")
        info = hpke.share_info(federation, key.key_class, key.epoch, seat, self._config.member_id)
        try:
            share = decode_scalar(hpke.open_sealed(self._keys.node_hpke, info, sealed))
            verify_share(share, seat, key.commitments)
        except hpke.CannotOpen as error:
            raise ConfigError(f"{path}: {error}") from None
        except (BadScalar, BadShare):
            raise ConfigError(
                f"{path}: not the share that the charter commits to for class {key.key_class}, epoch {key.epoch}, "
                f"seat {seat}; put the file here that was dealt to this seat"
            ) from None
        return share
