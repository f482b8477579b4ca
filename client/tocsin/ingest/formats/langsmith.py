"""LangSmith: runs, as its API, its SDK and its bulk export (Parquet) give them.

1. Runs of the type `llm` are exchanges; chains, tools and retrievers are skipped. Runs nested in `child_runs` are read.
2. The account is in the metadata, `user_id` or the like. The conversation is the thread, `thread_id`, `session_id` or
   `conversation_id` there; the `session_id` of the run itself is its project.
3. `inputs` holds messages, or `prompts` in which LangChain has labelled the roles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..accounts import account_among
from ..exchange import BadExchange, Exchange
from ..times import time_of
from .bedrock import SESSION_NAMES, USER_NAMES
from .json_values import each_of, first_text, mapping
from .messages import request_of
from .request_options import parameters_of, tools_beside

_MAX_DEPTH = 32


def is_record(document: Mapping[str, Any]) -> bool:
    """Whether an object is one of these runs, by names that only they have."""
    return "run_type" in document and "start_time" in document


def read(document: Any) -> Iterator[Exchange]:
    """The exchanges of one run, or of a page of runs. Raises BadExchange, after those that could be read."""
    if type(document) is not dict:
        raise BadExchange("not a JSON object")
    runs = document["runs"] if type(document.get("runs")) is list else [document]
    yield from each_of((run for top in runs for run in _calls(top, {}, 0)), _exchange)


def _calls(
    run: Any, above: Mapping[str, Any], depth: int
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    if type(run) is not dict or depth > _MAX_DEPTH:
        return
    metadata = {**above, **mapping(mapping(run.get("extra")).get("metadata")), **mapping(run.get("metadata"))}
    if run.get("run_type") == "llm":
        yield run, metadata
    children = run.get("child_runs")
    for child in children if type(children) is list else []:
        yield from _calls(child, metadata, depth + 1)


def _exchange(pair: tuple[Mapping[str, Any], Mapping[str, Any]]) -> Exchange:
    run, metadata = pair
    named = account_among(
        (metadata.get(name) for name in USER_NAMES),
        "the run's metadata names no account; have the application set user_id in it",
    )
    inputs = mapping(run.get("inputs"))
    invocation = mapping(mapping(run.get("extra")).get("invocation_params"))
    turns = request_of(dict(inputs))
    return Exchange(
        account=named.account,
        conversation=first_text(metadata, *SESSION_NAMES) or named.conversation,
        time=time_of(run.get("start_time"), "start_time"),
        system=turns.system,
        tools=tools_beside(invocation) or tools_beside(inputs),
        first_user_turn=turns.first,
        address=first_text(metadata, "client_address", "ip_address"),
        parameters=parameters_of(invocation),
        last_user_turn=turns.last,
        device=named.device,
        user_turns=turns.user_turns,
        unread="inputs" if inputs and turns.first is None else None,
    )
