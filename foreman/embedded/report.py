"""What `bin/run` tells once foreman is ready: where everything is, and one line to try."""

import json
import shlex
import sys
from pathlib import Path

from foreman import parsing
from foreman.config import Settings
from foreman.embedded import ollama
from foreman.embedded.places import Places
from foreman.parsing import TargetSpec

EVERYWHERE = ("0.0.0.0", "::")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
PULL = "llama3.2"  # what to pull where Ollama has no model yet


def ready(settings: Settings, places: Places, *, is_simulated: bool, flower_url: str | None) -> str:
    """Return the text; its first line is what scripts may wait for."""
    url = local_url(settings)
    lines = [f"foreman is ready at {url}", ""]
    answering = [each for each in settings.targets if ollama.is_ollama(*_place(each))]
    for target in settings.targets:
        remark = _remark(target, does_answer=target in answering)
        lines.append(f"  target  {target.name} at {target.url}{remark}")
    if is_simulated:
        lines.append("          Its models are SIMULATED: no GPU, canned words.")
    if settings.host not in LOOPBACK:
        lines.append(
            "  open    to whoever reaches this machine: foreman checks no keys yet (README)"
        )
    lines.append(f"  data    {places.data}")
    lines.append(f"  logs    {places.logs}")
    celery = f"{_program('celery')} -A celery_app inspect drain"
    lines.append(f"  celery  . {places.env_file} && {celery}")
    if flower_url:
        lines.append(f"  flower  {flower_url}")
    model = ollama.a_model(*_place(answering[0])) if answering else None
    if not answering:
        lines.append("          No target answers yet, so jobs wait. Start Ollama, name yours with")
        lines.append(
            "          FOREMAN_TARGETS=name=http://host:port, or start the demo with --demo"
        )
    elif model is None:
        lines.append(f"  (no model there yet: ollama pull {PULL})")
    lines += [f"  try     {chat_line(url, model or PULL)}", "  stop    Ctrl-C", ""]
    return "\n".join(lines)


def _place(target: TargetSpec) -> tuple[str, str | None]:
    return target.url, target.authorization


def _remark(target: TargetSpec, *, does_answer: bool) -> str:
    if not does_answer:
        return " (does not answer yet)"
    if ollama.is_foreman(target.url):
        return " (is another foreman: jobs would wait in two queues; name its Ollama instead)"
    return ""


def _program(name: str) -> str:
    """How a shell in the current directory calls a program of this Python."""
    path = Path(sys.executable).with_name(name)
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def local_url(settings: Settings) -> str:
    """Return where this machine reaches the web process."""
    host = "127.0.0.1" if settings.host in EVERYWHERE else settings.host
    return f"http://{parsing.authority(host, settings.port)}"


def chat_line(url: str, model: str) -> str:
    """Return a shell line that streams an answer of `model`."""
    body = {"model": model, "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
    return f"curl -N {url}/api/chat -d {shlex.quote(json.dumps(body))}"
