"""OpenAI's Responses dialect: /v1/responses, SSE or one object.

The events are Go maps, so their keys are sorted; the whole answer is a struct, so they are not.
"""

import random
import time
from typing import Any

from foreman.simulation.answers import Answer, ToolCall
from foreman.simulation.ask import Ask, render_chat
from foreman.simulation.decode import Fields, Refused, folded, read_fields
from foreman.simulation.response_parts import (
    as_map,
    call_item,
    message_item,
    part,
    reasoning_item,
    repeated_format,
    repeated_reasoning,
    repeated_tool,
    usage_of,
)
from foreman.simulation.voice import json_text, sse
from foreman.simulation.wire import go_json


def read_responses(body: bytes) -> tuple[Ask, Fields]:
    """The request, and its fields, which the answer repeats."""
    types = {
        "model": "string",
        "stream": "bool",
        "max_output_tokens": "int",
        "tools": "api.Tools",
        "reasoning": "openai.Reasoning",
        "text": "openai.ResponsesText",
    }
    fields = read_fields(body, struct="openai.ResponsesRequest", types=types, empty="EOF")
    given = fields.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given or []
    if not isinstance(items, list):
        raise Refused(400, "input must be a string or array")
    messages = [_message(folded(item)) for item in items]
    if fields.get("instructions"):
        messages.insert(0, {"role": "system", "content": fields["instructions"]})
    limit = fields.get("max_output_tokens")
    text_format = fields.get("text", {}).get("format", {})
    effort = fields.get("reasoning", {}).get("effort")
    ask = Ask(
        verb="chat",
        model=fields.get("model", ""),
        prompt=render_chat(messages),
        is_empty=not messages,
        stream=fields.get("stream", False),
        options={} if limit is None else {"num_predict": limit},
        think=None if effort is None else effort != "none",
        tools=fields.get("tools", ()),
        format=text_format.get("schema"),
    )
    return ask, fields


def _message(item: Fields) -> Fields:
    content: Any = item.get("content") or item.get("output") or item.get("arguments") or ""
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content)
    return {"role": item.get("role", "tool"), "content": content}


