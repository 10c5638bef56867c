"""Targets: one of the two refuses, fails, hangs, stalls, cuts, says nonsense, never ends, dies."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.chaos.row import Promise, Row, Scene, Sees
from tests.chaos.rows.faults import on_target
from tests.chaos.values import Kind

PART = "targets"
ENDLESS, ENDLESS_WORDS = 3, 3000


@contextmanager
def _die(scene: Scene) -> Iterator[None]:
    target = scene.ground.targets["target1"]
    target.kill()
    yield
    target.start()


@contextmanager
def _never_end(scene: Scene) -> Iterator[None]:
    """Some clients ask for answers that take far longer than FOREMAN_JOB_TIMEOUT."""
    for _ in range(ENDLESS):
        scene.load.stream(Kind.CHAT, count=ENDLESS_WORDS)
    yield


def _promise(says: str, sees: Sees = Sees.ERRORS) -> Promise:
    return Promise(says=says, sees=sees, accepts=True, ends=8)


_BEGUN = "answers that have begun end with an error; jobs are run again"
TARGET_ROWS = [
    Row(name="target-500", part=PART, does="one target answers 500",
        fault=on_target("error500"),
        promise=_promise("the target's 500 is passed on; jobs are run again elsewhere")),
    Row(name="target-hangs", part=PART, does="one target hangs before its first byte",
        fault=on_target("wedge"), holds=3,
        promise=_promise("504, or another target after `FOREMAN_FIRST_BYTE`; embeddings too")),
    Row(name="target-stalls", part=PART, does="one target stops after 3 tokens",
        fault=on_target("stall_in_stream", after_tokens=3), holds=3, promise=_promise(_BEGUN)),
    Row(name="target-resets", part=PART, does="one target resets after 3 tokens",
        fault=on_target("cut", after_tokens=3), promise=_promise(_BEGUN)),
    Row(name="target-half-line", part=PART, does="one target ends in the middle of a line",
        fault=on_target("half_line", after_tokens=3), promise=_promise(_BEGUN)),
    Row(name="target-model-dies", part=PART, does="the model dies after 3 tokens on one target",
        fault=on_target("error_in_stream", after_tokens=3), promise=_promise(_BEGUN)),
    Row(name="target-endless", part=PART, does="three answers never end", fault=_never_end,
        holds=4.5, promise=_promise("they end with an error after `FOREMAN_JOB_TIMEOUT`")),
    Row(name="target-killed", part=PART, does="kill -9 of one target, started again later",
        fault=_die, holds=1.5, promise=_promise(_BEGUN)),
]  # fmt: skip
