"""What a handler wants to be called with; its signature says, once, when it is registered."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from .errors import ConfigurationError
from .events import Event, TranscriptDelta
from .session.event_bus import Handler
from .tools.run import is_async


def adapt(
    handler: Callable[..., Any], arguments: Callable[[Any], tuple[Any, ...] | None]
) -> Handler:
    """A handler of events that calls `handler` with what it wants; None: not at all."""
    if is_async(handler):

        @functools.wraps(handler)
        async def call_async(event: Event) -> None:
            wanted = arguments(event)
            if wanted is not None:
                await handler(*wanted)

        return call_async

    @functools.wraps(handler)
    def call(event: Event) -> None:
        wanted = arguments(event)
        if wanted is not None:
            handler(*wanted)

    return call


def assistant_text(delta: TranscriptDelta) -> tuple[str, bool] | None:
    """The arguments of `handler(text, is_final)`: the assistant's words, all of them when final."""
    if delta.speaker != "assistant":
        return None
    if delta.is_final:
        return (delta.full_text if delta.full_text is not None else delta.text, True)
    return (delta.text, False)


def wants(handler: Callable[..., Any], kind: type[Event]) -> bool:
    """Whether the handler's first parameter is annotated with `kind`."""
    function = inspect.unwrap(handler)
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        raise ConfigurationError(
            f"handler {getattr(handler, '__qualname__', handler)!r} takes no argument",
            advice=f"give it a parameter, for example of type {kind.__name__}",
        )
    annotation = parameters[0].annotation
    if isinstance(annotation, str):  # from __future__ import annotations
        return annotation.rpartition(".")[2] == kind.__name__
    return annotation is kind
