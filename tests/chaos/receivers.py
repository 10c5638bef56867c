"""The receivers of a row's webhooks, good and bad, and all that reached them."""

import time
from types import TracebackType

from tests.chaos.values import Delivered
from tests.fakes.receiver import Answer, Receiver, ok


class Receivers:
    """Receivers by name; "good" is always there and is reached through a link."""

    def __init__(self) -> None:
        # Their clock is monotonic; everything else here is `time.time()`.
        self._offset = time.time() - time.monotonic()
        self._by_name = {"good": Receiver(ok)}

    def __enter__(self) -> "Receivers":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for receiver in self._by_name.values():
            receiver.__exit__(None, None, None)

    def port(self, name: str) -> int:
        return self._by_name[name].port

    def add(self, name: str, answer: Answer) -> None:
        """Another receiver, or another answer of one that is there."""
        if name in self._by_name:
            self._by_name[name].answer = answer
        else:
            self._by_name[name] = Receiver(answer)

    def delivered(self) -> list[Delivered]:
        """All that has come since the last `clear`, oldest first of each receiver."""
        return [
            Delivered(receiver=name, headers=got.headers, body=got.body, at=got.at + self._offset)
            for name, receiver in self._by_name.items()
            for got in list(receiver.got)
        ]

    def clear(self) -> None:
        for receiver in self._by_name.values():
            receiver.got.clear()
