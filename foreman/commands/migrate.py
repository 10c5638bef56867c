"""`foreman migrate`: the database's tables, brought to this version."""

import argparse

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from foreman.errors import ForemanError
from foreman.tree import MIGRATIONS


class DatabaseTooNew(ForemanError):
    """A newer version of foreman has migrated the database."""

    code = "database_too_new"


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(action=migrate)


def migrate(args: argparse.Namespace) -> None:
    """Bring the database to this version's tables."""
    config = Config(str(MIGRATIONS))
    try:
        command.upgrade(config, "head")
    except CommandError as exc:
        if "locate revision" not in str(exc):
            raise
        head = ScriptDirectory.from_config(config).get_current_head()
        raise DatabaseTooNew(
            f"a newer version of foreman has migrated this database ({exc}; the newest here is "
            f"{head}): install that version again, or restore a backup from before"
        ) from exc
