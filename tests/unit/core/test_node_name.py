"""What a worker is called where `-n` does not say it."""

import pytest

from foreman.core.node_name import node_name


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"DYNO": "worker.2"}, "worker.2@vm"),
        ({"HONCHO_PROCESS_NAME": "worker.1"}, "worker.1@vm"),
        ({"DYNO": "run 7@x"}, "run-7-x@vm"),
        ({"DYNO": ""}, "worker-3f9a@vm"),
        ({}, "worker-3f9a@vm"),
    ],
)
def test_a_worker_is_called_as_its_platform_calls_it(environ: dict[str, str], name: str) -> None:
    assert node_name("vm", environ, random="3f9a") == name
