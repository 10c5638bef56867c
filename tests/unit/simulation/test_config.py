"""The options of `simulate-ollama`, and what is wrong with a wrong one."""

import argparse

import pytest

from foreman.errors import SettingsError
from foreman.simulation.config import (
    GIB,
    ModelSpec,
    SimulationConfig,
    add_arguments,
    config_from,
)


def config(*arguments: str) -> SimulationConfig:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return config_from(parser.parse_args(arguments))


def test_without_options_it_is_the_default() -> None:
    assert config() == SimulationConfig()


@pytest.mark.parametrize(
    ("text", "models"),
    [
        ("a=4GiB", (ModelSpec(name="a", size_bytes=4 * GIB),)),
        (
            "a:1b=1GiB, b=512",
            (ModelSpec(name="a:1b", size_bytes=GIB), ModelSpec(name="b", size_bytes=512)),
        ),
        (
            "a=1GiB;caps=completion+tools,b=1GiB;caps=completion,thinking",
            (
                ModelSpec(name="a", size_bytes=GIB, capabilities=("completion", "tools")),
                ModelSpec(name="b", size_bytes=GIB, capabilities=("completion", "thinking")),
            ),
        ),
    ],
)
def test_models_are_names_with_sizes_and_capabilities(
    text: str, models: tuple[ModelSpec, ...]
) -> None:
    assert config("--models", text).models == models


def test_the_demo_is_asked_for_apart_from_the_models() -> None:
    assert config("--demo") == SimulationConfig(demo=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--models", "a"),
        ("--models", "a=4 pounds"),
        ("--models", "a=1GiB;colour=blue"),
        ("--memory", "much"),
        ("--slots", "0"),
        ("--tokens-per-s", "-1"),
    ],
)
def test_a_wrong_option_stops_the_start(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError):
        config(*arguments)
