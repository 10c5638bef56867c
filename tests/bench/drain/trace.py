"""The requests of the benchmark: one trace, the same for every way to the target.

Time runs ten times as fast as on a GPU whose loads take 10 s and whose answers take 2 to 8 s.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass

LOAD_S = 1.0
TOKENS_PER_S = 50.0
FEWEST_TOKENS, MOST_TOKENS = 10, 40
MODELS = ("model-1", "model-2", "model-3", "model-4")
# As in `foreman simulate`: the n-th model gets 1/n as many as the first.
SHARES = [1 / number for number in range(1, len(MODELS) + 1)]
SEED = 1


@dataclass(frozen=True, slots=True)
class Request:
    """One request: when it is sent, after the first moment of the trace, and what it asks for."""

    at_s: float
    model: str
    tokens: int

    @property
    def run_s(self) -> float:
        """How long its answer takes once it has begun."""
        return self.tokens / TOKENS_PER_S

    @property
    def body(self) -> bytes:
        messages = [{"role": "user", "content": "Say something."}]
        options = {"num_predict": self.tokens}
        return json.dumps({"model": self.model, "messages": messages, "options": options}).encode()


def poisson(count: int, span_s: float) -> list[Request]:
    """`count` requests that know nothing of each other, the last after `span_s` or so."""
    dice, at_s = random.Random(SEED), 0.0
    requests = []
    for _ in range(count):
        at_s += dice.expovariate(count / span_s)
        model = dice.choices(MODELS, SHARES)[0]
        requests.append(Request(at_s, model, dice.randint(FEWEST_TOKENS, MOST_TOKENS)))
    return requests


def work_s(trace: Sequence[Request]) -> float:
    """What all answers take, without a load."""
    return sum(each.run_s for each in trace)


def arrivals(trace: Sequence[Request]) -> list[Arrival]:
    """The trace as `foreman simulate` reads it."""
    return [Arrival(each.at_s, each.model, JobClass.INTERACTIVE, each.run_s) for each in trace]
