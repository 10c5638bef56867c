"""Every error has a sentence for its caller."""

import subprocess
import sys

from tests.stack import ROOT

# As a program that Python runs without docstrings.
SENTENCES = """
from foreman import errors, refusals
kinds = [errors.ForemanError]
while kinds:
    kind = kinds.pop()
    kinds += kind.__subclasses__()
    print(kind.code, kind(), sep="\\t")
"""


def test_every_error_has_a_sentence_of_its_own_even_without_docstrings() -> None:
    command = [sys.executable, "-OO", "-c", SENTENCES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)

    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(lines) > 60
    assert [code for code, sentence in lines if " " not in sentence or sentence == code] == []
    assert len({sentence for _, sentence in lines}) == len(lines)
