"""The door of the simulated OpenAI Realtime API: addresses and keys."""

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from ..refusal import refusal
from .dialect import error_body

PATHS = ("/v1/realtime", "/openai/v1/realtime", "/openai/realtime")
"""OpenAI's own, Azure's, and Azure's older one."""
_BROWSER_KEY = "openai-insecure-api-key."


def check(connection: ServerConnection, request: Request) -> Response | None:
    """Refuse other paths (404) and requests without a key (401); None accepts."""
    path = urlsplit(request.path).path
    if path.rstrip("/") not in PATHS:
        return refusal(
            HTTPStatus.NOT_FOUND,
            error_body(f"Invalid URL (GET {path})", "invalid_request_error", None),
        )
    authorization = request.headers.get("Authorization", "")
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    keys = (
        authorization.removeprefix("Bearer ").strip()
        if authorization.startswith("Bearer ")
        else "",
        request.headers.get("api-key", ""),
        offered.partition(_BROWSER_KEY)[2],
    )
    if any(keys):
        return None
    message = "Missing bearer or basic authentication in header"
    return refusal(
        HTTPStatus.UNAUTHORIZED, error_body(message, "invalid_request_error", "invalid_api_key")
    )


def choose_subprotocol(
    connection: ServerConnection, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    """`realtime` where it is offered: browsers hang up when nothing they offered is chosen."""
    return next((name for name in offered if name == "realtime"), None)
