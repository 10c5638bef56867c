"""Which messages are a job's, and what Celery is given of them."""

import json
import logging
import zlib
from typing import Any

import pytest
from kombu import Message

from foreman.adapters.broker import RUN_JOB
from foreman.worker.task_message import DELIVERY, Delivery, handed, job_id_of
from tests.factories import JOB_ID

BODY = json.dumps([[str(JOB_ID)], {}, {"chain": None}])


def message(headers: Any = None, **changes: Any) -> Message:
    """As the web process sends it."""
    usual: dict[str, Any] = {
        "body": BODY,
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "headers": {"task": RUN_JOB, "id": str(JOB_ID), "shadow": f"{RUN_JOB} m:latest"},
    }
    if headers is not None:
        usual["headers"] = usual["headers"] | headers
    return Message(**usual | changes)


@pytest.mark.parametrize("body", [BODY, BODY.encode(), memoryview(BODY.encode())])
def test_a_message_as_foreman_sends_it_is_its_jobs(body: Any) -> None:
    assert job_id_of(message(body=body)) == str(JOB_ID)
    assert job_id_of(message({"id": "of another sender"})) == str(JOB_ID)


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": {"id": None}},
        {"headers": {"id": 7}},
        {"headers": {"task": "celery.chord"}},
        {"headers": {"task": ["foreman.generate"]}},
        {"headers": {"compression": "zlib"}, "body": zlib.compress(BODY.encode())},
        {"headers": {"compression": "zlib"}},
        {"headers": {"compression": "no such thing"}},
        {"content_type": "application/x-python-serialize"},
        {"content_type": None},
        {"content_encoding": "binary"},
        {"content_encoding": None},
        {"body": None},
        {"body": ""},
        {"body": b"\xff\xfe"},
        {"body": "{"},
        {"body": "[" * 3000},
        {"body": f'[["{JOB_ID}"], {{}}, {{}}]' + " " * 5000},
        {"body": "[[], {}, {}]"},
        {"body": '[["no id"], {}, {}]'},
        {"body": f'[["{JOB_ID}", 1], {{}}, {{}}]'},
        {"body": f'[["{JOB_ID}"], {{"more": 1}}, {{}}]'},
        {"body": f'{{"id": "{JOB_ID}", "task": "{RUN_JOB}", "args": ["{JOB_ID}"]}}'},
    ],
)
def test_a_message_that_celery_could_not_run_is_no_jobs(changes: dict[str, Any]) -> None:
    assert job_id_of(message(**changes)) is None


def test_celery_gets_the_job_alone_and_nothing_that_would_hold_it_back() -> None:
    hostile = {
        "eta": "2999-01-01T00:00:00", "expires": "2000-01-01T00:00:00", "retries": 9,
        "timelimit": [1, 1], "stamped_headers": ["x"], "stamps": {"x": "y"}, "group": "g",
        "argsrepr": "x" * 10**6, "shadow": "x" * 10**6, DELIVERY: 7,
    }  # fmt: skip

    given = handed(message(hostile), "model.m", str(JOB_ID), Delivery(7))

    assert given.decode() == [[str(JOB_ID)], {}, {}]
    assert given.headers == {
        "lang": "py", "task": RUN_JOB, "id": str(JOB_ID), "root_id": str(JOB_ID),
        "argsrepr": f"('{JOB_ID}',)", "kwargsrepr": "{}", "retries": 0, "ignore_result": True,
        "shadow": RUN_JOB, DELIVERY: Delivery(7),
    }  # fmt: skip
    assert given.delivery_info == {"exchange": "", "routing_key": "model.m"}
    assert handed(message(), "q", str(JOB_ID), Delivery(1)).headers["shadow"].endswith("m:latest")


def test_celery_settles_nothing() -> None:
    given = handed(message(), "model.m", str(JOB_ID), Delivery(7))
    log = logging.getLogger(__name__)

    given.ack_log_error(log, (OSError,))
    given.ack_log_error(log, (OSError,))
    given.reject_log_error(log, (OSError,), requeue=True)
    given.requeue()

    assert not given.acknowledged
