"""What every format yields: one exchange of an account with a model, which is one request and its answer.

1. An exchange holds the system prompt and the first and last user turn of its request, never what lies between and
   never an answer. A text that is not known to be the user's turn is no turn.
2. `conversation` is the id of a session or thread where the format has one, else empty. An id that is new with every
   request is no conversation: if it counted as one, each request would look like a separate conversation.
3. `time` is unix seconds; `UNDATED` where the format has no times, for the reader of the file to fill in.
4. Neither the repr of an exchange nor the message of a BadExchange shows what a user typed or holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

UNDATED = 0.0
MAX_ACCOUNT_BYTES = 1_024
_END_OF_TIME = 253_402_300_800  # the year 10000, where dates end


class BadExchange(ValueError):
    """A document that is no exchange, or `count` parts of it that are none. `rule` never repeats the content."""

    def __init__(self, rule: str, count: int = 1) -> None:
        super().__init__(rule)
        self.rule = rule
        self.count = count


@dataclass(slots=True)
class Exchange:
    """One exchange of an account with a model."""

    account: str = field(repr=False)
    conversation: str = field(repr=False)  # chosen by the client, in most formats
    time: float
    system: str | None = field(default=None, repr=False)
    tools: str | None = field(default=None, repr=False)  # JSON text of the array of tool schemas
    first_user_turn: str | None = field(default=None, repr=False)
    address: str | None = field(default=None, repr=False)
    user_agent: str | None = field(default=None, repr=False)
    ja4: str | None = field(default=None, repr=False)
    parameters: str | None = field(default=None, repr=False)  # compact JSON of temperature and the like
    last_user_turn: str | None = field(default=None, repr=False)
    """The last user turn of the request, where it is another than the first."""
    device: str | None = field(default=None, repr=False)  # a `device.id`, as `vendor:identifier`
    user_turns: int = 0
    """How many user turns the request has; 0 where that is not known."""
    values: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Further values of the account by type, where the log names some: an e-mail address, a payment reference."""
    unread: str | None = field(default=None, repr=False)
    """The name of a field that should hold content and was not understood, where there is no user turn."""

    @property
    def has_content(self) -> bool:
        """False where the source keeps who and when, but not what: content capture is off."""
        return self.first_user_turn is not None or self.system is not None


def checked_time(value: object, rule: str) -> float:
    """Unix seconds out of a number. Raises BadExchange with `rule`."""
    if (type(value) is float or type(value) is int) and 0 < value < _END_OF_TIME:
        return float(value)
    raise BadExchange(rule)
