"""The files of foreman that are no modules: next to the package, or inside it once installed.

`pyproject.toml` puts them into the wheel.
"""

from pathlib import Path

_PACKAGE = Path(__file__).parent
_INSTALLED = _PACKAGE / "installed"

ROOT = _INSTALLED if _INSTALLED.exists() else _PACKAGE.parent
MIGRATIONS = ROOT / "migrations" / "alembic.ini"
PROCFILE = ROOT / "Procfile"
