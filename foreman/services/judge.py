"""Judge a request for a job before it is accepted: its residency, or why it can have none.

1. a field is not as Ollama would read it       422 invalid
2. the model's name is no name                  422 invalid_model
3. the model runs elsewhere                     422 remote_model: it would wait for no worker
4. X-Foreman-Target names no target             422 invalid
5. no target answers, or one that may have it
   has not listed its models yet                accepted: the job waits
6. no target has it, or not the one named       422 model_not_found, in the target's own words
"""

import json

from foreman.adapters.catalog import Placement
from foreman.adapters.target import TargetRequest
from foreman.core import headers as header_rules
from foreman.core.bodies import Look, read
from foreman.core.queues import canonical_name, is_cloud_name
from foreman.core.reading.scan import Unreadable
from foreman.core.target_words import error_in
from foreman.errors import (
    BodyTooComplex,
    ForemanError,
    NoLiveTarget,
    RequestRefused,
    TargetError,
)
from foreman.refusals import InvalidModel, ModelNotFound, RemoteModel, Unprocessable
from foreman.runtime import WebRuntime

ASK_LIMIT_S = 3.0
FIELD = "request.model"


class Judge:
    """Judges requests one after another; what it has found out of a model it does not ask again."""

    def __init__(self, runtime: WebRuntime) -> None:
        self._runtime = runtime
        self._verdicts: dict[tuple[str, str | None], str | ForemanError] = {}
        self._silent: set[str] = set()  # targets that gave no answer: one wait is enough

    def look(self, request: bytes, endpoint: str) -> Look:
        """What the request asks for; Unprocessable when Ollama would not accept it."""
        try:
            return self._runtime.turns.run(read(request, endpoint), len(request))
        except Unreadable as exc:
            raise _unreadable(exc) from exc
        except BodyTooComplex:
            raise
        except RequestRefused as exc:  # an option that no Ollama can mean
            raise Unprocessable(str(exc), field="request.options") from exc

    def model(self, looked: Look, target: str | None) -> str:
        """The canonical model that the request names; Unprocessable when it cannot have it."""
        asked = (looked.model, target)
        if asked not in self._verdicts:
            try:
                self._verdicts[asked] = self._find(looked.model, target)
            except Unprocessable as error:
                self._verdicts[asked] = error
        verdict = self._verdicts[asked]
        if isinstance(verdict, ForemanError):
            raise verdict
        return verdict

    def _find(self, written: str, target: str | None) -> str:
        model = canonical_name(written)
        if model is None:
            raise InvalidModel(f"{_quoted(written)} is not a model's name", field=FIELD)
        if is_cloud_name(written):
            raise RemoteModel(_remote(model), field=FIELD)
        if target is not None and target not in self._runtime.targets:
            known = ", ".join(self._runtime.targets)
            words = f"{header_rules.TARGET} names no target; there are: {known}"
            raise Unprocessable(words, field=header_rules.TARGET)
        try:
            found = self._runtime.catalog.find(model, on=target)
        except NoLiveTarget:
            return model
        if found is not None and found.is_remote:
            raise RemoteModel(_remote(model), field=FIELD)
        self._check_has(model, found, target)
        return model

    def _check_has(self, model: str, found: Placement | None, target: str | None) -> None:
        catalog = self._runtime.catalog
        able = [name for name in catalog.reachable if target in (None, name)]
        # A list that is older than a target's absence may be out of date: then the job waits.
        if found is not None or not able:
            return
        words = self._ask(able[0], model)
        if words:
            raise ModelNotFound(f"target {able[0]}: {words}", field=FIELD)

    def _ask(self, target: str, model: str) -> str:
        """The target's own words on a model that it does not have; "" when it has it after all."""
        request = TargetRequest("POST", "/api/show", body=json.dumps({"model": model}).encode())
        unknown = f"model '{model}' not found"
        if target in self._silent:
            return unknown
        try:
            head, body = self._runtime.targets[target].fetch(request, silence_s=ASK_LIMIT_S)
            if head.status == 200:
                self._runtime.catalog.expire()
                return ""
            return self._runtime.turns.run(error_in(body), len(body)) or unknown
        except TargetError:
            self._silent.add(target)
        except ValueError:
            pass  # it is no error of Ollama's
        return unknown


def _unreadable(error: Unreadable) -> Unprocessable:
    if error.field == "model":
        return InvalidModel(str(error), field=FIELD)
    field = f"request.{error.field}" if error.field else "request"
    return Unprocessable(f"{field}: {error}", field=field)


def _quoted(name: str) -> str:
    return json.dumps(name if len(name) <= 100 else name[:100] + "…")


def _remote(model: str) -> str:
    return f"{model} runs elsewhere and needs no queue; ask for it on Ollama's own routes"
