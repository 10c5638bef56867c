"""Webhook secrets at rest: encrypted (Fernet) where FOREMAN_SECRET_KEY is set, else as they are."""

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from foreman.errors import SecretUnreadable

_MARK = "fernet:"


class Seal:
    """Seals and opens secrets; the first key seals, every key opens."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys]) if keys else None

    def seal(self, secret: str) -> str:
        """The secret as the database keeps it."""
        if self._fernet is None:
            return secret
        return _MARK + self._fernet.encrypt(secret.encode()).decode()

    def open(self, kept: str) -> str:
        """The secret that was sealed, or kept before there was a key; SecretUnreadable."""
        if not kept.startswith(_MARK):
            return kept
        if self._fernet is None:
            raise SecretUnreadable
        try:
            return self._fernet.decrypt(kept.removeprefix(_MARK)).decode()
        except InvalidToken as exc:
            raise SecretUnreadable from exc
