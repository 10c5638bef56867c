"""Which dialect an answer is in: its content type says whether it streams, its endpoint how."""

from collections.abc import Callable

from foreman.core.gather.anthropic import MessageGathering
from foreman.core.gather.gathering import Gathering
from foreman.core.gather.native import NativeGathering
from foreman.core.gather.openai_chat import ChatGathering
from foreman.core.gather.openai_completions import CompletionGathering
from foreman.core.gather.responses import ResponsesGathering
from foreman.core.gather.whole import WholeGathering

_BY_EVENTS: dict[str, Callable[[int], Gathering]] = {
    "/v1/chat/completions": ChatGathering,
    "/v1/completions": CompletionGathering,
    "/v1/responses": ResponsesGathering,
    "/v1/messages": MessageGathering,
}


def gathering_for(endpoint: str, content_type: str, *, limit_bytes: int) -> Gathering:
    """Return what gathers an answer of `endpoint` with a 200 and this Content-Type.

    What asked for a stream is not always given one: Ollama tells a load in a single object.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/x-ndjson":
        return NativeGathering(limit_bytes, is_chat=endpoint == "/api/chat")
    if media_type == "text/event-stream" and endpoint in _BY_EVENTS:
        return _BY_EVENTS[endpoint](limit_bytes)
    return WholeGathering(limit_bytes, is_json=media_type.endswith("json"))
