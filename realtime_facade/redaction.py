"""Keeps keys and tokens out of everything that people, logs and files get to see."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

SECRET = "[secret]"  # noqa: S105 - what stands in a secret's place

_SHORTEST = 12
"""Characters. Shorter ones may be ordinary words, and are no protection anyway."""

_SHAPES = re.compile(
    r"\bsk-[\w*.-]{4,}"
    r"|\bek_[\w*.-]{4,}"
    r"|\bxai-[\w*.-]{8,}"
    r"|\bAIza[\w*-]{8,}"
    r"|\bya29\.[\w-]{8,}"
    r"|\bauth_tokens/[\w.-]{4,}"
    r"|\b(?:Bearer|Token)\s+[\w.~+/=*-]{8,}"
    r"|(?<=[?&])(?:api[-_]?key|key|access_token|token|code|sig)=[^&\s\"']+"
    r"|(?<=://)[^\s/@\"']+(?=@)",
    re.IGNORECASE,
)
_SECRET_HEADERS = re.compile(r"auth|cookie|credential|key|secret|token", re.IGNORECASE)
_SECRET_QUERY = frozenset({"apikey", "key", "accesstoken", "token", "code", "sig"})
_SECRET_FIELDS = frozenset(
    {
        "accesstoken",
        "apikey",
        "authorization",
        "clientsecret",
        "cookie",
        "handle",
        "newhandle",
        "password",
        "refreshtoken",
        "secret",
        "token",
        "xgoogapikey",
    }
)
_SECRET_TABLES = frozenset({"clientsecret", "headers"})
"""Objects whose every text is a secret."""


def redact(text: str) -> str:
    """Text without what looks like a key, a token, or credentials in an address."""
    return _SHAPES.sub(SECRET, text)


def redact_fields(value: Any) -> Any:
    """JSON without the texts of fields that hold secrets, such as `authorization`; a copy."""
    return _walk(value, all_secret=False)


def _walk(value: Any, *, all_secret: bool) -> Any:
    if isinstance(value, Mapping):
        return {
            key: SECRET
            if isinstance(item, str) and item and _plain(key) in _SECRET_FIELDS
            else _walk(item, all_secret=all_secret or _plain(key) in _SECRET_TABLES)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_walk(item, all_secret=all_secret) for item in value]
    return SECRET if all_secret and isinstance(value, str) and value else value


def secrets_in(value: Any) -> set[str]:
    """The texts that `redact_fields` would take out."""
    if isinstance(value, Mapping):
        found: set[str] = set()
        for key, item in value.items():
            name = _plain(key)
            if isinstance(item, str) and name in _SECRET_FIELDS:
                found.add(item)
            elif isinstance(item, Mapping) and name in _SECRET_TABLES:
                found.update(text for text in item.values() if isinstance(text, str))
            else:
                found |= secrets_in(item)
        return found
    if isinstance(value, list | tuple):
        return set().union(*map(secrets_in, value))
    return set()


def secrets_of(
    url: str, headers: Mapping[str, str] | None = None, subprotocols: Iterable[str] = ()
) -> set[str]:
    """What must not be shown of an address and of what is sent there."""
    parts = urlsplit(url)
    found = {text for text in (parts.username, parts.password) if text}
    found |= {text for name, text in parse_qsl(parts.query) if _plain(name) in _SECRET_QUERY}
    found |= {text for name, text in (headers or {}).items() if _SECRET_HEADERS.search(name)}
    found |= {name.rpartition("api-key.")[2] for name in subprotocols if "api-key." in name}
    return found


def address(url: str) -> str:
    """A URL for people: without credentials and without its query."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "(not an address)"
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"


class Redactor:
    """Takes the secrets of one connection out of what comes from the other side.

    Whatever a provider sends back - in an error, a close reason, an echo of the configuration -
    is cleaned once, at the door, so that nobody behind it can give it away.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # "Bearer abc": the word before it is no secret, and may stand elsewhere.
        texts = {word for text in secrets for word in text.split()[-1:]}
        self._texts = sorted((t for t in texts if len(t) >= _SHORTEST), key=len, reverse=True)
        self._bytes = [text.encode("utf-8", "replace") for text in self._texts]

    def frame(self, frame: bytes) -> bytes:
        """A frame without this connection's secrets: about a microsecond for one with audio."""
        for needle in self._bytes:
            if needle in frame:
                frame = frame.replace(needle, SECRET.encode())
        return frame

    def text(self, text: str) -> str:
        """Text for people: without this connection's secrets and what looks like one."""
        for secret in self._texts:
            text = text.replace(secret, SECRET)
        return redact(text)


def _plain(name: object) -> str:
    return str(name).lower().replace("-", "").replace("_", "")
