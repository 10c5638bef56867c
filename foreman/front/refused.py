"""What gunicorn cannot read, as an error of foreman's, and as a request that is answered with it.

The application answers such a request like any other, so that its error has the route's form.
"""

from typing import Any

from gunicorn.http import errors  # type: ignore[import-untyped]  # it has no types
from gunicorn.http.message import TOKEN_RE  # type: ignore[import-untyped]  # it has no types

from foreman.errors import ForemanError
from foreman.front.target import origin_form
from foreman.refusals import (
    ExpectationFailed,
    HeadTooLarge,
    MalformedRequest,
    TargetTooLong,
    UnsupportedTransferCoding,
    UnsupportedVersion,
)

# The first that fits: class, error, sentence.
_REFUSALS: tuple[tuple[type[Exception], type[ForemanError], str], ...] = (
    (errors.LimitRequestLine, TargetTooLong, ""),
    (errors.LimitRequestHeaders, HeadTooLarge, ""),
    (errors.ExpectationFailed, ExpectationFailed, ""),
    (errors.UnsupportedTransferCoding, UnsupportedTransferCoding, ""),
    (errors.InvalidRequestLine, MalformedRequest, "the request line is not valid"),
    (errors.InvalidRequestMethod, MalformedRequest, "the method of the request is not valid"),
    (errors.ObsoleteFolding, MalformedRequest, "a header is folded over several lines"),
    (errors.InvalidHeaderName, MalformedRequest, "the name of a header is not valid"),
    (errors.InvalidHeader, MalformedRequest, "a header is not valid"),
    (errors.InvalidChunkSize, MalformedRequest, "the size of a chunk of the body is not valid"),
    (errors.InvalidChunkExtension, MalformedRequest, "an extension of a chunk is not valid"),
    (
        errors.ChunkMissingTerminator,
        MalformedRequest,
        "a chunk of the body does not have its announced size",
    ),
)


def refusal_of(error: errors.ParseException) -> ForemanError:
    """The error that a client is given for what gunicorn could not read."""
    if isinstance(error, errors.InvalidHTTPVersion):
        # Digits in a tuple are a version that HTTP has; a string is none.
        known = isinstance(error.version, tuple)
        return UnsupportedVersion() if known else MalformedRequest("the HTTP version is not valid")
    if isinstance(error, errors.InvalidHeader) and TOKEN_RE.fullmatch(str(error.hdr)):
        return MalformedRequest(f"the header {str(error.hdr).title()} is not valid")
    for kind, refusal, sentence in _REFUSALS:
        if isinstance(error, kind):
            return refusal(sentence)
    return MalformedRequest("the request is not valid")


class RefusedBody:
    """The body of a request that is not served: `refusal` says why, and reading it raises that."""

    def __init__(self, refusal: ForemanError) -> None:
        self.refusal = refusal

    def read(self, size: int = -1) -> bytes:
        raise self.refusal


class RefusedRequest:
    """In gunicorn's terms, what is known of a request that cannot be served."""

    version = (1, 1)
    scheme = "http"
    _expected_100_continue = False

    def __init__(self, refusal: ForemanError, line: tuple[str, str] | None) -> None:
        self.method, target = line or ("GET", "/")
        self.uri, _ = origin_form(target)
        self.path, _, self.query = self.uri.partition("?")
        self.headers: list[tuple[str, str]] = []
        self.trailers: list[tuple[str, str]] = []
        self.proxy_protocol_info: dict[str, Any] = {}
        self.body = RefusedBody(refusal)

    def should_close(self) -> bool:
        return True

    def force_close(self) -> None:
        """It closes anyway."""
