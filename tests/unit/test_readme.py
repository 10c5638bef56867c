"""The README and the documents name only what exists: variables, files, links."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from foreman.config import REPLACED, variables

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
SETTINGS = ROOT / "docs" / "settings.md"
PAGES = [
    README,
    ROOT / "CHANGELOG.md",
    ROOT / "packages" / "client" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
BEGIN, END = "<!-- settings: begin -->\n", "<!-- settings: end -->"
VARIABLE = re.compile(r"\b(?:FOREMAN_\w+|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|PORT)\b")
FILE = re.compile(r"`((?:foreman|celery_app|migrations|tests|bin|docs)/[\w./-]+)`")
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
# Not settings of foreman's processes: Ollama's, Flower's, what only `bin/run` or the CLI reads.
FOREIGN = {
    "OLLAMA_HOST", "OLLAMA_NUM_PARALLEL", "OLLAMA_CONTEXT_LENGTH", "OLLAMA_KEEP_ALIVE",
    "OLLAMA_MAX_LOADED_MODELS", "FLOWER_PORT", "FLOWER_BASIC_AUTH", "SSL_CERT_FILE",
    "OLLAMA_MAX_QUEUE", "HONCHO_PROCESS_NAME", "POSTGRES_PASSWORD",
    "FOREMAN_DATA_DIR", "FOREMAN_URL",
}  # fmt: skip

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def settings_output() -> str:
    command = [sys.executable, "-m", "foreman", "settings"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_table_of_settings_is_what_the_command_prints() -> None:
    text = SETTINGS.read_text()

    table = text.partition(BEGIN)[2].partition(END)[0]

    assert table == settings_output()


@each_page
def test_every_variable_that_is_named_exists(page: Path) -> None:
    known = {name for names, _, _ in variables() for name in names} | FOREIGN | REPLACED.keys()

    named = set(VARIABLE.findall(page.read_text()))

    assert named <= known


@each_page
def test_every_file_that_is_named_exists(page: Path) -> None:
    named = set(FILE.findall(page.read_text()))

    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    links = {link for link in LINK.findall(page.read_text()) if "://" not in link}

    assert [link for link in sorted(links) if not (page.parent / link).exists()] == []
