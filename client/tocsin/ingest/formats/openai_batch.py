"""OpenAI batch input files: `custom_id`, `method`, `url` and the `body` of one request a line.

1. The file carries no account of its own and `custom_id` is the sender's numbering. The account is what the body names:
   `safety_identifier`, `user` or `metadata.user_id`; a body without any is refused.
2. The file has no times: the exchange is undated, and the reader gives it the time of the file.
3. Chat completions, responses and completions are conversations; embeddings, moderations and images are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..exchange import UNDATED, BadExchange, Exchange
from .messages import mapping, opening, parameters_of, text, text_of, tools_of

_CONVERSATIONS = ("/chat/completions", "/responses", "/completions")


def read(document: Any) -> Iterator[Exchange]:
    """The exchange of one line. Raises BadExchange."""
    body = mapping(document.get("body")) if type(document) is dict else None
    if not body:
        raise BadExchange("not a batch request with a body")
    url = document.get("url")
    if type(url) is str and not url.endswith(_CONVERSATIONS):
        raise BadExchange("url is not that of a conversation")
    account = (
        text(body.get("safety_identifier"))
        or text(body.get("user"))
        or text(mapping(body.get("metadata")).get("user_id"))
    )
    if account is None:
        raise BadExchange(
            "none of body.safety_identifier, body.user and body.metadata.user_id names an account"
        )
    messages = next((body[name] for name in ("messages", "input", "prompt") if name in body), None)
    system, turn = opening(messages)
    conversation = body.get("conversation")
    yield Exchange(
        account=account,
        conversation=text(conversation) or text(mapping(conversation).get("id")) or "",
        time=UNDATED,
        system=text_of(body.get("instructions")) or system,
        tools=tools_of(body.get("tools")) or tools_of(body.get("functions")),
        first_user_turn=turn,
        parameters=parameters_of(body),
    )
