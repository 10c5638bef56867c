"""foreman and Ollama read the same in every body: whether it is accepted, which model, and so on.

`FOREMAN_DIFFERENTIAL_CASES` makes it more bodies, `FOREMAN_DIFFERENTIAL_SEED` other ones.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from foreman.core.bodies import TRANSCRIPTIONS, look
from foreman.errors import RequestRefused
from tests.differential import ollama
from tests.differential.forms import Forms
from tests.differential.generator import NATIVE, Generator

CASES = int(os.environ.get("FOREMAN_DIFFERENTIAL_CASES", "20000"))
SEED = int(os.environ.get("FOREMAN_DIFFERENTIAL_SEED", "1"))
SHOWN = 20

pytestmark = pytest.mark.timeout(300)  # the first build fetches and compiles Ollama's packages


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("go") is None:
        pytest.skip("go is not on the PATH")
    try:
        return ollama.build(tmp_path_factory.mktemp("differential"))
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the Go program cannot be built here: {error.stderr.decode()[-300:]}")


def read_here(endpoint: str, body: bytes) -> dict[str, Any]:
    """What foreman reads, with the field names of the Go program."""
    try:
        found = look(body, endpoint)
    except RequestRefused:
        return {"out_of_range": True}
    if found is None:
        return {"accepted": False}
    read: dict[str, Any] = {"accepted": True, "model": found.model, "stream": found.streams}
    if endpoint in NATIVE:
        read["options"] = dict(found.runner_options)
        read["unload"], read["unloads_after"] = found.is_unload, found.unloads_after
    return read


def read_there(endpoint: str, answer: dict[str, Any]) -> dict[str, Any]:
    if answer["out_of_range"]:
        return {"out_of_range": True}
    if not answer["accepted"]:
        return {"accepted": False}
    read = {key: answer[key] for key in ("accepted", "model", "stream")}
    if endpoint in NATIVE:
        is_zero, has_work = answer["keep_alive"] == "zero", answer["has_work"]
        read["options"] = answer["options"]
        read["unload"], read["unloads_after"] = is_zero and not has_work, is_zero and has_work
    return read


def test_foreman_reads_of_every_form_the_model_that_ollama_reads_of_it(binary: Path) -> None:
    forms = Forms(SEED)
    cases = [forms.case() for _ in range(CASES // 4)]

    answers = ollama.read(binary, [(TRANSCRIPTIONS, b"\n".join(case)) for case in cases])

    differences = []
    for (kind, query, body), answer in zip(cases, answers, strict=True):
        headers = {"content_type": kind.decode("latin-1"), "query": query.decode("latin-1")}
        looked = look(body, TRANSCRIPTIONS, **headers)
        here, there = looked.model if looked else "", answer["model"]
        if here != there:
            differences.append(f"{headers} {body[:400]!r}\n  foreman {here!r}\n  Ollama  {there!r}")
    assert differences == [], f"{len(differences)} differences\n" + "\n".join(differences[:SHOWN])
    accepted = sum(answer["accepted"] for answer in answers)
    assert len(cases) * 0.2 < accepted < len(cases) * 0.9


def test_foreman_reads_in_every_body_what_ollama_reads_in_it(binary: Path) -> None:
    generator = Generator(SEED)
    cases = [generator.case() for _ in range(CASES)]

    answers = ollama.read(binary, cases)

    pairs = [
        (case, read_here(*case), read_there(case[0], answer))
        for case, answer in zip(cases, answers, strict=True)
    ]
    differences = [
        f"{endpoint} {body[:400]!r}\n  foreman {here}\n  Ollama  {there}"
        for (endpoint, body), here, there in pairs
        if here != there
    ]
    assert differences == [], f"{len(differences)} differences\n" + "\n".join(differences[:SHOWN])
    # Both kinds must be there in numbers, or nothing was compared.
    accepted = sum(there.get("accepted", False) for _, _, there in pairs)
    assert CASES * 0.2 < accepted < CASES * 0.9
