"""Says no to a WebSocket handshake, as the providers do."""

import json
from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.http11 import Response


def refusal(status: HTTPStatus, body: object) -> Response:
    """An HTTP answer with JSON instead of the WebSocket handshake."""
    data = json.dumps(body).encode()
    headers = Headers(
        {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            "Connection": "close",
        }
    )
    return Response(status.value, status.phrase, headers, data)
