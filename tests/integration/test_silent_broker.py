"""A channel whose connections fall silent: TCP acknowledges everything, and loses it."""

import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from foreman.adapters import inbox
from foreman.adapters.inbox import DOUBT_S, SILENCE_LIMIT_S
from foreman.config import Settings
from foreman.core.frames import Frame, FrameKind
from foreman.ids import new_id
from tests.fakes.proxy import Proxy, proxy_before
from tests.integration.test_channel import Channel, frames_of, settings_of
from tests.stack import wait_for

BUSY_S = 30.0  # what a busy machine may need on top


@pytest.fixture
def proxy(broker_url: str) -> Iterator[Proxy]:
    with proxy_before(urlsplit(broker_url).port or 0) as proxy:
        yield proxy


@pytest.fixture
def channel(broker_url: str, proxy: Proxy) -> Iterator[Channel]:
    opened = Channel(behind(settings_of(broker_url), proxy))
    yield opened
    opened.close()


def behind(settings: Settings, proxy: Proxy) -> Settings:
    port = str(urlsplit(settings.broker_url).port)
    return replace(settings, broker_url=settings.broker_url.replace(port, str(proxy.port)))


def send_one(channel: Channel) -> list[FrameKind]:
    """The kinds of what arrives of a short stream."""
    job_id = new_id()
    mailbox = channel.inbox.open(job_id)
    outgoing = channel.senders.open(channel.web_id, job_id, fence=1)
    outgoing.send(FrameKind.DATA, b"x")
    outgoing.send(FrameKind.END)
    outgoing.close()
    return [frame.kind for frame in frames_of(mailbox)]


def test_a_channel_that_falls_silent_is_noticed_and_made_anew(
    channel: Channel, proxy: Proxy
) -> None:
    send_one(channel)
    proxy.silence()
    began_at = time.monotonic()

    wait_for(lambda: not channel.inbox.is_consuming, DOUBT_S + BUSY_S, "it doubts the channel")
    assert channel.inbox.problem
    wait_for(lambda: channel.inbox.is_consuming, SILENCE_LIMIT_S + BUSY_S, "it is made anew")

    assert time.monotonic() - began_at < SILENCE_LIMIT_S + BUSY_S
    wait_for(lambda: send_one(channel)[-1] is FrameKind.END, BUSY_S)


def test_a_broker_that_is_frozen_for_a_while_breaks_no_stream(
    channel: Channel, proxy: Proxy
) -> None:
    job_id = new_id()
    mailbox = channel.inbox.open(job_id)
    outgoing = channel.senders.open(channel.web_id, job_id, fence=1)
    outgoing.send(FrameKind.DATA, b"first")
    assert isinstance(mailbox.take(BUSY_S), Frame)

    proxy.freeze(True)
    outgoing.send(FrameKind.DATA, b"second")
    wait_for(lambda: channel.inbox.problem, DOUBT_S + BUSY_S)
    proxy.freeze(False)
    outgoing.send(FrameKind.DATA, b"third")
    outgoing.send(FrameKind.END)

    frames = list(frames_of(mailbox))
    assert b"".join(frame.payload for frame in frames) == b"secondthird"
    assert frames[0].seq == 1


def test_a_reader_that_hangs_is_replaced(
    channel: Channel, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "SILENCE_LIMIT_S", float("inf"))  # it never notices by itself
    monkeypatch.setattr(inbox, "STUCK_S", -1.0)
    proxy.silence()

    channel.inbox.watch()

    monkeypatch.setattr(inbox, "STUCK_S", 60.0)
    wait_for(lambda: channel.inbox.is_consuming and send_one(channel), BUSY_S)
