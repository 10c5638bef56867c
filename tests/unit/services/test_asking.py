"""What is sent for a claimed job: the changes of its sink and foreman's own, in one body."""

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

from foreman.core.bodies import look
from foreman.core.reshape import kept_loaded, unchanged
from foreman.services.asking import ask
from foreman.services.collecting import CollectedSink
from tests.unit.services.test_collecting import claim

BODY = b'{"keep_alive":0,"stream":false,"model":"m","messages":[{"content":"hi"}]}'


def test_a_body_is_sent_with_all_changes_and_its_length_is_right() -> None:
    claimed = replace(claim(), body=BODY)
    looked = look(BODY, claimed.endpoint)
    assert looked is not None

    asked = ask(claimed, kept_loaded(BODY, looked), CollectedSink(claimed, limit_bytes=1000))

    sent = b"".join(cast(Iterable[bytes], asked.request.body))
    assert sent == BODY.replace(b"0", b"null", 1).replace(b"false", b"true")
    assert asked.request.body_size == len(sent)
    assert (asked.change, asked.streams) == ("keep_alive", True)


def test_a_body_that_stays_as_it_is_is_not_copied() -> None:
    claimed = replace(claim(), endpoint="/api/embed", body=BODY)

    asked = ask(claimed, unchanged(BODY), CollectedSink(claimed, limit_bytes=1000))

    pieces = list(cast(Iterable[memoryview], asked.request.body))
    assert [piece.obj is BODY for piece in pieces] == [True]
