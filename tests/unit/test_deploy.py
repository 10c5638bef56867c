"""What `deploy/` holds agrees with the commands, the Procfile and the documents."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from foreman.__main__ import COMMANDS
from foreman.procfile import read
from foreman.tree import PROCFILE, ROOT

DEPLOY = ROOT / "deploy"
PROXIES = (ROOT / "docs" / "proxies.md").read_text()


def commands_of(text: str) -> list[str]:
    """What a page or a file calls foreman with, where it is installed."""
    return re.findall(r"venv/bin/foreman ([a-z-]+)", text)


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing")
    for unit in (DEPLOY / "systemd").iterdir():
        # It is no error of the unit that foreman is not installed here.
        text = re.sub(
            r"/opt/foreman/venv/bin/foreman", shutil.which("true") or "", unit.read_text()
        )
        (tmp_path / unit.name.replace("@.", "@gpu1.")).write_text(text)

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_the_units_run_commands_that_there_are() -> None:
    found = [
        name for unit in (DEPLOY / "systemd").iterdir() for name in commands_of(unit.read_text())
    ]

    assert sorted(found) == ["migrate", "relay", "web", "worker"]
    assert set(found) <= COMMANDS.keys()


def test_the_containers_run_commands_that_there_are() -> None:
    compose = (DEPLOY / "compose.yaml").read_text()
    containerfile = (DEPLOY / "Containerfile").read_text()

    found = re.findall(r"^    command: \[([a-z-]+)\]$", compose, re.MULTILINE)

    assert sorted(found) == ["migrate", "relay", "web", "worker"]
    assert 'ENTRYPOINT ["python", "-m", "foreman"]' in containerfile
    assert "USER 10001:10001" in containerfile


@pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile"])
def test_a_proxys_file_is_the_one_of_the_page(name: str) -> None:
    lines = [line.split() for line in (DEPLOY / name).read_text().splitlines()]
    content = [line for line in lines if line and not line[0].startswith("#")]
    blocks = re.findall(r"^```\w*\n(.*?)^```", PROXIES, re.MULTILINE | re.DOTALL)
    shown = [[line.split() for line in block.splitlines()] for block in blocks]

    assert content in [[line for line in each if line and line[0] != "#"] for each in shown]


def test_heroku_starts_what_the_procfile_has() -> None:
    app = json.loads((ROOT / "app.json").read_text())

    assert app["formation"].keys() == read(PROCFILE).keys() - {"release"}
    assert app["formation"]["flower"]["quantity"] == 0
