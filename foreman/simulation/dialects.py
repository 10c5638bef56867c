"""Which dialect a route speaks: how its requests are read and its refusals written."""

from collections.abc import Callable
from functools import partial

import zstandard

from foreman.simulation import anthropic, embeddings, native, openai, transcription
from foreman.simulation.ask import Ask
from foreman.simulation.completions import ChatVoice, CompletionVoice
from foreman.simulation.connection import Exchange
from foreman.simulation.decode import Refused
from foreman.simulation.engine import Engine
from foreman.simulation.generation import generate
from foreman.simulation.responses import ResponsesVoice, read_responses
from foreman.simulation.voice import ErrorForm, Voice

# What is to be done once a request is read.
Work = Callable[[Engine, Exchange], None]
# What Ollama unpacks at most, of a /v1 request in zstd.
_ZSTD_LIMIT_BYTES = 20 * 1024 * 1024


def error_form(path: str) -> ErrorForm:
    if path == "/v1/messages":
        return anthropic.error_body
    return openai.error_body if path.startswith("/v1/") else native.error_body


def work(engine: Engine, exchange: Exchange) -> None:
    """Read and answer a request that loads a model."""
    try:
        do = READERS[exchange.path](exchange, _body(exchange))
    except Refused as refused:
        body, content_type = error_form(exchange.path)(refused, while_reading=True)
        return exchange.reply(refused.status, body, content_type)
    do(engine, exchange)


def _spoken(ask: Ask, voice: Voice) -> Work:
    return partial(generate, ask=ask, voice=voice)


def _chat(exchange: Exchange, body: bytes) -> Work:
    ask = native.read_chat(body)
    return _spoken(ask, native.NativeVoice(ask))


def _generate(exchange: Exchange, body: bytes) -> Work:
    ask = native.read_generate(body)
    return _spoken(ask, native.NativeVoice(ask))


def _v1_chat(exchange: Exchange, body: bytes) -> Work:
    ask = openai.read_chat(body)
    return _spoken(ask, ChatVoice(ask, wants_usage=openai.wants_usage(body)))


def _v1_completion(exchange: Exchange, body: bytes) -> Work:
    ask = openai.read_completion(body)
    return _spoken(ask, CompletionVoice(ask, wants_usage=openai.wants_usage(body)))


def _v1_response(exchange: Exchange, body: bytes) -> Work:
    ask, fields = read_responses(body)
    return _spoken(ask, ResponsesVoice(ask, fields))


def _v1_message(exchange: Exchange, body: bytes) -> Work:
    ask, estimated_tokens = anthropic.read_messages(body)
    return _spoken(ask, anthropic.MessagesVoice(ask, estimated_tokens))


def _v1_transcription(exchange: Exchange, body: bytes) -> Work:
    ask, voice = transcription.read(exchange.header("Content-Type") or "", body)
    return _spoken(ask, voice)


def _embed(exchange: Exchange, body: bytes) -> Work:
    return partial(embeddings.embed, fields=embeddings.read_native(body))


def _embed_one(exchange: Exchange, body: bytes) -> Work:
    return partial(embeddings.embed_one, fields=embeddings.read_one(body))


def _v1_embed(exchange: Exchange, body: bytes) -> Work:
    return partial(embeddings.embed_openai, fields=embeddings.read_openai(body))


READERS: dict[str, Callable[[Exchange, bytes], Work]] = {
    "/api/chat": _chat,
    "/api/generate": _generate,
    "/api/embed": _embed,
    "/api/embeddings": _embed_one,
    "/v1/chat/completions": _v1_chat,
    "/v1/completions": _v1_completion,
    "/v1/responses": _v1_response,
    "/v1/messages": _v1_message,
    "/v1/embeddings": _v1_embed,
    "/v1/audio/transcriptions": _v1_transcription,
}


def _body(exchange: Exchange) -> bytes:
    """The request body; /v1 takes zstd too."""
    body = exchange.body()
    if exchange.header("Content-Encoding") != "zstd" or not exchange.path.startswith("/v1/"):
        return body
    try:
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=_ZSTD_LIMIT_BYTES)
    except zstandard.ZstdError as exc:
        raise Refused(400, "failed to decompress zstd body") from exc
