"""Ollama's own reading of request bodies: a small Go program that decodes into its types."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).parent / "go"


def build(folder: Path) -> Path:
    """Build the program; CalledProcessError when its modules cannot be had."""
    binary = folder / "differential"
    subprocess.run(
        ["go", "build", "-o", str(binary), "."],
        cwd=PROGRAM, env=os.environ | {"GOTOOLCHAIN": "local"}, check=True, capture_output=True,
        timeout=300,
    )  # fmt: skip
    return binary


def read(binary: Path, cases: Sequence[tuple[str, bytes]]) -> list[dict[str, Any]]:
    """What Ollama reads in each of these bodies."""
    asked = b"".join(b"%b %d\n%b" % (name.encode(), len(body), body) for name, body in cases)
    answer = subprocess.run(
        [str(binary)], input=asked, check=True, capture_output=True, timeout=300
    ).stdout
    return [json.loads(line) for line in answer.splitlines()]
