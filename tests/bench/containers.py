"""How much every container of the package holds, found by walking from an object."""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Any

Sizes = dict[str, int]
"""Elements or bytes, by owner's class and attribute."""
_CONTAINERS = (list, tuple, set, frozenset, dict, deque, bytes, bytearray, str)


def sizes(*roots: object) -> Sizes:
    """The largest container of each name that can be reached through objects of the package."""
    found: Sizes = {}
    seen: set[int] = set()
    waiting = list(roots)
    while waiting:
        owner = waiting.pop()
        if id(owner) in seen:
            continue
        seen.add(id(owner))
        for name, value in _attributes(owner):
            path = f"{type(owner).__name__}.{name}"
            waiting += _measure(path, value, found, seen)
    return found


class Growth:
    """Finds what always holds more late than it ever did early: a queue comes and goes."""

    def __init__(self) -> None:
        self._most: Sizes = {}
        self._least: Sizes | None = None

    def early(self, sample: Sizes) -> None:
        """A sample of the beginning."""
        for path, size in sample.items():
            self._most[path] = max(size, self._most.get(path, 0))

    def late(self, sample: Sizes) -> None:
        """A sample of the end."""
        least = sample if self._least is None else self._least
        self._least = {
            path: min(size, least[path]) for path, size in sample.items() if path in least
        }

    def found(self) -> Sizes:
        """What grew beyond chance."""
        least = self._least or {}
        return {p: size for p, size in least.items() if size > 1.5 * self._most.get(p, 0) + 64}


def _measure(path: str, value: Any, found: Sizes, seen: set[int]) -> list[object]:
    """Note the size of a value; the objects of the package in it."""
    if _is_ours(value):
        return [value]
    if isinstance(value, asyncio.Queue):
        value = value._queue  # type: ignore[attr-defined]
    if not isinstance(value, _CONTAINERS) or getattr(value, "maxlen", None) is not None:
        return []  # what has a greatest length needs no watching
    found[path] = max(len(value), found.get(path, 0))
    if isinstance(value, bytes | bytearray | str) or id(value) in seen:
        return []
    seen.add(id(value))
    items = [*value.keys(), *value.values()] if isinstance(value, dict) else list(value)
    return [ours for item in items for ours in _measure(f"{path}[]", item, found, seen)]


def _attributes(owner: object) -> Iterator[tuple[str, Any]]:
    yield from getattr(owner, "__dict__", {}).items()
    for kind in type(owner).__mro__:
        slots = getattr(kind, "__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(owner, name):
                yield name, getattr(owner, name)


def _is_ours(value: object) -> bool:
    return type(value).__module__.startswith("realtime_facade") and not isinstance(value, type)
