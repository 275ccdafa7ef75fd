"""How OpenAI says that something is wrong: error events, the end of a session, refusals."""

import json
from http import HTTPStatus

from websockets.http11 import Response

from ..clock import Ids
from ..faults import CloseFault, ErrorFault, RefuseFault
from ..line import Frame
from ..refusal import refusal
from .wire import WireError, error_message

SESSION_LIMIT_S = 3600.0
_REFUSALS: dict[int, tuple[str, str, str | None]] = {
    401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    403: ("Country, region, or territory not supported", "request_forbidden", None),
    404: ("The model does not exist.", "invalid_request_error", "model_not_found"),
    429: ("Rate limit reached.", "requests", "rate_limit_exceeded"),
}
_OVERLOADED = ("The server is overloaded or not ready yet.", "server_error", None)


class OpenAIDialect:
    """The GA protocol's words.

    Args:
        ids: Makes event ids.
        limit_s: After which sessions end; None is the provider's own 60 minutes.
    """

    def __init__(self, ids: Ids, limit_s: float | None = None) -> None:
        self._ids = ids
        self._limit_s = limit_s or SESSION_LIMIT_S

    def names(self, frame: Frame) -> list[str]:
        """The message's type."""
        return [json.loads(frame)["type"]]

    def error(self, fault: ErrorFault) -> Frame:
        """An `error` event that no client event caused."""
        error = {
            "type": "server_error",
            "code": fault.code,
            "message": fault.message,
            "param": None,
            "event_id": None,
        }
        message = {"type": "error", "event_id": self._ids.make("event_"), "error": error}
        return json.dumps(message)

    def warning(self, seconds: float) -> None:
        """There is none: `expires_at` of the session has to do."""

    def expiry(self, notice: float) -> tuple[Frame, CloseFault]:
        """An error, then 1001."""
        minutes = round(self._limit_s / 60)
        text = f"Your session hit the maximum duration of {minutes} minutes."
        error = error_message(self._ids, WireError("session_expired", text), None)
        return json.dumps(error), CloseFault(code=1001)


def refuse(fault: RefuseFault, status: HTTPStatus) -> Response:
    """The HTTP answer of a fault."""
    message, kind, code = _REFUSALS.get(status, _OVERLOADED)
    return refusal(status, error_body(message, fault.code or kind, fault.code or code))


def error_body(message: str, kind: str, code: str | None) -> dict[str, object]:
    """The JSON of an HTTP error."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
