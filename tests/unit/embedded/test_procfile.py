"""The Procfile and who runs how often."""

import pytest

from foreman.embedded import procfile
from foreman.embedded.places import PROJECT
from foreman.embedded.waiting import StartFailed

COMMANDS = procfile.parse(
    "# comment\n\nrelease: python -m foreman migrate\nweb: serve --name 'a b'\n"
    "worker: work -P threads\nrelay: relay\nflower: look\n"
)


def test_a_command_is_split_into_words_as_a_shell_would() -> None:
    assert COMMANDS["web"] == ("serve", "--name", "a b")
    assert list(COMMANDS) == ["release", "web", "worker", "relay", "flower"]


@pytest.mark.parametrize("line", ["web", "web:", "web: serve --port $PORT", "web: a && b"])
def test_a_line_that_needs_a_shell_or_says_nothing_is_refused(line: str) -> None:
    with pytest.raises(StartFailed, match="web"):
        procfile.parse(line)


def test_every_target_gets_a_worker_with_a_name_of_its_own() -> None:
    running = procfile.programs(COMMANDS, workers=2, has_flower=True)
    assert list(running) == ["web", "worker1", "worker2", "relay", "flower"]
    assert running["worker2"] == ("work", "-P", "threads", "-n", "worker2@%h")


def test_flower_is_left_out_when_its_port_is_taken() -> None:
    assert "flower" not in procfile.programs(COMMANDS, workers=1, has_flower=False)


def test_our_own_procfile_has_the_five_processes_and_a_flower_that_is_not_open() -> None:
    commands = procfile.read(PROJECT / "Procfile")
    assert set(commands) == {"release", "web", "worker", "relay", "flower"}
    assert "--address=127.0.0.1" in commands["flower"]
