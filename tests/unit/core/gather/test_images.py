"""Where the images of an answer are, and what they are."""

import base64

import pytest

from foreman.core.gather.images import images_in

PNG, JPEG, GIF = b"\x89PNG\r\n\x1a\n..", b"\xff\xd8\xff\xe0", b"GIF89a"
WEBP, OTHER = b"RIFF\0\0\0\0WEBPVP8", b"\0\1\2"


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    ("content", "content_type", "extension"),
    [
        (PNG, "image/png", "png"),
        (JPEG, "image/jpeg", "jpeg"),
        (GIF, "image/gif", "gif"),
        (WEBP, "image/webp", "webp"),
        (OTHER, "application/octet-stream", "bin"),
    ],
)
def test_an_image_is_what_its_first_bytes_say(
    content: bytes, content_type: str, extension: str
) -> None:
    (image,) = images_in({"image": encoded(content)})

    assert (image.content, image.content_type) == (content, content_type)
    assert image.extension == extension


@pytest.mark.parametrize(
    "answer",
    [
        {"message": {"images": [encoded(PNG), encoded(GIF)]}},
        {"image": encoded(PNG), "images": [encoded(GIF)]},
        {"data": [{"b64_json": encoded(PNG)}, {"b64_json": encoded(GIF)}]},
        {
            "choices": [
                {"message": {"images": [{"image_url": {"url": f"data:;base64,{encoded(PNG)}"}}]}},
                {"message": {"content": [{"image_url": f"data:;base64,{encoded(GIF)}"}]}},
            ]
        },
        {
            "content": [
                {"type": "image", "source": {"type": "base64", "data": encoded(PNG)}},
                {"type": "text", "text": encoded(JPEG)},
                {"type": "image", "source": {"type": "base64", "data": encoded(GIF)}},
            ]
        },
        {
            "output": [
                {"type": "image_generation_call", "result": encoded(PNG)},
                {"type": "message", "content": [{"image_url": f"data:x;base64,{encoded(GIF)}"}]},
            ]
        },
    ],
)
def test_every_dialect_has_its_place_for_images(answer: dict[str, object]) -> None:
    assert [image.content for image in images_in(answer)] == [PNG, GIF]


@pytest.mark.parametrize(
    "answer",
    [
        {"image": "no base64"},
        {"image": ""},
        {"image": None, "images": {"a": 1}, "message": "x", "choices": [7]},
        {"message": {"images": [{"image_url": {"url": "https://example.org/a.png"}}]}},
        {"content": [{"type": "image", "source": {"type": "url", "url": "https://a.b/c.png"}}]},
        {"tools": [{"image": encoded(PNG)}], "instructions": {"image": encoded(PNG)}},
        {"message": {"content": encoded(PNG)}},
    ],
)
def test_what_is_no_image_of_the_models_is_passed_over(answer: dict[str, object]) -> None:
    assert list(images_in(answer)) == []


@pytest.mark.parametrize(
    ("said", "content_type", "extension"),
    [
        ("image/avif", "image/avif", "avif"),
        ("IMAGE/AVIF", "image/avif", "avif"),
        ("image/svg+xml", "image/svg+xml", "bin"),
        ("text/html", "application/octet-stream", "bin"),
        ("image/../../x", "application/octet-stream", "bin"),
        ("image/a\r\nSet-Cookie: a=b", "application/octet-stream", "bin"),
        ("image/a\n", "application/octet-stream", "bin"),
        ("image/a\0", "application/octet-stream", "bin"),
        ("image/" + "a" * 101, "application/octet-stream", "bin"),
    ],
)
def test_a_model_may_name_a_kind_of_image_and_nothing_else(
    said: str, content_type: str, extension: str
) -> None:
    source = {"type": "base64", "media_type": said, "data": encoded(OTHER)}
    answers: list[dict[str, object]] = [
        {"image": f"data:{said};base64,{encoded(OTHER)}"},
        {"content": [{"type": "image", "source": source}]},
    ]
    for answer in answers:
        (image,) = images_in(answer)

        assert (image.content_type, image.extension) == (content_type, extension)
