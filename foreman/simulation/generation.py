"""One generation: find the model, hold it and a slot, say the words at their pace.

The pace is kept against the start, so that a late timer makes one token late and not all that
follow. The last word of a dialect is its voice's; faults in the stream strike here.
"""

import time
from collections.abc import Callable
from typing import Any

import gevent

from foreman.simulation.answers import Answer, Plan, plan_answer, prompt_tokens, token_ids
from foreman.simulation.ask import (
    Ask,
    check_capabilities,
    check_format,
    check_options,
    runner_options,
)
from foreman.simulation.connection import Exchange
from foreman.simulation.decode import Refused
from foreman.simulation.engine import BROKEN, Engine
from foreman.simulation.eventlog import Generation
from foreman.simulation.faults import IN_STREAM, Fault, FaultKind
from foreman.simulation.library import Model
from foreman.simulation.names import parse_name
from foreman.simulation.voice import Voice

# Lines that an unpaced generation writes before others have their turn.
BURST = 16


def generate(engine: Engine, exchange: Exchange, ask: Ask, voice: Voice) -> None:
    """Answer one request, whole or streamed; Refused before the first byte."""
    with engine.recorded(exchange, ask.model) as note:
        model = _find_model(engine, ask)
        note.model = model.label
        if ask.is_empty and ask.keep_alive_s == 0:
            engine.scheduler.unload(model)
            return exchange.reply(200, voice.whole(Answer(done_reason="unload")), voice.json_type)
        check_capabilities(ask, model)
        check_options(ask.options)
        check_format(ask.format)
        fault = engine.faults.take(exchange.path, ask.model, only_loads=ask.is_empty)
        engine.strike_before(fault, exchange, note)
        _Speech(engine, exchange, ask, voice, note, fault).give(model)


def _find_model(engine: Engine, ask: Ask) -> Model:
    if ask.verb == "chat" and not parse_name(ask.model).is_valid:
        raise Refused(400, "model is required")
    model = engine.library.find(ask.model)
    if model is None:
        raise Refused(404, f"model '{ask.model}' not found")
    return model


class _Speech:
    """The saying of one answer."""

    def __init__(
        self,
        engine: Engine,
        exchange: Exchange,
        ask: Ask,
        voice: Voice,
        note: Generation,
        fault: Fault | None,
    ) -> None:
        self._engine = engine
        self._exchange = exchange
        self._ask = ask
        self._voice = voice
        self._note = note
        self._fault = fault
        strikes = fault is not None and fault.kind in IN_STREAM
        self._strike_at = fault.after_tokens if fault and strikes else -1
        self._answer = Answer(prompt_tokens=prompt_tokens(ask.prompt))

    def give(self, model: Model) -> None:
        ask, answer = self._ask, self._answer
        began = time.perf_counter_ns()
        options = runner_options(ask.options, ask.shift)
        with self._engine.scheduler.runner(model, options, ask.keep_alive_s) as runner:
            answer.load_ns = time.perf_counter_ns() - began
            if ask.is_empty:
                whole = self._voice.whole(Answer(done_reason="load"))
                return self._exchange.reply(200, whole, self._voice.json_type)
            with runner.slots.one(), self._engine.log.running(self._note):
                plan = plan_answer(ask, model, self._engine.config.tokens)
                self._fill(plan)
                self._speak(plan, began)

    def _speak(self, plan: Plan, began: int) -> None:
        if self._fault is not None and self._fault.kind is FaultKind.STALL_BEFORE:
            self._fault.hold()
        if self._ask.stream:
            voice = self._voice
            self._exchange.begin(voice.stream_type, voice.stream_headers)
        self._say_all(plan)
        self._answer.total_ns = time.perf_counter_ns() - began
        self._close(plan.size)
        self._note.ended = self._note.ended or "done"

    def _say_all(self, plan: Plan) -> None:
        started = time.perf_counter()
        first: float | None = None
        rate = self._engine.config.tokens_per_s
        streams, chunk, strike_at = self._ask.stream, self._exchange.chunk, self._strike_at
        for index, (say, what) in enumerate(self._pieces(plan)):
            if index == strike_at and self._strike(lambda say=say, what=what: say(what)):  # type: ignore[misc]  # binds the loop's values
                return
            if rate:
                _sleep_until(started + (index + 1) / rate)
            elif index % BURST == BURST - 1:
                gevent.sleep(0)
            if streams:
                chunk(say(what))
            first = first or time.perf_counter()
            self._note.tokens = index + 1
        if rate:
            _sleep_until(started + plan.tokens / rate)
        self._measure(started, first or started)

    def _pieces(self, plan: Plan) -> list[tuple[Callable[[Any], bytes], Any]]:
        voice = self._voice
        pieces: list[tuple[Callable[[Any], bytes], Any]] = []
        pieces += [(voice.thought, token) for token in plan.thoughts]
        pieces += [(voice.word, token) for token in plan.words]
        pieces += [(voice.call, call) for call in plan.tool_calls]
        return pieces

    def _fill(self, plan: Plan) -> None:
        answer = self._answer
        answer.text, answer.thinking = "".join(plan.words), "".join(plan.thoughts)
        answer.words, answer.tool_calls = plan.words, plan.tool_calls
        answer.done_reason, answer.tokens = plan.done_reason, plan.tokens
        if self._ask.has_context:
            # The prompt's tokens begin with the space that every text gets.
            answer.context = token_ids(" " + self._ask.prompt + answer.text)

    def _measure(self, started: float, first: float) -> None:
        self._answer.prompt_ns = max(1, int((first - started) * 1e9))
        self._answer.eval_ns = max(1, int((time.perf_counter() - first) * 1e9))

    def _close(self, size: int) -> None:
        if self._note.ended:
            return
        voice, answer = self._voice, self._answer
        last = voice.done if self._ask.stream else voice.whole
        if self._strike_at >= size and self._strike(lambda: last(answer)):
            return
        if not self._ask.stream:
            return self._exchange.reply(200, voice.whole(answer), voice.json_type)
        self._exchange.chunk(voice.done(answer))
        self._exchange.end()

    def _strike(self, next_line: Callable[[], bytes]) -> bool:
        """Do what the fault says in the middle of the stream; True when that was the end of it."""
        assert self._fault is not None
        kind = self._fault.kind
        if kind is FaultKind.STALL_IN_STREAM:
            self._fault.hold()
            return False
        self._note.ended = "fault"
        if kind is FaultKind.CUT:
            self._exchange.reset()
        if kind is FaultKind.HALF_LINE:
            streams = self._ask.stream
            body = next_line() if streams else self._voice.whole(self._answer)
            self._exchange.half(body, self._voice.json_type)
        if not self._exchange.has_begun:
            raise Refused(500, BROKEN)
        if rest := self._voice.broken(BROKEN):
            self._exchange.chunk(rest)
        self._exchange.end()
        return True


def _sleep_until(moment: float) -> None:
    wait = moment - time.perf_counter()
    if wait > 0:
        gevent.sleep(wait)
