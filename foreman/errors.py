"""The one tree of errors that foreman itself makes; each class knows its HTTP status and code.

    ForemanError
    ├── Defect  500              foreman's own fault
    ├── SettingsError            a variable of the environment is wrong: the process does not start
    ├── RequestRefused           the caller's request
    │   ├── BodyTooLarge  413    ├── BodyTooSlow  408    ├── BodyTooComplex  400
    │   └── of its HTTP, its origin, its job: see `refusals`
    ├── SecretUnreadable         a webhook secret was sealed with a key that is not there
    ├── ServerBusy  503          try again later (Retry-After)
    │   ├── NoLiveTarget         ├── ShuttingDown
    │   ├── DatabaseUnavailable  (StatementTooSlow)
    │   ├── BypassFull           ├── QueueFull
    │   └── BodiesFull
    ├── WaitedTooLong  504       the job was not started in time (TtlPassed)
    ├── DeadlinePassed  504      nor did it end in time
    ├── TargetError  502         an Ollama server
    │   ├── TargetUnreachable  (TargetUntrusted, TargetForbids)
    │   ├── TargetCut  (AnswerIncomplete)
    │   ├── TargetFailed         ├── AnswerUnreadable
    │   ├── AnswerTooLarge       ├── LoadFailed  (LoadRefused)
    │   ├── TargetRefused        ├── TargetGivenUp
    │   ├── TargetRedirects
    │   └── TargetTimeout  504  (JobTooLong)
    └── StreamBroken  502        foreman's own part of a stream
        ├── WorkerLost           ├── ChannelLost
        ├── WindowOverrun        ├── ReaderTooSlow
        └── JobCancelled  499  (ClientLeft)

An answer of a target (404 model not found, 400 bad option, …) to a client that waits is never one
of these: it is passed on as it came. A job that nobody waits for fails by it: TargetRefused,
TargetFailed. Errors of libraries are translated once, where the library is called, with `from`.
"""


class ForemanError(Exception):
    """An error with a status, a stable code and a sentence for the caller.

    `job_id` is the job of a client that gets this error in place of an answer.
    """

    message = "Internal error"  # where no other sentence is given, and the title of a problem
    status = 500
    code = "internal_error"
    is_permanent = True
    retry_after_s: int | None = None
    job_id: str | None = None

    def __str__(self) -> str:
        return super().__str__() or self.message


class Defect(ForemanError):
    message = "Internal error; see foreman's log"


class SettingsError(ForemanError):
    message = "A variable of the environment has a value that foreman cannot use"
    code = "bad_setting"


class RequestRefused(ForemanError):
    message = "The request cannot be accepted as it is"
    status, code = 400, "bad_request"


class BodyTooLarge(RequestRefused):
    message = "The request body is larger than FOREMAN_MAX_BODY"
    status, code = 413, "body_too_large"


class BodyTooSlow(RequestRefused):
    message = "The request body did not arrive in time"
    status, code = 408, "body_too_slow"


class BodyTooComplex(RequestRefused):
    message = "The request body has more values, or a longer one, than foreman reads"
    code = "body_too_complex"


class SecretUnreadable(ForemanError):
    message = "No key of FOREMAN_SECRET_KEY opens the secret"
    code = "secret_unreadable"


class ServerBusy(ForemanError):
    message = "server busy, please try again"
    status, code, is_permanent, retry_after_s = 503, "server_busy", False, 5


class NoLiveTarget(ServerBusy):
    message = "server busy, please try again: no live target serves this model"
    code = "no_live_target"


class ShuttingDown(ServerBusy):
    message = "server busy, please try again: this process is shutting down"
    code, retry_after_s = "shutting_down", 2


class DatabaseUnavailable(ServerBusy):
    message = "server busy, please try again: the database does not answer"
    code = "database_unavailable"


class StatementTooSlow(DatabaseUnavailable):
    message = "server busy, please try again: a statement took the database too long"


