"""AWS Bedrock model invocation logs, as S3 and CloudWatch have them.

1. The account is what the caller put into the request: `requestMetadata` (`user_id`, `userId`, `user` …), else what the
   body names, as Anthropic's `metadata.user_id` does; else `identity.arn`. A role's session that the SDK numbers itself
   (`botocore-session-…`) is new with each process: then the role is the account.
2. A gateway that calls Bedrock under one role for all its users must pass `requestMetadata`; the ARN is the gateway's.
3. The body is that of Converse or of the model's API: Anthropic, Nova, Titan, Llama, Mistral, Cohere, AI21.
   Embeddings and images are no exchanges. A body above 100 KB is kept in another object, which is named by
   `inputBodyS3Path`: the exchange counts, without content.
4. The conversation is a session that `requestMetadata` names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..accounts import account_among
from ..exchange import BadExchange, Exchange
from ..times import time_of
from .json_values import first_text, loads, mapping
from .messages import request_of
from .request_options import parameters_of, tools_beside

USER_NAMES = (
    "user_id", "userId", "user-id", "user", "UserId", "username", "userName", "end_user", "endUser", "end_user_id",
    "account", "account_id", "accountId", "customer_id", "customerId", "tenant_id", "tenantId",
)  # fmt: skip
SESSION_NAMES = (
    "session_id", "sessionId", "session-id", "session", "conversation_id", "conversationId", "thread_id", "threadId",
    "chat_id", "chatId",
)  # fmt: skip
_NUMBERED_SESSION = re.compile(
    r"(.+:assumed-role/[^/]+)/(?:botocore-session-\d+|aws-sdk-[a-z-]+-\d+|\d{10,})$"
)
_NO_CONVERSATION = frozenset(
    ("taskType", "texts", "inputText_embedding", "input_type", "textToImageParams", "text_prompts")
)


def read(document: Any) -> Iterator[Exchange]:
    """The exchange of one invocation. Raises BadExchange."""
    if type(document) is not dict or document.get("schemaType") != "ModelInvocationLog":
        raise BadExchange("not a model invocation log")
    given = mapping(document.get("input"))
    body = given.get("inputBodyJson")
    if type(body) is str:
        body = loads(body)
    if type(body) is list:  # an invocation with a bidirectional stream logs its events
        body = {"messages": body}
    request: Mapping[str, Any] = mapping(body)
    model = document.get("modelId")
    if _is_no_conversation(model, request):
        return
    metadata = mapping(document.get("requestMetadata")) or mapping(request.get("requestMetadata"))
    named = account_among(
        (
            *(metadata.get(name) for name in USER_NAMES),
            mapping(request.get("metadata")).get("user_id"),
            request.get("user"),
            _caller(mapping(document.get("identity")).get("arn")),
        ),
        "neither requestMetadata nor identity.arn names an account",
    )
    if type(request.get("message")) is str:  # Cohere's, with or without its history
        request = {"chat_history": [], **request}
    turns = request_of(request)
    inference = mapping(request.get("inferenceConfig"))
    yield Exchange(
        account=named.account,
        conversation=first_text(metadata, *SESSION_NAMES) or named.conversation,
        time=time_of(document.get("timestamp"), "timestamp"),
        system=turns.system,
        tools=tools_beside(request),
        first_user_turn=turns.first,
        address=first_text(metadata, "client_address", "client_ip", "ip_address", "sourceIp"),
        parameters=parameters_of({**request, **inference}),
        last_user_turn=turns.last,
        device=named.device,
        user_turns=turns.user_turns,
        unread=None if turns.first else _unread(given),
    )


def _is_no_conversation(model: Any, request: Mapping[str, Any]) -> bool:
    named = type(model) is str and any(
        word in model.lower()
        for word in ("embed", "rerank", "image", "stable-diffusion", "stability.", "luma.")
    )
    return named or not _NO_CONVERSATION.isdisjoint(request)


def _caller(arn: Any) -> Any:
    if type(arn) is str and (match := _NUMBERED_SESSION.match(arn)):
        return match[1]
    return arn


def _unread(given: Mapping[str, Any]) -> str | None:
    if "inputBodyS3Path" in given:
        return "input.inputBodyS3Path"
    return "input.inputBodyJson" if given.get("inputBodyJson") else None
