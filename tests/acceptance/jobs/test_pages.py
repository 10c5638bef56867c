"""The examples of docs/api.md, as somebody pastes them."""

import re
import subprocess
import sys

import pytest

from foreman.simulation.process import SimulationProcess
from tests.stack import ROOT, Stack

TEXT = (ROOT / "docs/api.md").read_text()
SHELL = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
# The one that shows an error.
REFUSED = '"max_attempts": 99'


def here(text: str, stack: Stack) -> str:
    return text.replace("http://127.0.0.1:11435", stack.url).replace(
        "python -m", f"{sys.executable} -m"
    )


def run(stack: Stack, command: list[str]) -> str:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=stack.env | {"FOREMAN_URL": stack.url, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,  # four commands on a busy machine
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(SHELL)))
def test_what_is_pasted_into_a_shell_works(
    shared_stack: Stack, simulation: SimulationProcess, number: int
) -> None:
    block = here(SHELL[number], shared_stack)
    if "/cancel" in block:  # the job must not end before
        simulation.fault("stall_before")

    try:
        printed = run(shared_stack, ["bash", "-eu", "-o", "pipefail", "-c", block])
    finally:
        simulation.clear()

    assert printed.strip() or "list" in block
    if REFUSED in block:
        assert '"field":"max_attempts"' in printed
    else:
        assert '"type":"/docs#' not in printed


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_what_is_pasted_into_python_works(shared_stack: Stack, number: int) -> None:
    assert "succeeded" in run(
        shared_stack, [sys.executable, "-c", here(PYTHON[number], shared_stack)]
    )