class ResponsesVoice:
    """A response and its numbered events."""

    json_type = "application/json"
    stream_type = "text/event-stream"
    stream_headers = {"Cache-Control": "no-cache", "Connection": "keep-alive"}  # noqa: RUF012  # never changed

    def __init__(self, ask: Ask, fields: Fields) -> None:
        self._ask = ask
        self._fields = fields
        self._id = f"resp_{random.randrange(999999)}"
        self._item_id = f"msg_{random.randrange(999999)}"
        self._reasoning_id = f"rs_{random.randrange(999999)}"
        self._created_at = int(time.time())
        self._number = 0
        self._output: list[Fields] = []  # the finished items
        self._open = ""  # the kind of the open one
        self._text = ""

    def word(self, token: str) -> bytes:
        events = self._begin() + self._open_text()
        self._text += token
        head = b"event: response.output_text.delta\ndata: "
        head += b'{"content_index":0,"delta":%b,"item_id":"%b","logprobs":[],"output_index":%d,'
        tail = b'"sequence_number":%d,"type":"response.output_text.delta"}\n\n'
        names = (json_text(token), self._item_id.encode(), len(self._output))
        self._number += 1
        return events + head % names + tail % (self._number - 1)

    def thought(self, token: str) -> bytes:
        events = self._begin()
        if self._open != "reasoning":
            self._open = "reasoning"
            item = {"id": self._reasoning_id, "type": "reasoning", "summary": []}
            events += self._item_event("added", item)
        self._text += token
        place = {"item_id": self._reasoning_id, "summary_index": 0, "delta": token}
        return events + self._event("reasoning_summary_text.delta", place)

    def call(self, call: ToolCall) -> bytes:
        events = self._begin() + self._close()
        item = call_item(call, f"fc_{random.randrange(999999)}_0")
        events += self._item_event("added", {**item, "status": "in_progress", "arguments": ""})
        place = {"item_id": item["id"]}
        for kind, key in (("delta", "delta"), ("done", "arguments")):
            what = {**place, key: item["arguments"]}
            events += self._event(f"function_call_arguments.{kind}", what)
        events += self._item_event("done", item)
        self._output.append(item)
        return events

    def done(self, answer: Answer) -> bytes:
        events = self._begin() + self._close()
        response = self._response("completed", self._output, usage_of(answer))
        response["completed_at"] = int(time.time())
        return events + self._response_event("completed", response)

    def broken(self, message: str) -> bytes:
        return b""  # Ollama just stops

    def whole(self, answer: Answer) -> bytes:
        output: list[Fields] = []
        if answer.thinking:
            output.append(reasoning_item(f"rs_{self._id}", answer.thinking))
        for index, call in enumerate(answer.tool_calls):
            output.append(call_item(call, f"fc_{self._id}_{index}"))
        if not answer.tool_calls:
            output.append(message_item(self._item_id, answer.text))
        response = self._response("completed", output, usage_of(answer), is_event=False)
        response["completed_at"] = int(time.time())
        return go_json(response) + b"\n"

    def _begin(self) -> bytes:
        if self._number:
            return b""
        response = self._response("in_progress", [], None)
        first = self._response_event("created", response)
        return first + self._response_event("in_progress", response)

    def _open_text(self) -> bytes:
        if self._open == "text":
            return b""
        events = self._close()
        self._open = "text"
        item = {**message_item(self._item_id, ""), "status": "in_progress", "content": []}
        events += self._item_event("added", item)
        place = {"item_id": self._item_id, "content_index": 0, "part": part("")}
        return events + self._event("content_part.added", place)

    def _close(self) -> bytes:
        """End the open item with the events that its kind has."""
        kind, text = self._open, self._text
        self._open = self._text = ""
        if kind == "reasoning":
            item = reasoning_item(self._reasoning_id, text)
            place = {"item_id": item["id"], "summary_index": 0, "text": text}
            events = self._event("reasoning_summary_text.done", place)
        elif kind == "text":
            item = message_item(self._item_id, text)
            place = {"item_id": item["id"], "content_index": 0}
            events = self._event("output_text.done", {**place, "text": text, "logprobs": []})
            events += self._event("content_part.done", {**place, "part": part(text)})
        else:
            return b""
        events += self._item_event("done", item)
        self._output.append(item)
        return events

    def _item_event(self, kind: str, item: Fields) -> bytes:
        return self._event(f"output_item.{kind}", {"item": item})

    def _event(self, kind: str, data: Fields) -> bytes:
        return self._numbered(kind, {**data, "output_index": len(self._output)})

    def _response_event(self, kind: str, response: Fields) -> bytes:
        return self._numbered(kind, {"response": response})

    def _numbered(self, kind: str, data: Fields) -> bytes:
        data = {**data, "sequence_number": self._number, "type": f"response.{kind}"}
        self._number += 1
        return sse(as_map(data), event=f"response.{kind}")

    def _response(
        self, status: str, output: list[Fields], usage: Fields | None, *, is_event: bool = True
    ) -> Fields:
        asked = self._fields
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created_at,
            "completed_at": None,
            "status": status,
            "incomplete_details": None,
            "model": self._ask.model,
            "previous_response_id": None,
            "instructions": asked.get("instructions") or None,
            "output": output,
            "error": None,
            "tools": [repeated_tool(tool) for tool in asked.get("tools", [])],
            "tool_choice": "auto",
            "truncation": asked.get("truncation", "disabled"),
            "parallel_tool_calls": True,
            "text": {"format": repeated_format(asked.get("text", {}).get("format"))},
            "top_p": asked.get("top_p", 1),
            "presence_penalty": 0,
            "frequency_penalty": 0,
            "top_logprobs": 0,
            "temperature": asked.get("temperature", 1),
            "reasoning": repeated_reasoning(asked.get("reasoning"), is_event=is_event),
            "usage": usage,
            "max_output_tokens": asked.get("max_output_tokens"),
            "max_tool_calls": None,
            "store": False,
            "background": bool(asked.get("background")),
            "service_tier": "default",
            "metadata": {},
            "safety_identifier": None,
            "prompt_cache_key": None,
        }
