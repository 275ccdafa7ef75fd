"""What a tool may know of its own call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


def _nobody(_: object) -> None:
    """Progress of a call that nobody watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """One call of a tool: a parameter annotated `Inject[ToolContext]` gets it."""

    call_id: str
    """The provider's name for the call."""
    function_name: str
    idempotency_key: str
    """Names what the user wants done, not the request for it: when a connection breaks and the
    model asks again for the same thing, the key is the same. Pass it to services that take one."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """As the model gave them."""
    report: Callable[[object], None] = field(default=_nobody, repr=False)
    """Where `progress` goes."""

    def progress(self, text: object) -> None:
        """Tell the application how far the tool is (`ToolProgress`); from any thread, no waiting.

        The model does not hear of it.
        """
        self.report(text)
