"""Marks parameters that are filled from what is there, and finds what fills them."""

from collections.abc import Iterable, Sequence
from types import UnionType
from typing import Annotated, Any, TypeAlias, TypeVar, Union, get_args, get_origin

from ..errors import ConfigurationError

T = TypeVar("T")


class _Marker:
    def __repr__(self) -> str:
        return "INJECTED"


INJECTED = _Marker()

Inject: TypeAlias = Annotated[T, INJECTED]
"""`history: Inject[ConversationHistory]`: the model never sees this parameter.

It is filled, by type, from the application's `context=`, the session's `EventBus`,
`ConversationHistory` and `Session`, and the call's `ToolContext`.
"""


def injected_type(hint: object) -> Any:
    """The type to look for, if the parameter is marked with `Inject`; else None."""
    if get_origin(hint) is Annotated:
        kind, *marks = get_args(hint)
        return kind if INJECTED in marks else None
    if get_origin(hint) in (Union, UnionType):
        found = [kind for kind in map(injected_type, get_args(hint)) if kind is not None]
        return found[0] if found else None
    return None


def check_injectable(kind: Any, where: str) -> None:
    """Refuse what nothing can be recognized by.

    Raises:
        ConfigurationError: If it is not a class or a protocol that can be checked at run time.
    """
    try:
        isinstance(None, kind)
    except TypeError:
        raise ConfigurationError(
            f"{where}: nothing can be recognized as {kind!r}",
            advice="inject a class, or a protocol decorated with @runtime_checkable",
        ) from None


def find(kind: Any, resources: Iterable[object]) -> Any:
    """The first resource of a type; None if there is none."""
    return next((resource for resource in resources if isinstance(resource, kind)), None)


def can_be_found(kind: Any, resources: Sequence[object], later: Sequence[type]) -> bool:
    """Whether something fills `kind` now, or once there are objects of the types in `later`."""
    if find(kind, resources) is not None:
        return True
    # Whether something has what a protocol asks for, only an object can tell.
    return getattr(kind, "_is_protocol", False) or any(issubclass(known, kind) for known in later)


def missing(kind: Any, where: str) -> ConfigurationError:
    """The error that nothing fills a parameter."""
    name = getattr(kind, "__name__", repr(kind))
    return ConfigurationError(
        f"{where} needs a {name}, and there is none",
        code="nothing_to_inject",
        advice=f"pass a {name} as context=, or give the parameter a default",
    )
