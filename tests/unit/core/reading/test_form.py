"""Forms of /v1/audio/transcriptions, read as Go's ParseMultipartForm and FormValue read them."""

import pytest

from foreman.core.bodies import TRANSCRIPTIONS, look
from foreman.core.reading.form import PARTS_LIMIT
from foreman.core.reading.scan import COUNT_LIMIT
from foreman.errors import BodyTooComplex

KIND = "multipart/form-data; boundary=edge"
NAMED = "Content-Disposition: form-data; name="
BASE64 = "\r\nContent-Transfer-Encoding: base64"
QUOTED = "\r\nContent-Transfer-Encoding: quoted-printable"


def part(value: str = "m", *, name: str = "model", end: str = "\r\n", more: str = "") -> str:
    return f'--edge{end}{NAMED}"{name}"{more}{end}{end}{value}{end}'


def model_of(text: str, *, kind: str = KIND, query: str = "") -> str | None:
    looked = look(text.encode(), TRANSCRIPTIONS, content_type=kind, query=query)
    return looked.model if looked else None


@pytest.mark.parametrize(
    ("text", "model"),
    [
        (part("a") + part("b") + "--edge--\r\n", "a"),
        (part() + "--edge--", "m"),
        # An end within the headers is no error to Go.
        (part() + "--edge\r\n", "m"),
        (part() + "--edge\r\nContent-Disposition: form-data; n", "m"),
        (part() + "--edge-- \t\r\n", "m"),
        (part() + "--edge--\r\nepilogue", "m"),
        ("preamble\r\nmore\r\n" + part() + "--edge--\r\n", "m"),
        (part(end="\n") + "--edge--\n", "m"),
        (part(" m ") + "--edge--\r\n", " m "),
        (part("a\r\n--edges\r\nb") + "--edge--\r\n", "a\r\n--edges\r\nb"),
        (part("x", name="Model") + part("y") + "--edge--\r\n", "y"),
        (part("x", more='; filename="a.wav"') + part("y") + "--edge--\r\n", "y"),
        (part("x", more='; filename=""') + part("y") + "--edge--\r\n", "x"),
        ("--edge\r\ncontent-disposition: FORM-data; NAME=model\r\n\r\nm\r\n--edge--\r\n", "m"),
        (f'--edge\r\nA: b\r\n{NAMED}"model"\r\n\r\nm\r\n--edge--\r\n', "m"),
        ("--edge\r\nContent-Disposition: attachment; name=model\r\n\r\nx\r\n" + part("y")
         + "--edge--\r\n", "y"),
        ("--edge\r\n\r\nx\r\n" + part("y") + "--edge--\r\n", "y"),
        # Some clients write the name of a file, and no other one, as RFC 2231 has it.
        (part("x", name="file", more="; filename*=utf-8''%C3%A4.wav") + part() + "--edge--\r\n",
         "m"),
        (part("x", name="file", more=QUOTED) + part() + "--edge--\r\n", "m"),
        (part("=6dod=\r\nel=3A1 \r\n", more=QUOTED) + "--edge--\r\n", "model:1\r\n"),
        (part("=6d", more=f"{BASE64}{QUOTED}") + "--edge--\r\n", "=6d"),
        ('--edge\r\nContent-Disposition:\r\n form-data;\r\n\t \r\n  name="model"\r\n\r\nm\r\n'
         "--edge--\r\n", "m"),
        ("--edge\nContent-Disposition: form-data;\n name*0=mo;\n name*1*=%64el\n\nm\n--edge--\n",
         "m"),
        ("--edge\r\nContent-Disposition: form-data; name*=utf-8'en'mod%65l\r\n\r\nm\r\n"
         "--edge--\r\n", "m"),
        (part("x", name="x" * 5000) + part("m") + "--edge--\r\n", "m"),
    ],
)  # fmt: skip
def test_the_first_text_field_of_the_name_counts(text: str, model: str) -> None:
    assert model_of(text) == model


@pytest.mark.parametrize(
    "text",
    [
        "", "--edge", "--edge--", part(), part() + "--edge", part() + "--edgy--\r\n",
        part() + "x\r\n--edge--\r\n"[:-3],
        f'--edge\r\n{NAMED}"model"\r\nm\r\n--edge--\r\n',
        f'--edge\r\nno header\r\n{NAMED}"model"\r\n\r\nm\r\n--edge--\r\n',
        part("=\x01", more=QUOTED) + "--edge--\r\n",
        part() + part("=\x01", name="language", more=QUOTED) + "--edge--\r\n",
        f'--edge\r\n {NAMED}"model"\r\n\r\nm\r\n--edge--\r\n',
        part(more="; filename*=utf-8''a") + "--edge--\r\n",
        "x" * 5000 + "\r\n" + part() + "--edge--\r\n",
        part("") + "--edge--\r\n",
    ],
)  # fmt: skip
def test_what_go_takes_for_no_form_is_for_the_target_to_answer(text: str) -> None:
    assert model_of(text) is None


@pytest.mark.parametrize(
    ("query", "model"),
    [
        ("model=q", "q"),
        ("x=1&model=a%2Fb+c&model=z", "a/b c"),
        ("MODEL=q", "m"),
        ("model=", None),
        ("model=%zz", None),
        ("a;b", None),
    ],
)
def test_a_parameter_of_the_query_comes_before_the_form(query: str, model: str | None) -> None:
    assert model_of(part() + "--edge--\r\n", query=query) == model


def test_more_parts_than_go_reads_are_an_error() -> None:
    most = part("x", name="a") * (PARTS_LIMIT - 2) + part() + "--edge--\r\n"

    assert model_of(most) == "m"
    assert model_of(part("x", name="a") * 2 + most) is None


@pytest.mark.parametrize(
    "many",
    ["\n" * (COUNT_LIMIT + 1), part("\r\n--edgeX" * (COUNT_LIMIT + 1), name="f") + "--edge"],
    ids=["of a preamble", "of a part that look like boundaries"],
)
def test_more_lines_than_a_form_has_are_not_read(many: str) -> None:
    with pytest.raises(BodyTooComplex):
        model_of(many)


def test_a_model_of_any_length_is_not_read() -> None:
    with pytest.raises(BodyTooComplex):
        model_of(part("m" * 70_000) + "--edge--\r\n")


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data; boundary=edge; boundary=other",
        "multipart/form-data; boundary*=edge",
        "multipart/form-data; boundary",
        "multipart/mixed; boundary=edge",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=" + "e" * 9000,
    ],
)
def test_a_content_type_that_go_does_not_read_makes_no_form(kind: str) -> None:
    assert model_of(part() + "--edge--\r\n", kind=kind) is None


def test_a_line_in_quoted_printable_may_be_as_long_as_in_go() -> None:
    line = "x" * 4095 + "\n"

    assert model_of(part(line + "y", more=QUOTED) + "--edge--\r\n") == line + "y"
    assert model_of(part("x" + line, more=QUOTED) + "--edge--\r\n") is None


def test_a_preamble_may_have_lines_as_long_as_in_go() -> None:
    assert model_of("x" * 4095 + "\n" + part() + "--edge--\r\n") == "m"
    assert model_of("x" * 4096 + "\n" + part() + "--edge--\r\n") is None
