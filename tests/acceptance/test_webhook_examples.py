"""The examples of docs/webhooks.md, in three languages, accept what foreman signs, and no more."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from foreman.core.webhooks import signed_headers
from tests.stack import ROOT

PAGE = ROOT / "docs" / "webhooks.md"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + "b3RoZXIr" * 4
BODY = '{"text": "é"}'.encode()

# Around each example: read headers and body from standard input, say what it found.
PYTHON = """
import json, sys
told = json.load(sys.stdin)
print(json.dumps(verify(told["secret"], told["headers"], told["body"].encode())))
"""
JAVASCRIPT = """
import { readFileSync } from "node:fs";
const told = JSON.parse(readFileSync(0));
console.log(JSON.stringify(verify(told.secret, told.headers, Buffer.from(told.body))));
"""
GO = """package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	var told struct {
		Secret, Body string
		Headers      map[string]string
	}
	if err := json.NewDecoder(os.Stdin).Decode(&told); err != nil {
		panic(err)
	}
	headers := http.Header{}
	for name, value := range told.Headers {
		headers.Set(name, value)
	}
	fmt.Println(verify(told.Secret, headers, []byte(told.Body)))
}

"""
# Only what is here: no module, no other toolchain is fetched.
OFFLINE = {"GOPROXY": "off", "GOTOOLCHAIN": "local", "GOWORK": "off", "GO111MODULE": "off"}

Verify = Callable[..., bool]


def example(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    return found[1]


def _program(language: str, folder: Path) -> list[str]:
    if language == "python":
        (folder / "verify.py").write_text(example("python") + PYTHON)
        return [sys.executable, "verify.py"]
    if language == "js":
        (folder / "verify.mjs").write_text(example("js") + JAVASCRIPT)
        return ["node", "verify.mjs"]
    (folder / "main.go").write_text(GO + example("go"))
    build = ["go", "build", "-o", "verify", "main.go"]
    subprocess.run(build, cwd=folder, env=os.environ | OFFLINE, check=True, timeout=200)
    return [str(folder / "verify")]


@pytest.fixture(
    scope="module",
    params=[
        "python",
        pytest.param("js", marks=pytest.mark.skipif(not shutil.which("node"), reason="no node")),
        pytest.param("go", marks=pytest.mark.skipif(not shutil.which("go"), reason="no go")),
    ],
)
def verify(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Verify:
    """The example of a language, as a program that is asked."""
    folder = tmp_path_factory.mktemp(request.param)
    command = _program(request.param, folder)

    def ask(*, secrets: list[str], age_s: float = 0, body: bytes = BODY) -> bool:
        headers = signed_headers(secrets, "id", int(time.time() - age_s), BODY)
        told = {"secret": SECRET, "headers": headers, "body": body.decode()}
        done = subprocess.run(
            command, cwd=folder, input=json.dumps(told).encode(), stdout=-1, check=True, timeout=60
        )
        return bool(json.loads(done.stdout))

    return ask


@pytest.mark.timeout(240)  # the first build compiles Go's standard library
def test_the_example_accepts_what_foreman_signs_and_nothing_else(verify: Verify) -> None:
    assert verify(secrets=[SECRET])
    assert verify(secrets=[OTHER, SECRET])
    assert not verify(secrets=[OTHER])
    assert not verify(secrets=[])
    assert not verify(secrets=[SECRET], body=BODY + b" ")
    assert not verify(secrets=[SECRET], age_s=310)
    assert not verify(secrets=[SECRET], age_s=-310)
