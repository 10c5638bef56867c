"""Which of the Procfile's processes run here, and how often."""

from collections.abc import Mapping


def programs(
    commands: Mapping[str, tuple[str, ...]], *, workers: int, has_flower: bool
) -> dict[str, tuple[str, ...]]:
    """Return what runs all the time, by name: a worker for each target, each with its own name."""
    counts = {"worker": workers, "flower": int(has_flower)}
    running = {}
    for kind, argv in commands.items():
        if kind == "worker":
            for number in range(1, counts[kind] + 1):
                running[f"worker{number}"] = (*argv, "-n", f"worker{number}@%h")
        elif kind != "release" and counts.get(kind, 1):
            running[kind] = argv
    return running
