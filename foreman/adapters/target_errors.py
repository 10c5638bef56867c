"""What a failed exchange with a target means: errors of the HTTP library become `TargetError`s."""

import ssl
from collections.abc import Iterator
from http.client import HTTPException, IncompleteRead, RemoteDisconnected

import requests
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError, ReadTimeoutError

from foreman.core import headers as header_rules
from foreman.core.frames import Head
from foreman.errors import (
    AnswerUnreadable,
    TargetCut,
    TargetError,
    TargetForbids,
    TargetTimeout,
    TargetUnreachable,
    TargetUntrusted,
)
from foreman.parsing import TargetSpec

_CUTS = (IncompleteRead, RemoteDisconnected)
_TIMEOUTS = (requests.ReadTimeout, ReadTimeoutError, TimeoutError)


def translated(error: Exception, target: str, *, limit_s: float, is_connected: bool) -> TargetError:
    """An error of the HTTP library; `is_connected`: it was raised after any TLS handshake."""
    cause = error.args[0] if error.args else error
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    if isinstance(reason, NewConnectionError) or isinstance(error, requests.ConnectTimeout):
        return TargetUnreachable(f"target {target} does not accept connections")
    of_tls = next((each for each in _causes(error) if isinstance(each, ssl.SSLError)), None)
    if of_tls is not None and not is_connected:
        return _untrusted(of_tls, target)
    if isinstance(reason, ProtocolError):
        reason = reason.args[-1]  # what went wrong while the body was on its way
    if isinstance(error, _TIMEOUTS) or isinstance(reason, _TIMEOUTS):
        return TargetTimeout(f"target {target} was silent for {limit_s:g} s")
    if isinstance(reason, HTTPException) and not isinstance(reason, _CUTS):
        return AnswerUnreadable(f"target {target} sent an invalid HTTP answer: {reason}")
    return TargetCut(f"target {target} closed the connection before its answer was whole")


def check_allowed(head: Head, spec: TargetSpec) -> None:
    """TargetForbids for an answer by which a proxy refuses foreman itself.

    Ollama's own 401 and 403, of its cloud and of a request, are JSON and offer no way to log in.
    """
    kind = header_rules.find(head.headers, "content-type") or ""
    is_own = "json" in kind and header_rules.find(head.headers, "www-authenticate") is None
    if head.status not in (401, 403) or is_own:
        return
    if spec.authorization is None:
        text = f"target {spec.name} refused foreman, which has no credentials for it"
    else:
        text = f"target {spec.name} refused foreman's credentials"
    raise TargetForbids(f"{text} ({head.status})")


def _untrusted(error: ssl.SSLError, target: str) -> TargetUntrusted:
    if isinstance(error, ssl.SSLCertVerificationError):
        return TargetUntrusted(
            f"the certificate of target {target} is not trusted: {error.verify_message};"
            " REQUESTS_CA_BUNDLE or SSL_CERT_FILE names the file of its CA"
        )
    reason = (error.reason or "it was cut").lower().replace("_", " ")
    return TargetUntrusted(f"the TLS handshake with target {target} failed: {reason}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
