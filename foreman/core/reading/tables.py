"""The request types of Ollama 0.33, one for each route (api, openai and anthropic packages).

A value of the wrong type in any of these fields is an error there, before any model is looked at.
What Ollama checks later is not here: such a request is queued, and its target answers.
"""

from collections.abc import Callable, Mapping

from foreman.core.reading.kinds import (
    ANY,
    BOOLEAN,
    BYTES,
    FLOAT,
    FLOAT32,
    INTEGER,
    RAW,
    STRING,
    STRING_OR_STRINGS,
    STRINGS,
    THINK,
    Kind,
    array,
    folded,
    map_of,
    ordered_map_of,
    slot,
    struct,
    struct_with,
)

# The names of the slots that `bodies` reads.
MODEL, NAME, OPTIONS, SHIFT = "model", "name", "options", "shift"
# One is a pointer, which a null empties; the other is a bool, which a null leaves as it is.
STREAM, PLAIN_STREAM = "stream", "plain_stream"
KEEP_ALIVE, PROMPT, MESSAGES = "keep_alive", "prompt", "messages"
STREAM_OPTIONS, INCLUDE_USAGE = "stream_options", "include_usage"
SERVICE_TIER = "service_tier"
OPTION = "options."  # before the name of one

INTEGER_OPTIONS = frozenset(
    {"num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "draft_num_predict"}
    | {"num_keep", "seed", "num_predict", "top_k", "repeat_last_n"}
)
BOOLEAN_OPTIONS = frozenset({"use_mmap"})
FLOAT_OPTIONS = frozenset(
    {"top_p", "min_p", "typical_p", "temperature", "repeat_penalty"}
    | {"presence_penalty", "frequency_penalty"}
)
STRINGS_OPTIONS = frozenset({"stop"})
_OPTION_NAMES = INTEGER_OPTIONS | BOOLEAN_OPTIONS | FLOAT_OPTIONS | STRINGS_OPTIONS


def _recursive(own: Mapping[str, Kind], inner: Callable[[Kind], Mapping[str, Kind]]) -> Kind:
    """A struct of which some fields are made of the struct itself."""
    fields, folds = dict(own), {folded(name): kind for name, kind in own.items()}
    made = Kind("{", fields=fields, folds=folds, values=RAW)
    parts = inner(made)
    fields.update(parts)
    folds.update({folded(name): kind for name, kind in parts.items()})
    return made


_PROPERTY = _recursive(
    {
        "type": STRING_OR_STRINGS,
        "items": ANY,
        "description": STRING,
        "enum": array(ANY),
        "required": STRINGS,
    },
    lambda itself: {"anyOf": array(itself), "properties": ordered_map_of(itself)},
)
_PARAMETERS = struct(
    **{"$defs": ANY},
    type=STRING,
    items=ANY,
    required=STRINGS,
    properties=ordered_map_of(_PROPERTY),
)
_TOOL = struct(
    type=STRING,
    items=ANY,
    function=struct(name=STRING, description=STRING, parameters=_PARAMETERS),
)
_ARGUMENTS = ordered_map_of(ANY)
_TOOL_CALL = struct(id=STRING, function=struct(index=INTEGER, name=STRING, arguments=_ARGUMENTS))
_MESSAGE = struct(
    role=STRING,
    content=STRING,
    thinking=STRING,
    images=array(BYTES),
    tool_calls=array(_TOOL_CALL),
    tool_name=STRING,
    tool_call_id=STRING,
)

_OPTIONS = slot(
    map_of(ANY, **{name: slot(ANY, OPTION + name) for name in sorted(_OPTION_NAMES)}), OPTIONS
)
_STREAM = slot(BOOLEAN, STREAM)
_PLAIN_STREAM = slot(BOOLEAN, PLAIN_STREAM)
_KEEP_ALIVE = slot(ANY, KEEP_ALIVE)
_MODEL = slot(STRING, MODEL)
_PROMPT = slot(STRING, PROMPT)

_NATIVE = {
    "model": _MODEL,
    "stream": _STREAM,
    "format": RAW,
    "keep_alive": _KEEP_ALIVE,
    "options": _OPTIONS,
    "think": THINK,
    "truncate": BOOLEAN,
    "shift": slot(BOOLEAN, SHIFT),
    "_debug_render_only": BOOLEAN,
    "logprobs": BOOLEAN,
    "top_logprobs": INTEGER,
}
GENERATE = struct(
    **_NATIVE,
    prompt=_PROMPT,
    suffix=STRING,
    system=STRING,
    template=STRING,
    context=array(INTEGER),
    raw=BOOLEAN,
    images=array(BYTES),
)
CHAT = struct(**_NATIVE, messages=slot(array(_MESSAGE), MESSAGES), tools=array(_TOOL))
EMBED = struct(
    model=_MODEL,
    input=ANY,
    keep_alive=_KEEP_ALIVE,
    truncate=BOOLEAN,
    dimensions=INTEGER,
    options=_OPTIONS,
)
EMBEDDINGS = struct(model=_MODEL, prompt=STRING, keep_alive=_KEEP_ALIVE, options=_OPTIONS)

_STREAM_OPTIONS = slot(struct(include_usage=slot(BOOLEAN, INCLUDE_USAGE)), STREAM_OPTIONS)
# No field of Ollama's, so any value will do: OpenAI has it on these two routes.
_SERVICE_TIER = slot(RAW, SERVICE_TIER)
_V1_TOOL_CALL = struct(
    id=STRING, index=INTEGER, type=STRING, function=struct(name=STRING, arguments=STRING)
)
OPENAI_CHAT = struct(
    model=_MODEL,
    messages=array(
        struct(
            role=STRING,
            content=ANY,
            reasoning=STRING,
            tool_calls=array(_V1_TOOL_CALL),
            name=STRING,
            tool_call_id=STRING,
        )
    ),
    stream=_PLAIN_STREAM,
    stream_options=_STREAM_OPTIONS,
    max_tokens=INTEGER,
    seed=INTEGER,
    stop=ANY,
    temperature=FLOAT,
    frequency_penalty=FLOAT,
    presence_penalty=FLOAT,
    top_p=FLOAT,
    response_format=struct(type=STRING, json_schema=struct(schema=RAW)),
    tools=array(_TOOL),
    reasoning=struct(effort=STRING),
    reasoning_effort=STRING,
    logprobs=BOOLEAN,
    top_logprobs=INTEGER,
    _debug_render_only=BOOLEAN,
    service_tier=_SERVICE_TIER,
)
OPENAI_COMPLETION = struct(
    model=_MODEL,
    prompt=STRING,
    frequency_penalty=FLOAT32,
    max_tokens=INTEGER,
    presence_penalty=FLOAT32,
    seed=INTEGER,
    stop=ANY,
    stream=_PLAIN_STREAM,
    stream_options=_STREAM_OPTIONS,
    temperature=FLOAT32,
    top_p=FLOAT32,
    suffix=STRING,
    logprobs=INTEGER,
    _debug_render_only=BOOLEAN,
)
OPENAI_EMBEDDINGS = struct(input=ANY, model=_MODEL, dimensions=INTEGER, encoding_format=STRING)

_BLOCK = struct(
    type=STRING,
    text=STRING,
    citations=array(
        struct(type=STRING, url=STRING, title=STRING, encrypted_index=STRING, cited_text=STRING)
    ),
    source=struct(type=STRING, media_type=STRING, data=STRING, url=STRING),
    id=STRING,
    name=STRING,
    input=_ARGUMENTS,
    tool_use_id=STRING,
    content=ANY,
    is_error=BOOLEAN,
    thinking=STRING,
    signature=STRING,
)
ANTHROPIC_MESSAGES = struct(
    model=_MODEL,
    max_tokens=INTEGER,
    messages=array(struct_with("content", role=STRING, content=Kind('"[', items=_BLOCK))),
    system=ANY,
    stream=_PLAIN_STREAM,
    temperature=FLOAT,
    top_p=FLOAT,
    top_k=INTEGER,
    stop_sequences=STRINGS,
    tools=array(
        struct(type=STRING, name=STRING, description=STRING, input_schema=RAW, max_uses=INTEGER)
    ),
    tool_choice=struct(type=STRING, name=STRING, disable_parallel_tool_use=BOOLEAN),
    thinking=struct(type=STRING, budget_tokens=INTEGER),
    metadata=struct(user_id=STRING),
    output_config=struct(effort=STRING),
)

_RESPONSES_TOOL = _recursive(
    {
        "type": STRING,
        "name": STRING,
        "description": STRING,
        "strict": BOOLEAN,
        "parameters": map_of(ANY),
    },
    lambda itself: {"tools": array(itself)},
)
_FORMAT = struct(type=STRING, name=STRING, schema=RAW, strict=BOOLEAN)
OPENAI_RESPONSES = struct(
    model=_MODEL,
    background=BOOLEAN,
    conversation=RAW,
    include=STRINGS,
    # What an item must have depends on its own type: that is left to the target.
    input=Kind('"[', is_raw=True),
    instructions=STRING,
    max_output_tokens=INTEGER,
    reasoning=struct(effort=STRING, generate_summary=STRING, summary=STRING),
    temperature=FLOAT,
    text=struct(format=_FORMAT),
    top_p=FLOAT,
    truncation=STRING,
    tools=array(_RESPONSES_TOOL),
    stream=_STREAM,
    service_tier=_SERVICE_TIER,
)

SHOW = struct(
    model=_MODEL,
    name=slot(STRING, NAME),
    system=STRING,
    template=STRING,
    verbose=BOOLEAN,
    options=map_of(ANY),
)

TABLES: Mapping[str, Kind] = {
    "/api/generate": GENERATE,
    "/api/chat": CHAT,
    "/api/embed": EMBED,
    "/api/embeddings": EMBEDDINGS,
    "/api/show": SHOW,
    "/v1/chat/completions": OPENAI_CHAT,
    "/v1/completions": OPENAI_COMPLETION,
    "/v1/embeddings": OPENAI_EMBEDDINGS,
    "/v1/responses": OPENAI_RESPONSES,
    "/v1/messages": ANTHROPIC_MESSAGES,
}
