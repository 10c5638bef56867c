"""Requests made from /openapi.json: no defect, and no answer that the document does not name."""

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from foreman.api.contract import OPERATIONS
from foreman.api.contract_parts import Operation
from foreman.api.payloads import NoQuery
from foreman.core.states import JobState
from foreman.store import runs
from tests.integration.api.ground import Caller
from tests.integration.store.ground import Store

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Half a minute in all, on two cores.
EXAMPLES = 20


def _takes_something(operation: Operation) -> bool:
    return bool("{" in operation.path or operation.body or operation.query is not NoQuery)


CASES = [
    pytest.param(operation, mode, id=f"{operation.name} {mode.value}")
    for operation in OPERATIONS
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    # What takes nothing cannot be given something wrong.
    if mode is GenerationMode.POSITIVE or _takes_something(operation)
]

# What the document cannot say: a batch is judged line by line, and answered with 200.
_SAYS_LITTLE = {"submit_batch"}


@schemathesis.serializer("application/x-ndjson")
def as_line(context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n"


@schemathesis.deserializer("application/x-ndjson")
def first_line(context: Any, response: Any) -> Any:
    """The one line of an answer; what no line was sent for is answered by none."""
    lines = response.content.splitlines()
    return json.loads(lines[0]) if lines else {"index": 0, "status": 202}


@pytest.mark.parametrize(("operation", "mode"), CASES)
def test_every_answer_is_one_that_the_document_names(
    caller: Caller, store: Store, operation: Operation, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", caller.app)
    tested = schema[operation.path][operation.method]
    known = _some_jobs(caller, store)
    is_strict = mode is GenerationMode.NEGATIVE and operation.name not in _SAYS_LITTLE
    checks: list[Any] = [*CHECKS, negative_data_rejection] if is_strict else CHECKS

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=tested.as_strategy(generation_mode=mode))
    def try_it(case: Any) -> None:
        if isinstance(case.query.get("wait"), int | float) and case.query["wait"] > 0:
            case.query["wait"] /= 1e4  # the same kind of value, and a short test
        case.call_and_validate(checks=checks)
        if "job_id" in case.path_parameters:
            for job_id in known:
                case.path_parameters["job_id"] = job_id
                case.call_and_validate(checks=CHECKS)

    try_it()


def _some_jobs(caller: Caller, store: Store) -> list[str]:
    """A queued job, a working one, one that has ended."""
    ids = [caller.submit(metadata={"a": 1}) for _ in range(3)]
    store.claim(ids[1])
    last = store.claim(ids[2])
    assert last
    store.do(runs.finish_run, last.job_id, last.fence, JobState.SUCCEEDED, status=200)
    return [str(job_id) for job_id in ids]
