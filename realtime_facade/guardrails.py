"""What may not be said: functions that read along with a conversation."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args, overload

from .conversation import ConversationHistory
from .errors import ConfigurationError
from .tools.run import call, is_async

Direction = Literal["input", "output"]
Mode = Literal["interrupt", "hold"]
Policy = Literal["allow", "block"]
_MODES, _POLICIES = get_args(Mode), get_args(Policy)
REPLACEMENT = (
    "What you were about to say must not be said. Say in one short sentence that you cannot talk "
    "about that. Do not repeat, describe or hint at any of it."
)
"""Asks a model for the answer that comes instead of one that a guardrail has stopped."""
INTERRUPT_DEBOUNCE_CHARS = 100
"""In hold mode it is 1: the listener waits for the reading."""


@dataclass(frozen=True, slots=True)
class GuardrailResult:
    """What a guardrail found. A plain `bool` can be returned instead."""

    tripwire_triggered: bool
    """Whether the text must not be said (output), or not be answered (input)."""
    output_info: Any = None
    """Goes into `GuardrailTripped`: what was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardrailContext:
    """What a guardrail may know of the text it reads."""

    direction: Direction
    item_id: str
    is_final: bool
    """Whether the text is the item's whole text."""
    history: ConversationHistory
    """The conversation so far."""
    context: object = None
    """The application's `context=`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """A function with what `output_guardrail` or `input_guardrail` was told about it.

    Calling it calls the function.

    Raises:
        ConfigurationError: If a setting is impossible, or the function takes neither
            `(text)` nor `(ctx, agent, text)`.
    """

    function: Callable[..., Any]
    direction: Direction
    name: str
    mode: Mode = "interrupt"
    debounce_chars: int = INTERRUPT_DEBOUNCE_CHARS
    on_failure: Policy = "allow"
    timeout_s: float = 5.0
    replacement: str | None = REPLACEMENT

    def __post_init__(self) -> None:
        if self.debounce_chars < 1 or not self.timeout_s > 0:
            raise ConfigurationError(
                f"the guardrail {self.name} has a debounce of {self.debounce_chars} characters "
                f"and a timeout of {self.timeout_s:g} s",
                cause="application",
                advice="both have to be positive",
            )
        if self.mode not in _MODES or self.on_failure not in _POLICIES:
            raise ConfigurationError(
                f"the guardrail {self.name} has the mode {self.mode!r} and the policy "
                f"{self.on_failure!r}",
                cause="application",
                advice=f"there are the modes {', '.join(_MODES)}, and {', '.join(_POLICIES)}",
            )
        if _arity(self.function) is None:
            raise ConfigurationError(
                f"the guardrail {self.name} has to take (text) or (ctx, agent, text)",
                cause="application",
                advice="give other parameters a default",
            )

    @property
    def takes_time(self) -> bool:
        """Whether it holds sound back and may ask somebody else, such as a service."""
        return self.mode == "hold" and is_async(self.function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    async def check(self, text: str, context: GuardrailContext, agent: object) -> GuardrailResult:
        """Read a text; a sync function in a thread.

        Raises:
            Exception: What the function raises.
            TypeError: If it returns something else than a `GuardrailResult` or a `bool`.
        """
        given = (text,) if _arity(self.function) == 1 else (context, agent, text)
        result = await call(partial(self.function, *given), self.name)
        if isinstance(result, GuardrailResult):
            return result
        if isinstance(result, bool):
            return GuardrailResult(result)
        raise TypeError(f"it returned {type(result).__name__}, not GuardrailResult or bool")


Reads = Callable[..., GuardrailResult | bool | Awaitable[GuardrailResult | bool]]


@overload
def output_guardrail(function: Reads, /) -> Guardrail: ...


@overload
def output_guardrail(
    *,
    name: str | None = None,
    mode: Mode = "interrupt",
    debounce_chars: int | None = None,
    on_failure: Policy | None = None,
    timeout_s: float = 5.0,
    replacement: str | None = REPLACEMENT,
) -> Callable[[Reads], Guardrail]: ...


def output_guardrail(function: Reads | None = None, /, **settings: Any) -> Any:
    """Decorator: read what the assistant says, and stop it when the function objects.

    The function is given the text of the answer so far, as `(text)` or `(ctx, agent, text)` with a
    `GuardrailContext` and the `RealtimeAgent` or `RealtimeVoice`. Sync ones run in threads. It runs
    again when there is more text, one run at a time per answer, and once on the whole text.

    Args:
        function: Given by the decorator without parentheses.
        settings: `name`: for events; None is the function's.
            `mode`: "interrupt" lets the answer sound while it is read, and cuts it. "hold" lets
            sound and words go only when they have passed: what is forbidden is never heard.
            `debounce_chars`: how much new text is worth a run; None is 100, or 1 in hold mode.
            `on_failure`: what a run that raises or is late means: "allow" or "block"; None is
            "allow", or "block" in hold mode.
            `timeout_s`: when a run is late. In hold mode, `config.max_hold_ms` of silence is late
            as well.
            `replacement`: instructions for the answer that comes instead; None: silence.

    Raises:
        ConfigurationError: As `Guardrail` does.
    """
    return _decorator("output", function, settings)


@overload
def input_guardrail(function: Reads, /) -> Guardrail: ...


@overload
def input_guardrail(
    *,
    name: str | None = None,
    mode: Mode = "interrupt",
    debounce_chars: int | None = None,
    on_failure: Policy | None = None,
    timeout_s: float = 5.0,
    replacement: str | None = REPLACEMENT,
) -> Callable[[Reads], Guardrail]: ...


def input_guardrail(function: Reads | None = None, /, **settings: Any) -> Any:
    """Decorator: read what the user says or types, and stop the answer when the function objects.

    The user's words are often written down after the answer has begun: in "interrupt" mode it is
    cut then, in "hold" mode nothing of it is let go before. Needs `config.transcription`.

    Args:
        function: Given by the decorator without parentheses.
        settings: As for `output_guardrail`.

    Raises:
        ConfigurationError: As `Guardrail` does.
    """
    return _decorator("input", function, settings)


def _decorator(direction: Direction, function: Reads | None, settings: dict[str, Any]) -> Any:
    given = {key: value for key, value in settings.items() if value is not None}
    if "replacement" in settings:
        given["replacement"] = settings["replacement"]
    if given.get("mode") == "hold":
        given = {"debounce_chars": 1, "on_failure": "block", **given}

    def decorate(function: Reads) -> Guardrail:
        name = getattr(function, "__name__", type(function).__name__)
        return Guardrail(function=function, direction=direction, **{"name": name, **given})

    return decorate if function is None else decorate(function)


def _arity(function: Callable[..., Any]) -> int | None:
    signature = inspect.signature(function)
    for count in (1, 3):
        try:
            signature.bind(*[None] * count)
        except TypeError:
            continue
        return count
    return None
