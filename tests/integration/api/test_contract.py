"""The contract holds: every route is in it, wins over Ollama's, and answers in its own form."""

import re
from html.parser import HTMLParser

import pytest

from foreman.api.contract import OPERATIONS
from foreman.api.openapi import document
from foreman.version import VERSION
from tests.integration.api.ground import Caller, ask, problem_of

PATHS = sorted({operation.path for operation in OPERATIONS})
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
ID = "01890000-0000-7000-8000-000000000001"


def filled(path: str) -> str:
    return re.sub(r"\{\w+\}", ID, path)


@pytest.mark.parametrize("path", PATHS)
def test_a_method_that_a_path_does_not_have_is_a_problem(caller: Caller, path: str) -> None:
    known = {operation.method for operation in OPERATIONS if operation.path == path}

    for method in set(METHODS) - known:
        answer = caller.call(method, filled(path))

        assert problem_of(answer)[:2] == (405, "http_error")
        assert known <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    "path",
    ["/jobs/x/other", f"/jobs/{ID}/result/x", "/deliveries/a/b/c"],
)
def test_a_path_below_foremans_own_is_never_ollamas(caller: Caller, path: str) -> None:
    assert problem_of(caller.get(path))[:2] == (404, "http_error")


def test_a_slash_at_the_end_changes_nothing(caller: Caller) -> None:
    assert caller.get("/jobs/").json == caller.get("/jobs").json


@pytest.mark.parametrize("path", PATHS)
def test_no_path_takes_a_parameter_that_it_does_not_name(caller: Caller, path: str) -> None:
    for operation in OPERATIONS:
        if operation.path == path:
            answer = caller.call(operation.method, filled(path) + "?surprise=1")
            assert answer.status_code in (404, 422), answer.text
            if answer.status_code == 422:
                assert problem_of(answer) == (422, "invalid", "surprise")


def test_a_page_of_another_origin_is_refused_as_a_problem(caller: Caller) -> None:
    answer = caller.get("/jobs", Origin="https://evil.example")

    assert problem_of(answer)[:2] == (403, "origin_refused")


def test_a_name_that_is_not_this_machines_is_refused_on_every_route(caller: Caller) -> None:
    foreign = {"Host": "evil.example", "Origin": "http://evil.example"}  # a rebound name

    assert problem_of(caller.get("/jobs", **foreign))[:2] == (403, "host_refused")
    for path in ("/", "/api/tags", "/v1/models", "/healthz", "/readyz", "/nowhere"):
        assert caller.get(path, **foreign).status_code == 403
    for host in ("127.0.0.1:11435", "localhost:11435"):
        assert caller.get("/healthz", Host=host).status_code == 200


def test_the_document_names_every_operation_and_every_status_once(caller: Caller) -> None:
    shown = caller.get("/openapi.json").json

    assert shown["openapi"].startswith("3.1")
    listed = {(method.upper(), path) for path, item in shown["paths"].items() for method in item}
    assert listed == {(each.method, each.path) for each in OPERATIONS}
    for operation in OPERATIONS:
        responses = shown["paths"][operation.path][operation.method.lower()]["responses"]
        assert {str(answer.status) for answer in operation.answers} <= set(responses)
        statuses = [answer.status for answer in operation.answers]
        assert len(statuses) == len(set(statuses))


@pytest.mark.parametrize("path", ["/jobs", "/jobs/{job_id}/retry"])
def test_where_a_queue_may_be_full_the_document_says_so(path: str) -> None:
    responses = document(OPERATIONS, VERSION)["paths"][path]["post"]["responses"]

    assert "queue_full" in responses["503"]["description"]


def test_every_reference_of_the_document_leads_somewhere() -> None:
    shown = document(OPERATIONS, VERSION)

    names = set(re.findall(r"#/components/schemas/(\w+)", str(shown)))

    assert names <= set(shown["components"]["schemas"])


class Page(HTMLParser):
    """The anchors of a page, where its links lead, and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name == "href":
                self.links.append(value or "")
            if name == "src" or tag in ("script", "link", "img"):
                self.loads.append(tag)


def test_the_page_for_people_stands_alone_and_its_links_lead_somewhere(caller: Caller) -> None:
    answer = caller.get("/docs")
    page = Page(answer.text)

    assert answer.content_type.startswith("text/html")
    assert page.loads == []
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} - {"/openapi.json"} <= set(page.ids)
    assert all(path in answer.text for path in PATHS)


def test_the_type_of_a_problem_leads_to_its_paragraph(caller: Caller) -> None:
    page = Page(caller.get("/docs").text)

    told = caller.post("/jobs", ask(request={"model": "not-here"})).json["type"]

    assert told == "/docs#model_not_found"
    assert told.partition("#")[2] in page.ids


def test_a_browser_gets_links_where_ollamas_clients_get_ollamas_words(caller: Caller) -> None:
    shown = caller.get("/", Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    plain = caller.get("/", Accept="*/*")

    assert shown.content_type == "text/html; charset=utf-8"
    assert shown.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src")
    assert "Ollama is running" in shown.text
    links = re.findall(r'href="([^"]+)"', shown.text)
    assert {caller.get(link).status_code for link in links} <= {200, 503}
    assert (plain.content_type, plain.text) == ("text/plain; charset=utf-8", "Ollama is running")
    assert caller.call("HEAD", "/").content_type == plain.content_type
