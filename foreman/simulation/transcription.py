"""/v1/audio/transcriptions: a multipart form in, the usual words out, never streamed."""

from email.parser import BytesParser

from foreman.simulation.answers import Answer
from foreman.simulation.ask import Ask
from foreman.simulation.completions import ChatVoice
from foreman.simulation.decode import Refused
from foreman.simulation.wire import go_json


def read(content_type: str, body: bytes) -> tuple[Ask, "TranscriptionVoice"]:
    fields = _form(content_type, body)
    if "file" not in fields:
        raise Refused(400, "file is required")
    if not fields.get("model"):
        raise Refused(400, "model is required")
    ask = Ask(verb="chat", model=fields["model"].decode(), prompt="transcribe")
    return ask, TranscriptionVoice(ask, is_text=fields.get("response_format") == b"text")


def _form(content_type: str, body: bytes) -> dict[str, bytes]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + body)
    if not message.is_multipart():
        raise Refused(400, "request Content-Type isn't multipart/form-data")
    fields = {}
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            fields[name] = payload
    return fields


class TranscriptionVoice(ChatVoice):
    """One object, or plain text."""

    def __init__(self, ask: Ask, *, is_text: bool) -> None:
        super().__init__(ask)
        self._is_text = is_text
        self.json_type = "text/plain; charset=utf-8" if is_text else "application/json"

    def whole(self, answer: Answer) -> bytes:
        text = answer.text.strip()
        return text.encode() if self._is_text else go_json({"text": text})
