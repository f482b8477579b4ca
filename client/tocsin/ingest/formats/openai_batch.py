"""OpenAI and Azure batch input files: `custom_id`, `method`, `url` and the `body` of one request a line.

1. The file has no field for the account, and `custom_id` is the sender's numbering. The account is what the body names:
   `safety_identifier`, `user` or `metadata.user_id`; a body without any is refused.
2. The file has no times: the exchange is undated, and the reader gives it the time of the file.
3. Chat completions, responses, messages and completions are conversations, whatever stands before or behind in the URL;
   other calls, embeddings and images for two, are skipped.
4. Of a reusable prompt the text is at the provider; what the request fills in is the user's turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..accounts import account_among
from ..exchange import UNDATED, BadExchange, Exchange
from .json_values import mapping, text
from .messages import request_of
from .request_options import parameters_of, tools_beside

_CONVERSATIONS = ("/chat/completions", "/responses", "/completions", "/messages")


def read(document: Any) -> Iterator[Exchange]:
    """The exchange of one line. Raises BadExchange."""
    body = mapping(document.get("body")) if type(document) is dict else None
    if not body:
        raise BadExchange("not a batch request with a body")
    url = document.get("url")
    if type(url) is str and not url.partition("?")[0].rstrip("/").endswith(_CONVERSATIONS):
        return
    named = account_among(
        (body.get("safety_identifier"), body.get("user"), mapping(body.get("metadata")).get("user_id")),
        "none of body.safety_identifier, body.user and body.metadata.user_id names an account",
    )
    turns = request_of(body)
    conversation = body.get("conversation")
    yield Exchange(
        account=named.account,
        conversation=named.conversation or text(conversation) or text(mapping(conversation).get("id")) or "",
        time=UNDATED,
        system=turns.system,
        tools=tools_beside(body),
        first_user_turn=turns.first,
        parameters=parameters_of(body),
        last_user_turn=turns.last,
        user_turns=turns.user_turns,
        device=named.device,
    )
