"""`/openapi.json` and `/docs`: the contract for programs and, from the same text, for people.

And what a browser gets at `/`.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from flask import Response, request

from foreman import errors
from foreman.api.contract import OPERATIONS
from foreman.api.openapi import as_text, document
from foreman.version import VERSION

HTML = "text/html; charset=utf-8"

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #222; background: #fff }
h2 { border-top: 1px solid #ccc; margin-top: 2.5rem; padding-top: 1rem; font-size: 1.1rem }
code { font: 0.9em ui-monospace, monospace; background: #f3f3f3; padding: 0.1em 0.3em }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0 }
td, th { text-align: left; vertical-align: top; padding: 0.25rem 0.6rem;
  border-bottom: 1px solid #e5e5e5 }
.method { display: inline-block; min-width: 3.5em; font-weight: 600 }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #181818 } code { background: #2a2a2a }
  a { color: #8ab4f8 } td, th, h2 { border-color: #3a3a3a }
}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# The page is text, links and this one style: nothing is fetched, and no script runs.
_CSP = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)


# What Ollama says at "/", for whoever looks for it, and where a person may go from there.
_HOME = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>foreman</title>
<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>
<h1>foreman</h1><p>Ollama is running, with a queue in front of it.</p><ul>
<li><a href="/queues">/queues</a>: who waits, for what, and until when</li>
<li><a href="/jobs">/jobs</a>: the newest jobs</li>
<li><a href="/swaps">/swaps</a>: which models were loaded and unloaded</li>
<li><a href="/readyz">/readyz</a>: whether a request would be served now</li>
<li><a href="/docs">/docs</a>: the API, for people; <a href="/openapi.json">/openapi.json</a>,
for programs</li></ul>
"""


def is_for_a_person() -> bool:
    """Whether a browser shows the answer; Ollama's clients accept no HTML, or anything."""
    return request.method == "GET" and "text/html" in request.headers.get("Accept", "")


def home() -> Response:
    """The page at "/"."""
    response = _html(_HOME)
    response.headers["Vary"] = "Accept"
    return response


class Docs:
    """Both pages; neither changes while the process runs."""

    def __init__(self) -> None:
        contract = document(OPERATIONS, VERSION)
        self._document = as_text(contract)
        self._page = "".join(_page(contract))

    def openapi(self) -> Response:
        return Response(self._document, content_type="application/json")

    def docs(self) -> Response:
        return _html(self._page)


def _html(page: str) -> Response:
    response = Response(page, content_type=HTML)
    response.headers["Content-Security-Policy"] = _CSP
    return response


def _page(contract: dict[str, Any]) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><meta charset="utf-8"><title>foreman</title>'
    yield f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
    yield f"<h1>foreman</h1><p>{escape(contract['info']['description'])}</p>"
    yield '<p>For programs: <a href="/openapi.json">/openapi.json</a>.</p>'
    for path, item in contract["paths"].items():
        for method, operation in item.items():
            yield from _operation(method, path, operation)
    yield "<h1>Objects</h1>"
    for name, schema in contract["components"]["schemas"].items():
        yield from _schema(name, schema)
    yield "<h1>Problems</h1><p>The last part of a problem's <code>type</code>.</p>"
    yield from _table(("code", "status", "meaning"), sorted(_problems()))


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f'<h2 id="{operation["operationId"]}"><span class="method">{method.upper()}</span>'
    yield f" <code>{escape(path)}</code></h2><p>{_words(operation['summary'])}.</p>"
    if "requestBody" in operation:
        kind, content = next(iter(operation["requestBody"]["content"].items()))
        yield f"<p>Body: {_type(content['schema'])} as <code>{escape(kind)}</code></p>"
    rows = [
        (f"<code>{escape(each['name'])}</code>", each["in"], _words(_meaning(each)))
        for each in operation["parameters"]
    ]
    yield from _table(("parameter", "in", "meaning"), rows)
    answers = [
        (status, _words(each["description"]), _content(each))
        for status, each in operation["responses"].items()
    ]
    yield from _table(("status", "meaning", "body"), answers)


def _schema(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f'<h2 id="{escape(name)}">{escape(name)}</h2>'
    yield f"<p>{_words(schema.get('description', ''))}</p>"
    if "enum" in schema:
        yield "<p>" + ", ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    rows = [
        (f"<code>{escape(field)}</code>", _type(each), _words(_meaning(each)))
        for field, each in schema.get("properties", {}).items()
    ]
    yield from _table(("field", "type", "meaning"), rows)


def _meaning(shown: dict[str, Any]) -> str:
    """A description, and what is the case when nothing is said."""
    default = shown.get("default", shown.get("schema", {}).get("default"))
    words = shown.get("description", "")
    return f"{words} Default: `{default}`." if default not in (None, [], {}) else words


def _content(response: dict[str, Any]) -> str:
    for kind, content in response.get("content", {}).items():
        return _type(content["schema"]) if "schema" in content else f"<code>{escape(kind)}</code>"
    return ""


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return "list of " + _type(schema["items"])
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return ", ".join(f"<code>{escape(str(each))}</code>" for each in values)
    return escape(str(schema.get("format") or schema.get("type", "any")))


def _words(text: str) -> str:
    """Text with its `code` as code."""
    parts = escape(text.replace("\n", " ")).split("`")
    return "".join(f"<code>{part}</code>" if odd % 2 else part for odd, part in enumerate(parts))


def _table(names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    if rows:
        yield "<table><tr>" + "".join(f"<th>{name}</th>" for name in names) + "</tr>"
        for row in rows:
            yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>"
        yield "</table>"


def _problems() -> Iterator[tuple[str, str, str]]:
    """Every code of the tree of errors, as a row whose anchor a problem's type leads to."""
    found = {"http_error": ("4xx", "The path or the method is wrong.")}
    kinds = [errors.ForemanError]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        found.setdefault(kind.code, (str(kind.status), f"{kind.message}."))
    for code, (status, meaning) in found.items():
        yield f'<code id="{code}">{code}</code>', status, _words(meaning)
