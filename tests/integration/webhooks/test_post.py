"""One guarded POST to real receivers, good and bad: each ends in time, with the right word."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from foreman.adapters.webhook import Found, WebhookClient, check_receiver_url
from foreman.core.receivers import parse_opening
from foreman.core.webhooks import EXCERPT_BYTES, AttemptError, Outcome
from foreman.embedded.probe import free_port
from foreman.refusals import WebhookRefused
from tests.fakes import receiver as fakes
from tests.fakes.receiver import Answer, Receiver
from tests.integration.store.ledger import settings
from tests.integration.webhooks.conftest import NewReceiver

LOOPBACK = (parse_opening("127.0.0.0/8"),)
ALL_PORTS = (range(1, 65536),)
LIMIT_S = 1.0
SLACK_S = 5.0


def new_client(**changes: Any) -> WebhookClient:
    options: dict[str, Any] = {"allow": LOOPBACK, "ports": ALL_PORTS, "exchange_s": LIMIT_S}
    return WebhookClient(**options | changes)


def post(url: str, **changes: Any) -> Outcome:
    return new_client(**changes).post(url, {"webhook-id": "id"}, b'{"a": 1}')


def resolver(*addresses: str) -> Any:
    """A resolver that finds these for whatever name; it counts how often it is asked."""

    def resolve(host: str, port: int) -> Found:
        asked.append(host)
        families = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(families[":" in address], (address, port)) for address in addresses]

    asked: list[str] = []
    resolve.asked = asked  # type: ignore[attr-defined]  # for the test that counts
    return resolve


def test_the_request_is_what_a_receiver_expects(new_receiver: NewReceiver) -> None:
    receiver = new_receiver()

    outcome = post(receiver.url + "?x=1")

    (got,) = receiver.got
    assert (outcome.status, outcome.error) == (200, None)
    assert got.target == "POST /hooks?x=1 HTTP/1.1"
    assert got.body == b'{"a": 1}'
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert got.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        (fakes.status(204), 204, None),
        (fakes.status(301, "Location: http://127.0.0.1:1/"), 301, AttemptError.HTTP),
        (fakes.status(404), 404, AttemptError.HTTP),
        (fakes.status(410), 410, AttemptError.HTTP),
        (fakes.status(500), 500, AttemptError.HTTP),
        (fakes.raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), 200, None),
        (fakes.raw(b"HTTP/1.0 200\r\n\r\nuntil the end"), 200, None),
        (fakes.raw(b"SSH-2.0-OpenSSH\r\n"), None, AttemptError.HTTP),
        (fakes.raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200), None, AttemptError.HTTP),
        (fakes.raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000), None, AttemptError.HTTP),
        (fakes.raw(b""), None, AttemptError.RESET),
        (fakes.reset, None, AttemptError.RESET),
        (fakes.silent, None, AttemptError.TIMEOUT),
        (fakes.slow_headers, None, AttemptError.TIMEOUT),
        (fakes.drip(b"H"), None, AttemptError.TIMEOUT),
        # Accepted: the status was there in time.
        (fakes.slow_body, 200, None),
        (fakes.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), 200, None),
        (fakes.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz"), 200, None),
    ],
)
def test_every_answer_has_its_word_and_its_end(
    new_receiver: NewReceiver, answer: Answer, status: int | None, error: AttemptError | None
) -> None:
    receiver = new_receiver(answer)
    began_at = time.monotonic()

    outcome = post(receiver.url)

    assert (outcome.status, outcome.error) == (status, error)
    assert time.monotonic() - began_at < LIMIT_S + SLACK_S
    assert len(receiver.got) == 1


def test_a_redirect_is_not_followed(new_receiver: NewReceiver) -> None:
    other = new_receiver()
    receiver = new_receiver(fakes.status(307, f"Location: {other.url}"))

    assert post(receiver.url).error is AttemptError.HTTP
    assert other.got == []


def test_of_a_long_answer_the_beginning_is_kept(new_receiver: NewReceiver) -> None:
    receiver = new_receiver(fakes.status(500, body=b"0123456789" * 1_000_000))

    assert post(receiver.url).excerpt == (b"0123456789" * 1_000)[:EXCERPT_BYTES]


def test_what_had_come_of_a_body_is_kept(new_receiver: NewReceiver) -> None:
    receiver = new_receiver(fakes.raw(b"HTTP/1.1 500 No\r\nContent-Length: 99\r\n\r\nwhy: x"))

    assert post(receiver.url).excerpt == b"why: x"


def test_a_port_where_nobody_listens_refuses() -> None:
    assert post(f"http://127.0.0.1:{free_port()}/").error is AttemptError.REFUSED


def test_a_host_that_does_not_answer_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        place = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:  # they fill the queue of connections that nobody accepts
            each.setblocking(False)
            each.connect_ex(place)
        outcome = post(f"http://127.0.0.1:{place[1]}/", connect_s=0.3, exchange_s=10.0)
        for each in waiting:
            each.close()

    assert outcome.error is AttemptError.TIMEOUT
    assert outcome.ms < 5000


def test_a_name_that_means_nothing_is_told_as_that() -> None:
    def fail(host: str, port: int) -> Found:
        raise socket.gaierror(-2, "Name or service not known")

    assert post("http://receiver.test/", resolve=fail).error is AttemptError.DNS


def test_a_private_address_is_not_dialled(new_receiver: NewReceiver) -> None:
    receiver = new_receiver()

    assert post(receiver.url, allow=()).error is AttemptError.BLOCKED
    assert receiver.got == []


@pytest.mark.parametrize("other", ["169.254.169.254", "10.0.0.1", "::1", "fe80::1%2"])
def test_one_forbidden_address_among_several_forbids_the_name(
    new_receiver: NewReceiver, other: str
) -> None:
    receiver = new_receiver()
    url = f"http://receiver.test:{receiver.port}/"

    assert post(url, resolve=resolver("127.0.0.1", other)).error is AttemptError.BLOCKED
    assert receiver.got == []


def test_the_address_that_was_checked_is_the_one_that_is_dialled() -> None:
    resolve = resolver("127.0.0.2")

    with Receiver(host="127.0.0.2") as receiver:
        outcome = post(f"http://rebinding.test:{receiver.port}/", resolve=resolve)

    assert outcome.error is None
    assert resolve.asked == ["rebinding.test"]
    assert receiver.got[0].headers["host"] == f"rebinding.test:{receiver.port}"


def test_an_address_that_refuses_makes_way_for_the_next(new_receiver: NewReceiver) -> None:
    receiver = new_receiver()
    resolve = resolver("127.0.0.2", "127.0.0.1")  # it listens on the second only

    assert post(f"http://two.test:{receiver.port}/", resolve=resolve).error is None


def test_a_resolver_that_takes_all_the_time_is_followed_by_no_request(
    new_receiver: NewReceiver,
) -> None:
    receiver = new_receiver()
    quick = resolver("127.0.0.1")

    def slow(host: str, port: int) -> Found:
        time.sleep(0.3)  # what is tested is that time has passed
        found: Found = quick(host, port)
        return found

    outcome = post(f"http://slow.test:{receiver.port}/", resolve=slow, exchange_s=0.2)

    assert outcome.error is AttemptError.TIMEOUT
    assert receiver.got == []


def test_a_resolver_that_hangs_is_not_waited_for(new_receiver: NewReceiver) -> None:
    go = threading.Event()

    def hang(host: str, port: int) -> Found:
        go.wait(10)
        return []

    outcome = post("http://hung.test/", resolve=hang, exchange_s=0.2)
    go.set()

    assert outcome.error is AttemptError.TIMEOUT
    assert outcome.ms < 8000


def test_a_port_that_is_not_listed_is_not_dialled(new_receiver: NewReceiver) -> None:
    receiver = new_receiver()

    assert post(receiver.url, ports=(range(443, 444),)).error is AttemptError.BLOCKED
    assert receiver.got == []


def test_a_url_that_is_no_longer_taken_is_not_dialled() -> None:
    assert post("http://user@127.0.0.1/").error is AttemptError.BLOCKED


def test_no_proxy_of_the_environment_is_used(
    new_receiver: NewReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, proxy = new_receiver(), new_receiver()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")

    post(receiver.url)

    assert (len(receiver.got), len(proxy.got)) == (1, 0)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for receiver.test, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver.test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("receiver.test")]), False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "receiver.pem"
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    pem = serialization.Encoding.PEM
    path.write_bytes(key.private_bytes(pem, form, plain) + made.public_bytes(pem))
    return path


@pytest.fixture
def tls_receiver(certificate: Path) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Receiver(tls=context) as receiver:
        yield receiver


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def test_a_receiver_with_tls_is_asked_by_its_name(
    tls_receiver: Receiver, certificate: Path
) -> None:
    url = f"https://receiver.test:{tls_receiver.port}/"

    outcome = post(url, resolve=resolver("127.0.0.1"), tls=trusting(certificate))

    assert (outcome.status, outcome.error) == (200, None)


@pytest.mark.parametrize(("host", "trusts"), [("receiver.test", False), ("other.test", True)])
def test_a_certificate_that_is_wrong_ends_the_attempt(
    tls_receiver: Receiver, certificate: Path, host: str, trusts: bool
) -> None:
    tls = trusting(certificate) if trusts else None
    url = f"https://{host}:{tls_receiver.port}/"

    assert post(url, resolve=resolver("127.0.0.1"), tls=tls).error is AttemptError.TLS
    assert tls_receiver.got == []


def test_a_receiver_without_tls_is_not_spoken_to_in_the_clear(new_receiver: NewReceiver) -> None:
    receiver = new_receiver()
    url = receiver.url.replace("http://", "https://")

    outcome = post(url)

    assert outcome.error in (AttemptError.TLS, AttemptError.TIMEOUT, AttemptError.RESET)
    assert receiver.got == []


# When a receiver is named


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example", "http://u:p@a.example", "http://a.example:22", "http://127.0.0.1:8787",
        "http://[::1]/", "http://169.254.169.254/", "http://[::ffff:10.0.0.1]/", "http://0x7f.1/",
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_called_is_refused_when_it_is_named(url: str) -> None:
    with pytest.raises(WebhookRefused) as refused:
        check_receiver_url(url, settings())

    assert refused.value.field == "webhook.url"
    assert refused.value.status == 422


def test_a_blocked_address_is_refused_alike_whatever_is_there_and_names_the_setting() -> None:
    def refusal(host: str) -> str:
        with pytest.raises(WebhookRefused) as refused:
            check_receiver_url(f"http://{host}/", settings())
        return str(refused.value)

    (said,) = {refusal("10.0.0.1"), refusal("127.0.0.1"), refusal("[::1]")}
    assert said.startswith("blocked address: ")
    assert "FOREMAN_WEBHOOK_ALLOW" in said


def test_a_url_that_can_be_called_is_taken() -> None:
    check_receiver_url("https://a.example/hooks", settings())
    check_receiver_url("http://10.1.2.3:8080/", settings(FOREMAN_WEBHOOK_ALLOW="10.1.0.0/16"))
    check_receiver_url("http://a.example:22/", settings(FOREMAN_WEBHOOK_PORTS="22"))
