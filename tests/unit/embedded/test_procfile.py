"""Which process of the Procfile runs how often."""

from foreman.embedded import procfile
from foreman.procfile import parse

COMMANDS = parse(
    "# comment\n\nrelease: python -m foreman migrate\nweb: serve --name 'a b'\n"
    "worker: work -P threads\nrelay: relay\nflower: look\n"
)


def test_every_target_gets_a_worker_with_a_name_of_its_own() -> None:
    running = procfile.programs(COMMANDS, workers=2, has_flower=True)
    assert list(running) == ["web", "worker1", "worker2", "relay", "flower"]
    assert running["worker2"] == ("work", "-P", "threads", "-n", "worker2@%h")


def test_flower_is_left_out_when_its_port_is_taken() -> None:
    assert "flower" not in procfile.programs(COMMANDS, workers=1, has_flower=False)
