"""The wheels, installed where nothing else of foreman is: the command, its files, the client.

What the wheels depend on is not downloaded again: it is linked from the Python of the tests.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from foreman.tree import ROOT
from foreman.version import VERSION
from tests.servers import PostgresServer

SITE = Path(sysconfig.get_path("purelib"))
REQUESTS = ("requests", "urllib3", "idna", "certifi", "charset_normalizer")
SAYS_WHERE = "import foreman.client as c, sys; print(c.__file__); c.verify; print(c.Client())"


class Environment:
    """An empty environment of a Python, with one wheel and what is linked into it."""

    def __init__(self, path: Path, wheel: Path, packages: tuple[str, ...] | None) -> None:
        """`packages` are importable; None: all that the tests have."""
        venv.create(path, with_pip=False, symlinks=True)
        self.path = path
        [site] = path.glob("lib/python*/site-packages")
        if packages is None:
            (site / "tests.pth").write_text(f"{SITE}\n")
        for name in packages or ():
            (site / name).symlink_to(SITE / name)
        pip = [sys.executable, "-m", "pip", "--python", str(path / "bin" / "python"), "install"]
        subprocess.run(
            [*pip, "-q", "--no-deps", "--no-index", "--no-compile", str(wheel)],
            check=True,
            timeout=60,
        )

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of this environment, in its own folder."""
        environ = {name: text for name, text in os.environ.items() if "PYTHON" not in name}
        return subprocess.run(
            [self.path / "bin" / words[0], *words[1:]],
            cwd=self.path,
            env=environ | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def built(folder: Path, to: Path) -> Path:
    """Build the wheel of the project in `folder`."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(to)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    [wheel] = to.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def server_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT, tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="module")
def client_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT / "packages" / "client", tmp_path_factory.mktemp("client"))


def test_the_wheel_brings_the_command_and_its_migrations(
    server_wheel: Path, tmp_path: Path, postgres: PostgresServer
) -> None:
    environment = Environment(tmp_path / "env", server_wheel, None)

    version = environment.run("foreman", "--version")
    migrated = environment.run("foreman", "migrate", DATABASE_URL=postgres.create_database())
    worker = environment.run("foreman", "worker", "--help", FOREMAN_BROKER_URL="redis://localhost")

    assert version.stdout == f"foreman {VERSION}\n"
    assert (migrated.returncode, migrated.stderr) == (0, "")
    assert "DATABASE_URL is not set" in worker.stderr, worker.stdout  # celery_app is there, too


def test_the_command_alone_asks_a_running_foreman_and_names_what_more_needs(
    server_wheel: Path, tmp_path: Path
) -> None:
    environment = Environment(tmp_path / "env", server_wheel, REQUESTS)

    jobs = environment.run("foreman", "jobs", "list", FOREMAN_URL="http://127.0.0.1:9")
    relay = environment.run("foreman", "relay")

    assert "http://127.0.0.1:9 does not answer" in jobs.stderr
    assert relay.returncode == 1
    assert "pip install 'ollama-foreman[server]'" in relay.stderr
    assert "Traceback" not in relay.stderr


def test_the_client_alone_needs_requests_and_nothing_else(
    client_wheel: Path, tmp_path: Path
) -> None:
    environment = Environment(tmp_path / "env", client_wheel, REQUESTS)

    done = environment.run("python", "-W", "error", "-c", SAYS_WHERE)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(environment.path))


def test_the_client_runs_on_the_oldest_python_that_it_promises(
    client_wheel: Path, tmp_path: Path
) -> None:
    python = shutil.which("python3.9")
    if python is None or subprocess.run([python, "--version"], check=False).returncode:
        pytest.skip("python3.9 is missing")
    shutil.unpack_archive(client_wheel, tmp_path, "zip")
    stub = "import sys, types\nsys.modules['requests'] = requests = types.ModuleType('requests')\n"
    stub += "requests.Session = lambda: types.SimpleNamespace(headers={})\n"

    done = subprocess.run(
        [python, "-c", stub + SAYS_WHERE],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
