"""What can go wrong, and whose fault it is.

    RealtimeError
    ├── RealtimeConnectionError    the provider could not be reached, refused us, or hung up
    ├── SessionClosed              the application used a session after its end
    ├── ProtocolError              the provider sent a frame that breaks its own protocol
    ├── ConfigurationError         the application asked for something that cannot be had
    ├── AudioFormatError           the application handed over audio of the wrong shape
    ├── ToolFailed                 a tool could not be run, or failed
    └── MissingExtra               a feature needs an optional dependency

Every error carries `message code provider retryable cause advice`, so that a program can decide
and a person can act. Keys and URLs with credentials never appear in any of them.
"""

from typing import Literal

from .redaction import redact

Cause = Literal[
    "application",
    "authentication",
    "configuration",
    "device",
    "expired",
    "network",
    "policy",
    "protocol",
    "provider",
    "quota",
    "rate_limit",
    "unknown",
]
"""Who has to act: the caller (`application`, `configuration`), the account's owner
(`authentication`, `quota`), nobody but time (`rate_limit`, `network`, `provider`, `expired`)."""


class RealtimeError(Exception):
    """Base of everything that this package raises on purpose."""

    default_cause: Cause = "unknown"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        provider: str | None = None,
        retryable: bool = False,
        cause: Cause | None = None,
        advice: str | None = None,
    ) -> None:
        message = redact(message)
        super().__init__(message)
        self.message = message
        self.code = code
        """The provider's own code, a WebSocket close code or an HTTP status, as text."""
        self.provider = provider
        self.retryable = retryable
        """Whether the same attempt may succeed later without any change."""
        self.cause: Cause = cause or self.default_cause
        self.advice = advice
        """What to do about it, in one sentence."""

    def __str__(self) -> str:
        return f"{self.message} ({self.advice})" if self.advice else self.message


class RealtimeConnectionError(RealtimeError):
    """The provider could not be reached, refused the session, or ended it unexpectedly."""

    default_cause = "network"


class SessionClosed(RealtimeError):
    """The session is over; `__cause__` says why when it did not end by request."""

    default_cause = "application"


class ProtocolError(RealtimeError):
    """A frame that does not follow the provider's protocol. The session goes on."""

    default_cause = "protocol"


class ConfigurationError(RealtimeError, ValueError):
    """Something was asked for that this provider, model or installation cannot do."""

    default_cause = "configuration"


class AudioFormatError(RealtimeError, ValueError):
    """Audio of the wrong shape: stereo where mono is expected, a wrong rate, not PCM."""

    default_cause = "application"


class ToolFailed(RealtimeError):
    """A tool could not be run: unknown, called with wrong arguments, too slow, or it raised."""

    default_cause = "application"


class MissingExtra(RealtimeError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    default_cause = "configuration"

    def __init__(self, feature: str, extra: str, module: str) -> None:
        super().__init__(
            f"{feature} needs the package {module!r}, which is not installed",
            advice=f'pip install "realtime-facade[{extra}]"',
        )
        self.extra = extra
