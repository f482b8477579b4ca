"""Anthropic message batches: `custom_id` and the `params` of one request a line, or the whole body with `requests`.

1. The file has no field for the account, and `custom_id` is the sender's numbering. The account is what the parameters
   name: `metadata.user_id`, else `user_profile_id`, else that of the whole body; a request without any is refused.
2. The file has no times: the exchange is undated, and the reader gives it the time of the file.
3. Requests that can be read are read, also where others beside them cannot.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..accounts import account_among
from ..exchange import UNDATED, BadExchange, Exchange
from .json_values import each_of, mapping, text
from .messages import request_of
from .request_options import parameters_of, tools_of


def read(document: Any) -> Iterator[Exchange]:
    """The exchanges of one line or body. Raises BadExchange, after those that could be read."""
    if type(document) is not dict:
        raise BadExchange("not a JSON object")
    requests = document.get("requests")
    if type(requests) is not list:
        yield _request(document, None)
        return
    profile = text(document.get("user_profile_id"))
    yield from each_of(requests, lambda request: _request(request, profile))


def _request(document: Any, profile: str | None) -> Exchange:
    params = mapping(document.get("params")) if type(document) is dict else None
    if not params:
        raise BadExchange("not a batch request with params")
    named = account_among(
        (mapping(params.get("metadata")).get("user_id"), params.get("user_profile_id"), profile),
        "neither params.metadata.user_id nor user_profile_id names an account",
    )
    turns = request_of(params)
    return Exchange(
        account=named.account,
        conversation=named.conversation,
        time=UNDATED,
        system=turns.system,
        tools=tools_of(params.get("tools")),
        first_user_turn=turns.first,
        parameters=parameters_of(params),
        last_user_turn=turns.last,
        user_turns=turns.user_turns,
        device=named.device,
    )
