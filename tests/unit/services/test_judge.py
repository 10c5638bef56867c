"""Whether a model that a job names can be had, where a target's answer says little."""

import time
from contextlib import closing
from types import SimpleNamespace
from typing import cast

import pytest

from foreman.adapters.catalog import Catalog
from foreman.adapters.target import TargetClient
from foreman.core.bodies import Look
from foreman.parsing import TargetSpec
from foreman.refusals import ModelNotFound
from foreman.runtime import WebRuntime
from foreman.services import judge
from foreman.services.judge import Judge
from foreman.turns import Turns
from tests.fakes.scripted_target import Reply, ScriptedTarget
from tests.fakes.silent import silent_server


@pytest.mark.parametrize("body", [b"", b"[]", b'{"error":1}', b'{"error":' + b"[" * 100_000])
def test_an_error_that_cannot_be_read_means_that_the_model_is_not_there(body: bytes) -> None:
    with ScriptedTarget(lambda _: Reply(404, body)) as fake:
        spec = TargetSpec(name="gpu", url=fake.url, slots=1)
        with closing(TargetClient(spec, silence_s=20, connections=1)) as client:
            catalog = Catalog({"gpu": client})
            catalog.refresh()
            parts = {"catalog": catalog, "targets": {"gpu": client}, "turns": Turns()}
            runtime = cast(WebRuntime, SimpleNamespace(**parts))

            with pytest.raises(ModelNotFound, match="gpu: model 'other:latest' not found"):
                Judge(runtime).model(Look("other", streams=False), None)


def test_a_batch_waits_once_for_a_target_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "ASK_LIMIT_S", 0.3)
    with silent_server() as url:
        spec = TargetSpec(name="gpu", url=url, slots=1)
        with closing(TargetClient(spec, silence_s=20, connections=1)) as client:
            answering = SimpleNamespace(reachable=("gpu",), find=lambda model, on: None)
            parts = {"catalog": answering, "targets": {"gpu": client}, "turns": Turns()}
            judging = Judge(cast(WebRuntime, SimpleNamespace(**parts)))
            began_at = time.monotonic()

            for number in range(50):
                with pytest.raises(ModelNotFound):
                    judging.model(Look(f"m{number}", streams=False), None)

    assert time.monotonic() - began_at < 10
