"""A target behind a real nginx: TLS with a private CA, basic authentication, and a path."""

import base64
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from foreman.adapters.target import TargetClient, TargetRequest
from foreman.embedded.probe import free_port
from foreman.errors import TargetError, TargetForbids, TargetUnreachable, TargetUntrusted
from foreman.parsing import TargetSpec, targets
from foreman.simulation.process import SimulationProcess
from tests.client import chat
from tests.fakes.tls import Authority, TlsProxy
from tests.nginx import NginxServer, nginx_missing
from tests.stack import Stack, wait_for

pytestmark = pytest.mark.timeout(600)
PASSWORD = "p@ss/word"
IN_URL = "p%40ss%2Fword"
BASIC = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
VERSION = TargetRequest("GET", "/api/version")

_CONTENT = """
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        location /gpu/ollama/ {{
            auth_basic "ollama";
            auth_basic_user_file {users};
            proxy_pass {url}/;
            proxy_buffering off;
        }}
"""


class Proxy:
    """The way to the target, and who may take it."""

    def __init__(self, url: str, authority: Authority) -> None:
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory()
        # nginx reads the users as nobody, and the certificate before that.
        Path(self._folder.name).chmod(0o755)
        self._users = Path(self._folder.name) / "users"
        self.allow(PASSWORD)
        authority.context("localhost")
        certificate = authority.file.parent / f"{authority.file.stem}-localhost.pem"
        self._server = NginxServer(
            _CONTENT.format(port=self.port, certificate=certificate, users=self._users, url=url)
        )

    def allow(self, password: str) -> None:
        """Let `me` in with this password only."""
        self._users.write_text(f"me:{{PLAIN}}{password}\n")
        self._users.chmod(0o644)

    def target(self, password: str = IN_URL) -> str:
        return f"gpu=https://me:{password}@localhost:{self.port}/gpu/ollama?slots=2"

    def close(self) -> None:
        self._server.stop()
        self._folder.cleanup()


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("private"), "private")


@pytest.fixture(scope="module")
def proxy(simulation: SimulationProcess, private: Authority) -> Iterator[Proxy]:
    if reason := nginx_missing():
        if os.environ.get("CI") == "true":
            pytest.fail(f"nginx is required in CI: {reason}")
        pytest.skip(reason)
    with closing(Proxy(simulation.url, private)) as opened:
        yield opened


def fetched(target: str, ca_file: str | None) -> tuple[int, bytes]:
    (spec,) = targets(target)
    with closing(TargetClient(spec, silence_s=20, connections=1, ca_file=ca_file)) as client:
        head, body = client.fetch(VERSION, silence_s=20)
        return head.status, body


def failure(target: str, ca_file: str | None) -> TargetError:
    with pytest.raises(TargetUnreachable) as raised:
        fetched(target, ca_file)
    return raised.value


def test_a_target_is_reached_through_its_path_with_its_credentials(
    proxy: Proxy, private: Authority
) -> None:
    status, body = fetched(proxy.target(), str(private.file))

    assert (status, b'"version"' in body) == (200, True)


@pytest.mark.parametrize("password", ["wrong", ""])
def test_refused_credentials_are_reported_as_that(
    proxy: Proxy, private: Authority, password: str
) -> None:
    error = failure(proxy.target(password), str(private.file))

    assert isinstance(error, TargetForbids)
    assert str(error) == "target gpu refused foreman's credentials (401)"


def test_a_target_that_asks_for_credentials_says_that_there_are_none(
    proxy: Proxy, private: Authority
) -> None:
    target = f"gpu=https://localhost:{proxy.port}/gpu/ollama"

    assert "which has no credentials for it (401)" in str(failure(target, str(private.file)))


def test_a_certificate_of_an_unknown_ca_is_named_with_its_reason(proxy: Proxy) -> None:
    error = failure(proxy.target(), None)

    assert isinstance(error, TargetUntrusted)
    assert "the certificate of target gpu is not trusted: " in str(error)
    assert "SSL_CERT_FILE" in str(error)


def test_a_certificate_for_another_name_is_not_trusted(proxy: Proxy, private: Authority) -> None:
    target = proxy.target().replace("localhost", "127.0.0.1")

    assert "IP address mismatch" in str(failure(target, str(private.file)))


def test_a_target_without_tls_is_named(simulation: SimulationProcess) -> None:
    target = "gpu=" + simulation.url.replace("http:", "https:")

    assert "the TLS handshake with target gpu failed: " in str(failure(target, None))


def test_a_connection_that_is_cut_after_the_handshake_is_no_matter_of_trust(
    private: Authority,
) -> None:
    with TlsProxy(("127.0.0.1", free_port()), private.context("localhost")) as cutting:
        spec = TargetSpec(name="gpu", url=f"https://localhost:{cutting.port}", slots=1)
        client = TargetClient(spec, silence_s=20, connections=1, ca_file=str(private.file))
        with closing(client), pytest.raises(TargetError) as raised:
            client.fetch(VERSION, silence_s=20)

    assert raised.value.code == "target_cut"


@pytest.fixture
def stack(
    database_url: str,
    new_broker_url: Callable[[str], str],
    proxy: Proxy,
    private: Authority,
) -> Iterator[Stack]:
    running = Stack(
        database_url=database_url,
        broker_url=new_broker_url("redis"),
        targets=proxy.target(),
        settings={
            "REQUESTS_CA_BUNDLE": "",  # it would come first
            "SSL_CERT_FILE": str(private.file),
            "FOREMAN_ABSENCE_GRACE": "0.5",
        },
    )
    with running:
        yield running


def secrets_in(text: str) -> list[str]:
    return [each for each in (PASSWORD, IN_URL, BASIC) if each in text]


def test_foreman_works_through_the_proxy_until_it_refuses_and_shows_no_password(
    stack: Stack, proxy: Proxy
) -> None:
    assert stack.post("/api/chat", chat(stream=False)).status == 200
    for path in ("/api/version", "/api/tags", "/api/ps", "/v1/models", "/v1/models/chain-a"):
        assert stack.get(path).status == 200, path
    assert stack.get("/").body == b"Ollama is running"

    proxy.allow("another")
    try:
        wait_for(lambda: not stack.is_ready(), 30)
        reason = "target gpu refused foreman's credentials (401)"
        assert reason in json.loads(stack.get("/readyz").body)["targets"]
        refused = stack.post("/api/chat", chat(stream=False))
        assert refused.status == 503
        assert reason in json.loads(refused.body)["error"]
        for name in ("web", "worker1"):
            line = [each for each in stack.log_of(name) if "reachability changed" in each][-1]
            assert "WARNING" in line
            assert reason in line
    finally:
        proxy.allow(PASSWORD)
    wait_for(stack.is_ready, 30)
    assert stack.post("/api/chat", chat(stream=False)).status == 200

    shown = [requests.get(stack.url + path, timeout=20).text for path in ("/queues", "/readyz")]
    shown += [stack.log_text(), json.dumps(stack.rows("SELECT * FROM targets"), default=str)]
    shown += [stack.run("-m", "foreman", "policy")]
    assert not secrets_in("\n".join(shown))
