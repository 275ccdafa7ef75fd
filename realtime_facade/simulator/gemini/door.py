"""Lets clients of the simulated Gemini service in: the path they dial and the key they show."""

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qs

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from ..refusal import refusal
from .fields import Refusal, invalid
from .memory import Handles

_PATH = re.compile(r"(?:\.(v\d\w*)\.\w+)?[./]BidiGenerateContent(Constrained)?$")
_NO_KEY = (
    "Method doesn't allow unregistered callers (callers without established identity). "
    "Please use API Key or other form of API consumer identity to call this API."
)
_NOT_AUTHENTIC = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, "
    "login cookie or other valid authentication credential."
)


@dataclass(frozen=True, kw_only=True)
class GeminiService:
    """What the sessions of one simulator share."""

    bad_keys: frozenset[str] = frozenset({"bad-key", "invalid"})
    """Refused as not valid; every other key that is not empty will do."""
    strict_tools: bool = False
    """Close the connection when audio arrives during a blocking call: seen with 2.5 models."""
    handles: Handles = field(default_factory=Handles)


class Address(NamedTuple):
    """What a client dialled."""

    version: str
    """Of the API; `v1beta` where the path names none."""
    constrained: bool
    """The method for ephemeral tokens."""


def address(request: Request) -> Address | None:
    """What was dialled, or None if it is not this API.

    Any prefix, version and number of slashes will do: the SDK sends two slashes.
    """
    match = _PATH.search(request.path.partition("?")[0])
    return Address(match[1] or "v1beta", bool(match[2])) if match else None


def check(connection: ServerConnection, request: Request) -> Response | None:
    """Refuse a handshake on a path that is not this API's, with HTTP 404."""
    if address(request):
        return None
    message = f"The requested URL {request.path.partition('?')[0]} was not found on this server."
    return refusal(
        HTTPStatus.NOT_FOUND, {"error": {"code": 404, "message": message, "status": "NOT_FOUND"}}
    )


def authenticate(request: Request, service: GeminiService) -> None:
    """Look for a key in the headers and in the query, as the service does.

    Raises:
        Refusal: If there is none, or one that is not accepted here. The service says so only
            after it has read the setup.
    """
    query = parse_qs(request.path.partition("?")[2])
    key = request.headers.get("x-goog-api-key") or query.get("key", [""])[0]
    token = query.get("access_token", [""])[0]
    scheme, _, credentials = (request.headers.get("Authorization") or "").partition(" ")
    if scheme in ("Token", "Bearer"):
        token = token or credentials
    given = key or token
    dialled = address(request)
    constrained = dialled is not None and dialled.constrained
    if not given:
        raise Refusal(1008, _NO_KEY)
    if given in service.bad_keys or (key.startswith("auth_tokens/") and not constrained):
        raise invalid("API key not valid. Please pass a valid API key.")
    if constrained and not given.startswith("auth_tokens/"):
        raise Refusal(1008, _NOT_AUTHENTIC)
