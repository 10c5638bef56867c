"""The branches of the error tree that say what is wrong with a request, as HTTP or about jobs.

RequestRefused
├── MalformedRequest  400    ├── HeadTooSlow  408
├── TargetTooLong  414       ├── ExpectationFailed  417
├── HeadTooLarge  431        ├── UnsupportedTransferCoding  501
├── UnsupportedVersion  505
├── AdminRefused  403        ├── OriginRefused  403
├── HostRefused  403
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


class MalformedRequest(RequestRefused):
    message = "The request is not valid HTTP"


class HeadTooSlow(RequestRefused):
    message = "The head of the request did not arrive within FOREMAN_HEAD_TIMEOUT"
    status, code = 408, "head_too_slow"


class TargetTooLong(RequestRefused):
    message = "The request line is too long"
    status, code = 414, "uri_too_long"


class ExpectationFailed(RequestRefused):
    message = "The header Expect may only be 100-continue"
    status, code = 417, "expectation_failed"


class HeadTooLarge(RequestRefused):
    message = "The request has more than 200 headers, or one with more than 64 KiB"
    status, code = 431, "headers_too_large"


class UnsupportedTransferCoding(RequestRefused):
    message = "The header Transfer-Encoding may only be chunked"
    status, code = 501, "unsupported_transfer_coding"


class UnsupportedVersion(RequestRefused):
    message = "The HTTP version of the request is not supported; HTTP/1.1 is"
    status, code = 505, "unsupported_version"


class AdminRefused(RequestRefused):
    message = "This route changes the target's models; it is open only with FOREMAN_ALLOW_ADMIN=1"
    status, code = 403, "admin_refused"


class OriginRefused(RequestRefused):
    message = "The Origin of the request is not allowed: see FOREMAN_ORIGINS and FOREMAN_HOSTS"
    status, code = 403, "origin_refused"


class HostRefused(RequestRefused):
    message = "The Host of the request is not a name that foreman answers to: see FOREMAN_HOSTS"
    status, code = 403, "host_refused"


class NotThere(RequestRefused):
    message = "There is no such thing"
    status, code = 404, "not_found"


class JobUnknown(NotThere):
    message = "There is no job with this id"
    code = "job_unknown"


class NoResult(NotThere):
    message = "The job has no stored result"
    code = "no_result"


class ArtifactUnknown(NotThere):
    message = "The job has no artifact of this name"
    code = "artifact_unknown"


class DeliveryUnknown(NotThere):
    message = "There is no delivery with this id"
    code = "delivery_unknown"


class WebhookUnknown(NotThere):
    message = "The job has no webhook with a secret of its own"
    code = "webhook_unknown"


class Conflict(RequestRefused):
    message = "The state of the job does not allow this"
    status, code = 409, "conflict"


class NotEnded(Conflict):
    message = "The job has not ended"
    code = "not_ended"


class AlreadyEnded(Conflict):
    message = "The job has already ended"
    code = "already_ended"


class NotSucceeded(Conflict):
    message = "The job ended without a result"
    code = "not_succeeded"


class NotRetryable(Conflict):
    message = "The job cannot be tried again"
    code = "not_retryable"


class Unprocessable(RequestRefused):
    message = "The request is not as it should be"
    status, code = 422, "invalid"

    default_field: str | None = None

    def __init__(self, message: str = "", *, field: str | None = None) -> None:
        super().__init__(message)
        # A dotted path in the body, or the name of a header or parameter.
        self.field = field or self.default_field


class InvalidModel(Unprocessable):
    message = "The model's name is not valid"
    code = "invalid_model"


class ModelNotFound(Unprocessable):
    message = "No target has the model"
    code = "model_not_found"


class RemoteModel(Unprocessable):
    message = "The model runs elsewhere and has no queue"
    code = "remote_model"


class WebhookRefused(Unprocessable):
    message = "The webhook of the job cannot be used"
    code, default_field = "webhook_refused", "webhook.url"


class KeyReused(Unprocessable):
    message = "Idempotency-Key was already used with a different request"
    code, default_field = "idempotency_key_reused", "Idempotency-Key"
