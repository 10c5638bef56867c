"""The bytes that jobs produced: the manifest, one of them, and the result by a name of its own.

Bytes are read from the database piece by piece: no connection is held while a client takes them.
"""

from collections.abc import Iterator

from flask import Response, request
from werkzeug.datastructures import Range

from foreman.api.jobs import known_id, shown_response
from foreman.api.objects import Manifest, artifact_object
from foreman.api.problems import problem, problem_response
from foreman.refusals import ArtifactUnknown
from foreman.runtime import WebRuntime
from foreman.services import results
from foreman.services.history import find
from foreman.store.artifacts import ArtifactRow

# The bytes are a model's: no browser shall run them as a page of foreman's own origin.
_HARMLESS = {"Content-Security-Policy": "sandbox"}


class Artifacts:
    """The handlers of `/jobs/{id}/artifacts` and `/jobs/{id}/result`."""

    def __init__(self, runtime: WebRuntime) -> None:
        self._runtime = runtime

    def list_artifacts(self, job_id: str) -> Response:
        job = find(self._runtime, known_id(job_id))
        rows = results.artifacts(self._runtime, job.id)
        return shown_response(Manifest(data=[artifact_object(row) for row in rows]))

    def show_artifact(self, job_id: str, name: str) -> Response:
        job = find(self._runtime, known_id(job_id))
        if "\x00" in name:
            raise ArtifactUnknown
        return self._bytes(results.artifact(self._runtime, job.id, name))

    def show_result(self, job_id: str) -> Response:
        return self._bytes(results.result(self._runtime, find(self._runtime, known_id(job_id))))

    def _bytes(self, artifact: ArtifactRow) -> Response:
        etag, size = artifact.sha256, artifact.size_bytes
        if request.if_none_match.contains_weak(etag):
            response = Response(status=304, headers=_HARMLESS)
            response.set_etag(etag)
            return response
        wanted = _wanted(etag)
        span = (0, size) if wanted is None else wanted.range_for_length(size)
        if span is None:
            return _refused(size)
        start, stop = span
        response = Response(
            self._pieces(artifact, start, stop),
            200 if wanted is None else 206,
            headers=_HARMLESS,
            content_type=artifact.content_type,
        )
        response.set_etag(etag)
        response.headers["Accept-Ranges"] = "bytes"
        response.content_length = stop - start
        if wanted is not None:
            response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        return response

    def _pieces(self, artifact: ArtifactRow, start: int, stop: int) -> Iterator[bytes]:
        if request.method == "HEAD":
            return iter(())
        return results.pieces(self._runtime, artifact, start, stop)


def _wanted(etag: str) -> Range | None:
    """The one range that is asked for, of the bytes as they are; None for all of them."""
    wanted = request.range
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1:
        return None
    condition = request.if_range
    if condition.etag not in (None, etag) or condition.date is not None:
        return None
    return wanted


def _refused(size: int) -> Response:
    words = f"the artifact has {size} bytes"
    response = problem_response(problem(416, "range_refused", "Range Not Satisfiable", words))
    response.headers["Content-Range"] = f"bytes */{size}"
    return response
