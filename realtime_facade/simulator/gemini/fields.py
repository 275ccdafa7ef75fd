"""Reads a Gemini client's JSON as leniently, and refuses it in the same words, as the service."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any, Self, TypeVar

from ...providers.base import Frame

INVALID_ARGUMENT = "Request contains an invalid argument."
_LONGEST_REASON = 123
"""Bytes; RFC 6455 §5.5.1 leaves no more for the reason of a close frame."""
_T = TypeVar("_T")


class Refusal(Exception):
    """The service ends the connection: a WebSocket close code, and a reason cut to 123 bytes."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason.encode()[:_LONGEST_REASON].decode(errors="ignore")


def invalid(reason: str = INVALID_ARGUMENT) -> Refusal:
    """The refusal of a wrong request: 1007."""
    return Refusal(1007, reason)


class Fields:
    """An object in a client's message. Names may be camelCase or snake_case, as protobuf allows.

    A JSON null is an absent field, also as protobuf has it.

    Args:
        value: What stands there.
        path: Where, for complaints: `setup.generation_config`.

    Raises:
        Refusal: If it is not an object.
    """

    def __init__(self, value: object, path: str = "") -> None:
        if not isinstance(value, dict):
            raise _wrong(path or "message", "OBJECT", value)
        self.path = path
        self._values: dict[str, Any] = {
            camel(name): item for name, item in value.items() if item is not None
        }
        self._spelled = {camel(name): name for name in value}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def only(self, *names: str) -> Self:
        """Itself.

        Raises:
            Refusal: If there is a field that is not in `names` (camelCase).
        """
        for name in self._values:
            if name not in names:
                place = f" at '{self.path}'" if self.path else ""
                raise invalid(
                    "Invalid JSON payload received. "
                    f'Unknown name "{self._spelled[name]}"{place}: Cannot find field.'
                )
        return self

    def raw(self, name: str) -> Any:
        """The field as it came, or None."""
        return self._values.get(name)

    def text(self, name: str) -> str | None:
        """A string, or None where there is none."""
        return self._typed(name, "STRING", lambda value: value if isinstance(value, str) else None)

    def flag(self, name: str) -> bool | None:
        """True or false, or None where there is neither."""
        return self._typed(name, "BOOL", lambda value: value if isinstance(value, bool) else None)

    def count(self, name: str) -> int | None:
        """A whole number of 0 or more, which protobuf may also write as a string or as `40.0`."""
        return self._typed(name, "INT32", _count)

    def child(self, name: str) -> "Fields | None":
        """The object there, or None."""
        value = self._values.get(name)
        return None if value is None else Fields(value, self.place(name))

    def children(self, name: str) -> "list[Fields]":
        """The objects in the list there; none where there is no list."""
        items = self.items(name)
        return [Fields(item, f"{self.place(name)}[{i}]") for i, item in enumerate(items)]

    def items(self, name: str) -> list[Any]:
        """The list there; an empty one where there is none."""
        return self._typed(name, "LIST", _listed) or []

    def place(self, name: str) -> str:
        """The path of a field, as the service writes it."""
        return f"{self.path}.{_snake(name)}" if self.path else _snake(name)

    def _typed(self, name: str, kind: str, read: Callable[[Any], _T | None]) -> _T | None:
        value = self._values.get(name)
        if value is None:
            return None
        result = read(value)
        if result is None:
            raise _wrong(self.place(name), kind, value)
        return result


def parse(frame: Frame) -> Fields:
    """The message in a client's frame, text or binary.

    Raises:
        Refusal: If it is not a JSON object.
    """
    try:
        value = json.loads(frame)
    except (ValueError, RecursionError) as error:
        raise invalid("Invalid JSON payload received. Unexpected token.") from error
    if not isinstance(value, dict):
        raise invalid("Invalid JSON payload received. Expected an object.")
    return Fields(value)


def render(message: dict[str, Any]) -> bytes:
    """A server message as the service sends it: indented JSON in a binary frame."""
    return json.dumps(message, indent=2).encode()


def decode(data: str, place: str) -> bytes:
    """The bytes of base64 in either alphabet, padded or not: the SDK sends the URL-safe one.

    Raises:
        Refusal: If it is not base64.
    """
    standard = data.replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except ValueError as error:
        raise invalid(f"Invalid value at '{place}' (TYPE_BYTES), Base64 decoding failed") from error


def duration(milliseconds: float) -> str:
    """Protobuf's JSON of a duration: `5s`, `1.880s`."""
    seconds, rest = divmod(round(milliseconds), 1000)
    return f"{seconds}.{rest:03}s" if rest else f"{seconds}s"


def camel(name: str) -> str:
    """`voice_name` as `voiceName`; camelCase stays."""
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda match: "_" + match[1].lower(), name)


def _count(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) <= 10:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**31:
        return None
    return int(value) if value == int(value) else None


def _listed(value: Any) -> list[Any] | None:
    return value if isinstance(value, list) else None


def _wrong(place: str, kind: str, value: object) -> Refusal:
    shown = json.dumps(value, default=str)[:60]
    return invalid(f"Invalid value at '{place}' (TYPE_{kind}), {shown}")
