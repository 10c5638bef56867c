"""What holds a secret of a client's does not show it: a repr can get into a log or a page."""

import pytest

from foreman.api.delivery_objects import RotatedSecret
from foreman.api.objects import AcceptedObject, BatchLine
from foreman.api.payloads import RotateRequest, Webhook
from foreman.ids import new_id
from foreman.services.accept import Ask, Replayed
from foreman.store.hooks import NewHook

SECRET = "whsec_" + "marked0" * 4
URL = "https://receiver.example/hook?token=marked0"


@pytest.mark.parametrize(
    "holder",
    [
        Webhook(url=URL, secret=SECRET),
        RotateRequest(secret=SECRET),
        AcceptedObject.model_construct(webhook_secret=SECRET),
        BatchLine(index=0, status=202, webhook_secret=SECRET),
        RotatedSecret(webhook_secret=SECRET, overlap_seconds=0),
        Ask(endpoint="/api/chat", request=b"{}", webhook_url=URL, webhook_secret=SECRET),
        Replayed(new_id(), SECRET),
        NewHook(job_id=new_id(), url=URL, secrets=(SECRET,), shown_secret=SECRET),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_the_secret_of_a_webhook_is_in_no_repr(holder: object) -> None:
    for text in (repr(holder), str(holder)):
        assert "marked0" not in text
