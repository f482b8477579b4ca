"""What libraries call the account, the conversation and the address on a span, in order of preference."""

from __future__ import annotations

_ASSOCIATION = "traceloop.association.properties."
_AI = "ai.telemetry.metadata."
# Where a library keeps what the application says about a call, and what it calls the user and the conversation there.
_SAID = (
    _ASSOCIATION, _AI, "langfuse.observation.metadata.", "langfuse.trace.metadata.", "langsmith.metadata.",
    "lmnr.association.properties.", "opik.metadata.", "braintrust.metadata.", "metadata.",
)  # fmt: skip
_USER = ("user_id", "userId", "user")
_SESSION = (
    "session_id", "sessionId", "conversation_id", "conversationId", "chat_id", "chatId", "thread_id", "threadId",
)  # fmt: skip
# In order of preference: the conventions; Langfuse; LiteLLM's two integrations, the key's user and then the end user;
# what an application says; ADK, MLflow and PostHog; the `user` of a request; and plain names.
ACCOUNT = (
    "user.id", "enduser.id", "enduser.pseudo.id", "langfuse.user.id", "litellm.metadata.user_api_key_user_id",
    "metadata.user_api_key_user_id", "litellm.end_user.id", "litellm.metadata.user_api_key_end_user_id",
    "metadata.user_api_key_end_user_id", *(prefix + name for prefix in _SAID for name in _USER),
    "gcp.vertex.agent.user_id", "mlflow.trace.user", "posthog.distinct_id", "posthog_distinct_id",
    f"{_AI}posthog_distinct_id", "gen_ai.user.id", "gen_ai.user", "llm.user", "gen_ai.request.user",
    "gen_ai.openai.request.user", "openai.request.user", "app.user.id", "app.user_id", "user_id", "userId",
)  # fmt: skip
CONVERSATION = (
    "gen_ai.conversation.id", "session.id", "langfuse.session.id",
    *(prefix + name for prefix in _SAID for name in _SESSION), "gcp.vertex.agent.session_id", "mlflow.trace.session",
    "app.session.id", "session_id", "conversation_id",
)  # fmt: skip
ADDRESS = (
    "client.address", "http.client_ip", "client.socket.address", "litellm.metadata.requester_ip_address",
    "metadata.requester_ip_address",
)  # fmt: skip
USER_AGENT = ("user_agent.original", "http.user_agent", "metadata.user_agent")
JA4 = ("tls.client.ja4", "client.ja4", "ja4")
WHO = frozenset((*ACCOUNT, *CONVERSATION, *ADDRESS, *USER_AGENT, *JA4))
