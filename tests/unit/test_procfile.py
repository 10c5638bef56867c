"""The Procfile: how it is read, and what ours starts."""

import pytest

from foreman.procfile import ProcfileWrong, parse, read
from foreman.tree import PROCFILE

COMMANDS = parse(
    "# comment\n\nrelease: python -m foreman migrate\nweb: serve --name 'a b'\n"
    "worker: work -P threads\nrelay: relay\nflower: look\n"
)


def test_a_command_is_split_into_words_as_a_shell_would() -> None:
    assert COMMANDS["web"] == ("serve", "--name", "a b")
    assert list(COMMANDS) == ["release", "web", "worker", "relay", "flower"]


@pytest.mark.parametrize("line", ["web", "web:", "web: serve --port $PORT", "web: a && b"])
def test_a_line_that_needs_a_shell_or_says_nothing_is_refused(line: str) -> None:
    with pytest.raises(ProcfileWrong, match="web"):
        parse(line)


def test_our_own_procfile_has_the_five_processes_and_a_flower_that_is_not_open() -> None:
    commands = read(PROCFILE)
    assert set(commands) == {"release", "web", "worker", "relay", "flower"}
    assert "--address=127.0.0.1" in commands["flower"]
