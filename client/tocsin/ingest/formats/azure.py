"""Azure: logs of API Management about language models, and diagnostic records of Azure Monitor.

1. `GatewayLlmLogs` of API Management: `properties.requestMessages`, or the columns of `ApiManagementGatewayLlmLog`.
   They name no user. The account is a `userId` that a policy adds; without one they are refused.
2. `GatewayLogs`, or the columns of `ApiManagementGatewayLogs`: the account is `userId`, else the subscription; the
   request is `BackendRequestBody` or `RequestBody`, where the diagnostic setting keeps bodies.
3. Records of one request in several parts, by `sequenceNumber`: the first has the messages or their beginning; the
   others are skipped.
4. `RequestResponse` of Azure OpenAI keeps no content; it has a caller's masked address, which is none.
5. Application Insights (`AppDependencies` and the like, `customDimensions` of its own tables) has spans: the attributes
   are the properties, the user those of `enduser.id`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..accounts import account_among
from ..exchange import BadExchange, Exchange
from ..times import time_of
from .json_values import first_text, loads, mapping, text
from .messages import request_of
from .request_options import parameters_of, tools_beside
from .spans import Span, exchanges_of

CATEGORIES = frozenset(("GatewayLlmLogs", "GatewayLogs", "RequestResponse", "Audit", "Trace"))
_TABLES = frozenset(("ApiManagementGatewayLlmLog", "ApiManagementGatewayLogs"))
_SPANS = frozenset(("AppDependencies", "AppRequests", "AppTraces", "dependency", "request", "trace"))
# What the exporter makes of an attribute, in workspaces and in the resource's own tables.
_WHO = {
    "enduser.id": ("UserAuthenticatedId", "user_AuthenticatedId"), "enduser.pseudo.id": ("UserId", "user_Id"),
    "session.id": ("SessionId", "session_Id"),
}  # fmt: skip


def is_record(document: Mapping[str, Any]) -> bool:
    """Whether an object is one of these records, by names that only they have."""
    return (
        (text(document.get("category")) in CATEGORIES and "properties" in document)
        or text(document.get("Type")) in _TABLES
        or ({"CorrelationId", "TimeGenerated"} <= document.keys() and "RequestMessages" in document)
        or ("TimeGenerated" in document and "ApimSubscriptionId" in document)
        or _is_span(document)
    )


def _is_span(document: Mapping[str, Any]) -> bool:
    return (
        text(document.get("Type")) in _SPANS and ("Properties" in document or "properties" in document)
    ) or (text(document.get("itemType")) in _SPANS and "customDimensions" in document)


def _span(document: Mapping[str, Any]) -> Span:
    given = next(
        (document[name] for name in ("Properties", "properties", "customDimensions") if name in document),
        None,
    )
    attributes = {
        name: value for name, columns in _WHO.items() if (value := first_text(document, *columns)) is not None
    } | dict(mapping(_json(given)))
    key = tuple(first_text(document, *names) for names in (("OperationId", "operation_Id"), ("Id", "id")))
    try:
        time = time_of(_first(document, "time", "TimeGenerated", "timestamp"), "time")
    except BadExchange:
        time = None
    return Span(key if all(key) else (None, id(document)), None, time, attributes, {})


def read(document: Any) -> Iterator[Exchange]:
    """The exchange of one record. Raises BadExchange."""
    if type(document) is not dict:
        raise BadExchange("not a JSON object")
    if _is_span(document):
        yield from exchanges_of([_span(document)])
        return
    given = {**document, **mapping(document.get("properties"))}
    category = document.get("category")
    if category in ("Audit", "Trace"):
        return
    sequence = given.get("sequenceNumber", given.get("SequenceNumber"))
    if type(sequence) is int and sequence > 0:
        return
    messages = _first(given, "requestMessages", "RequestMessages")
    body = mapping(
        _json(_first(given, "backendRequestBody", "BackendRequestBody", "requestBody", "RequestBody"))
    )
    headers = mapping(_json(_first(given, "requestHeaders", "RequestHeaders")))
    named = account_among(
        (
            *(given.get(name) for name in ("userId", "UserId")),
            body.get("user"),
            body.get("safety_identifier"),
            mapping(body.get("metadata")).get("user_id"),
            *(given.get(name) for name in ("apimSubscriptionId", "ApimSubscriptionId")),
            given.get("objectId"),
        ),
        "the record names no user; have a policy of API Management add userId",
    )
    turns = request_of(_json(messages)) if messages else request_of(body)
    yield Exchange(
        account=named.account,
        conversation=first_text(given, "sessionId", "SessionId", "conversationId") or named.conversation,
        time=time_of(_first(document, "time", "TimeGenerated", "timestamp"), "time"),
        system=turns.system,
        tools=tools_beside(body),
        first_user_turn=turns.first,
        address=first_text(given, "callerIpAddress", "CallerIpAddress", "callerIPAddress"),
        user_agent=text(headers.get("User-Agent")),
        parameters=parameters_of(body),
        last_user_turn=turns.last,
        device=named.device,
        user_turns=turns.user_turns,
        unread="requestMessages" if messages and turns.first is None else None,
    )


def _first(given: Mapping[str, Any], *names: str) -> Any:
    return next((given[name] for name in names if given.get(name) not in (None, "")), None)


def _json(value: Any) -> Any:
    return loads(value) if type(value) is str and value[:1] in ("[", "{") else value