class QueueFull(ServerBusy):
    message = "server busy, please try again: too many jobs wait"
    code = "queue_full"

    def __init__(self, message: str = "", *, retry_after_s: int = 5) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BypassFull(ServerBusy):
    message = "server busy, please try again: too many embedding requests at once"
    code, retry_after_s = "bypass_full", 1


class BodiesFull(ServerBusy):
    message = "server busy, please try again: this process holds as many request bodies as it may"
    code, retry_after_s = "bodies_full", 2


class WaitedTooLong(ForemanError):
    message = "The job waited longer than FOREMAN_SYNC_WAIT in its model queue"
    status, code, is_permanent = 504, "waited_too_long", False


class TtlPassed(WaitedTooLong):
    message = "The job was not started within its ttl_seconds"
    code = "ttl"


class DeadlinePassed(ForemanError):
    message = "The job did not end within its deadline_seconds"
    status, code = 504, "deadline"


class TargetError(ForemanError):
    message = "A target failed"
    status, code, is_permanent = 502, "target_error", False


class TargetUnreachable(TargetError):
    message = "A target refused the connection"
    code = "target_unreachable"


class TargetUntrusted(TargetUnreachable):
    message = "A target's certificate is not trusted, or its TLS handshake failed"
    code = "target_untrusted"


class TargetForbids(TargetUnreachable):
    message = "A target, or the proxy in front of it, refused foreman's credentials"
    code = "target_forbids"


class TargetCut(TargetError):
    message = "A target closed the connection in the middle of its answer"
    code = "target_cut"


class AnswerIncomplete(TargetCut):
    message = "A target ended its answer without the last event: its model has probably died"
    code = "answer_incomplete"


class TargetRedirects(TargetError):
    message = "A target answered with a redirect: FOREMAN_TARGETS must name the server itself"
    code, is_permanent = "target_redirects", True


class TargetFailed(TargetError):
    message = (
        "A target answered with an error, or failed in the middle of an answer, in its own words"
    )
    code = "target_failed"


class TargetRefused(TargetError):
    message = "A target refused the request, in its own words: it would refuse it again"
    code, is_permanent = "target_refused", True


class AnswerUnreadable(TargetError):
    message = "A target's answer is not in the form of its endpoint"
    code = "answer_unreadable"


class AnswerTooLarge(TargetError):
    message = "A target's answer is larger than what is kept of one"
    code, is_permanent = "answer_too_large", True


class TargetTimeout(TargetError):
    message = "A target was silent for longer than it may be"
    status, code = 504, "target_timeout"


class TargetGivenUp(TargetError):
    message = "A target was taken out while it worked on this job: another one had hung on it"
    code = "target_given_up"


class LoadFailed(TargetError):
    message = "A target could not load a model"
    code = "load_failed"


class LoadRefused(LoadFailed):
    message = "The target rejected the load request"


class JobTooLong(TargetTimeout):
    message = "The job ran longer than FOREMAN_JOB_TIMEOUT"
    code, is_permanent = "job_too_long", True


class StreamBroken(ForemanError):
    message = "The stream cannot go on"
    status, code, is_permanent = 502, "stream_broken", False


class WorkerLost(StreamBroken):
    message = "The worker that ran this job is gone"
    code = "worker_lost"


class ChannelLost(StreamBroken):
    message = "Frames of this stream were lost between worker and web process"
    code = "channel_lost"


class WindowOverrun(StreamBroken):
    message = "The worker sent more of this stream than its window allows"
    code = "window_overrun"


class ReaderTooSlow(StreamBroken):
    message = "The client took none of its bytes for FOREMAN_CLIENT_TIMEOUT"
    code = "reader_too_slow"


class JobCancelled(StreamBroken):
    message = "The job was cancelled"
    status, code, is_permanent = 499, "cancelled", True


class ClientLeft(JobCancelled):
    message = "The client has hung up: there is nobody to tell"
    code = "client_left"
