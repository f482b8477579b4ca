"""What can go wrong with the casebook. A message says what happened, to what, and what to do next, and no value."""

from __future__ import annotations

from tocsin.detect.errors import DetectError


class CasebookError(DetectError, ValueError):
    """Root of the errors of `tocsin.detect.casebook`."""


class NoCasebook(CasebookError):
    """A folder that holds no casebook."""


class BadSettings(CasebookError):
    """A casebook.toml with an unknown key or a value out of range."""


class CasebookTooNew(CasebookError):
    """A database that a later release has written."""


class ForeignCasebook(CasebookError):
    """A database of another program, or one that was made with another key."""


class CasebookUnavailable(DetectError):
    """A database that cannot be reached, or is locked for too long."""


class NoSuchFlag(CasebookError):
    """A flag, or an account, that the casebook does not have."""


class NoSuchCampaign(CasebookError):
    """A campaign that the casebook does not have, or no longer has."""


class NotYours(CasebookError):
    """A flag that another reviewer has claimed."""


class NotOpen(CasebookError):
    """A flag that was decided meanwhile."""


class BadVerdict(CasebookError):
    """An outcome or a reason that does not fit."""


class BrokenHistory(CasebookError):
    """A history of which a row was changed or taken out."""
