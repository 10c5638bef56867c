"""Carries out what is asked of a target besides loads: what it has, a longer stay, a token."""

import json
import logging
import math
import time

from foreman.adapters import memory
from foreman.adapters.target import TargetRequest
from foreman.errors import TargetError
from foreman.runtime import WorkerRuntime
from foreman.worker.effects import KeepLoaded, Observe, Probe
from foreman.worker.events import Listed, Observed, Probed

log = logging.getLogger(__name__)

# A target prolongs a model's stay at once. What takes longer is a load: the model has gone
# meanwhile, and where there is no room for it, it would hold up everybody behind it.
KEEP_LIMIT_S = 5.0
# Requests that piled up behind a slow one are all the same.
KEEP_EVERY_S = 1.0


def keep_alive_of(seconds: float) -> str | int:
    """A `keep_alive` of a request; infinite: for good."""
    return memory.FOREVER if math.isinf(seconds) else f"{math.ceil(seconds)}s"


class TargetRequests:
    """Each method may be called by a thread of its own."""

    def __init__(self, runtime: WorkerRuntime) -> None:
        self._targets = runtime.targets
        self._kept_at: dict[KeepLoaded, float] = {}  # when the last request for it ended

    def observe(self, effect: Observe) -> Observed:
        """Ask the target what it has loaded. It always reports: the worker waits for it."""
        began_at = time.monotonic()
        try:
            loaded = memory.loaded_models(self._targets[effect.lease.target])
        except TargetError as error:
            log.debug("target does not say what it has loaded", extra={"error": str(error)})
            return Observed(began_at, None)
        except Exception:  # a defect: the next observation may do better
            log.exception("observation failed")
            return Observed(began_at, None)
        listed = {
            model: Listed(model, each.size_bytes, each.expires_in_s)
            for model, each in loaded.items()
        }
        return Observed(began_at, listed)

    def keep_loaded(self, effect: KeepLoaded) -> None:
        """Have a loaded model stay loaded for longer; an observation shows whether it does."""
        if time.monotonic() - self._kept_at.get(effect, -KEEP_EVERY_S) >= KEEP_EVERY_S:
            self._keep(effect)
            self._kept_at = {effect: time.monotonic()}

    def _keep(self, effect: KeepLoaded) -> None:
        facts = {"target": effect.lease.target, "model": effect.model}
        wish = {"keep_alive": keep_alive_of(effect.keep_alive_s)}
        try:
            client = self._targets[effect.lease.target]
            status, error = memory.ask(client, effect.model, wish, silence_s=KEEP_LIMIT_S)
        except TargetError as failure:
            status, error = failure.status, str(failure)
        if status == 200:
            log.info("model kept loaded", extra=facts)
        else:
            log.warning("model not kept", extra=facts | {"status": status, "error": error})

    def probe(self, effect: Probe) -> Probed:
        """Ask the target for one token. It always reports: the worker waits for it."""
        wish = {
            "model": effect.model,
            "prompt": "1",
            "stream": False,
            "options": {"num_predict": 1},
        }
        request = TargetRequest("POST", "/api/generate", body=json.dumps(wish).encode())
        try:
            # As long as any answer may take: to hang up earlier would throw its load away.
            head, _ = self._targets[effect.lease.target].fetch(request, silence_s=None)
        except TargetError as error:
            return Probed(effect.lease, str(error))
        except Exception:  # a defect: the next probe may do better
            log.exception("probe failed")
            return Probed(effect.lease, "the probe failed")
        why = f"it answered {head.status}" if head.status >= 500 else None
        return Probed(effect.lease, why)
