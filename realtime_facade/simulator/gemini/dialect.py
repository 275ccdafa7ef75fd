"""How Gemini says that something is wrong: close codes with reasons, `goAway`, refusals."""

import json
from http import HTTPStatus

from websockets.http11 import Response

from ..faults import CloseFault, ErrorFault, RefuseFault
from ..line import Frame
from ..refusal import refusal
from .fields import duration, render

_GO_AWAY_IGNORED = (
    "Connection aborted because the client failed to close the connection after receiving a "
    "GoAway signal once the session duration expired"
)
_UNANNOUNCED = "Deadline expired before operation could complete."
_REFUSALS = {
    401: ("API key not valid. Please pass a valid API key.", "UNAUTHENTICATED"),
    403: ("Method doesn't allow unregistered callers.", "PERMISSION_DENIED"),
    404: ("Requested entity was not found.", "NOT_FOUND"),
    429: ("Resource has been exhausted (e.g. check quota).", "RESOURCE_EXHAUSTED"),
    500: ("Internal error encountered.", "INTERNAL"),
}
_UNAVAILABLE = ("The service is currently unavailable.", "UNAVAILABLE")


class GeminiDialect:
    """The Live API's words."""

    def names(self, frame: Frame) -> list[str]:
        """The message's fields, and those of its `serverContent`."""
        message = json.loads(frame)
        return [*message, *message.get("serverContent", ())]

    def error(self, fault: ErrorFault) -> CloseFault:
        """This protocol has no error event: it closes with 1011."""
        return CloseFault(code=1011, reason=fault.message)

    def warning(self, seconds: float) -> Frame | None:
        """`goAway`; the service was also seen to end a session without it."""
        if not seconds:
            return None
        return render({"goAway": {"timeLeft": duration(seconds * 1000)}})

    def expiry(self, notice: float) -> tuple[None, CloseFault]:
        """1008 for a client that was warned, else 1011."""
        if notice:
            return None, CloseFault(code=1008, reason=_GO_AWAY_IGNORED)
        return None, CloseFault(code=1011, reason=_UNANNOUNCED)


def refuse(fault: RefuseFault, status: HTTPStatus) -> Response:
    """The HTTP answer of a fault."""
    message, name = _REFUSALS.get(status, _UNAVAILABLE)
    body = {"code": status.value, "message": message, "status": fault.code or name}
    return refusal(status, {"error": body})
