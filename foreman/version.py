"""The version of foreman; the wheels, `--version`, `/openapi.json` and User-Agent read it here."""

VERSION = "0.1.0"
