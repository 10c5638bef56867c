"""The branches of the error tree that say what is wrong with a request about jobs.

RequestRefused
├── NotThere  404
│   ├── JobUnknown           ├── NoResult
│   ├── ArtifactUnknown      ├── DeliveryUnknown
│   └── WebhookUnknown
├── Conflict  409            the state of the job does not allow it
│   ├── NotEnded             ├── AlreadyEnded
│   └── NotSucceeded         └── NotRetryable
└── Unprocessable  422       names the field
    ├── InvalidModel         ├── ModelNotFound
    ├── RemoteModel          ├── KeyReused
    └── WebhookRefused
"""

from foreman.errors import RequestRefused


class NotThere(RequestRefused):
    """There is no such thing."""

    status, code = 404, "not_found"


class JobUnknown(NotThere):
    """There is no job with this id."""

    code = "job_unknown"


class NoResult(NotThere):
    """The job has no stored result."""

    code = "no_result"


class ArtifactUnknown(NotThere):
    """The job has no artifact of this name."""

    code = "artifact_unknown"


class DeliveryUnknown(NotThere):
    """There is no delivery with this id."""

    code = "delivery_unknown"


class WebhookUnknown(NotThere):
    """The job has no webhook with a secret of its own."""

    code = "webhook_unknown"


class Conflict(RequestRefused):
    """The state of the job does not allow this."""

    status, code = 409, "conflict"


class NotEnded(Conflict):
    """The job has not ended."""

    code = "not_ended"


class AlreadyEnded(Conflict):
    """The job has already ended."""

    code = "already_ended"


class NotSucceeded(Conflict):
    """The job ended without a result."""

    code = "not_succeeded"


class NotRetryable(Conflict):
    """The job cannot be tried again."""

    code = "not_retryable"


class Unprocessable(RequestRefused):
    """The request is not as it should be."""

    status, code = 422, "invalid"

    default_field: str | None = None

    def __init__(self, message: str = "", *, field: str | None = None) -> None:
        super().__init__(message)
        # A dotted path in the body, or the name of a header or parameter.
        self.field = field or self.default_field


class InvalidModel(Unprocessable):
    """The model's name is not valid."""

    code = "invalid_model"


class ModelNotFound(Unprocessable):
    """No target has the model."""

    code = "model_not_found"


class RemoteModel(Unprocessable):
    """The model runs elsewhere and has no queue."""

    code = "remote_model"


class WebhookRefused(Unprocessable):
    """The webhook of the job cannot be used."""

    code, default_field = "webhook_refused", "webhook.url"


class KeyReused(Unprocessable):
    """The Idempotency-Key came with another request before."""

    code = "idempotency_key_reused"
