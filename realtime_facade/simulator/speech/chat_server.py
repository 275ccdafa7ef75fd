"""Where a chat server that can think for the assistant is, as the environment says."""

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ...errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class ChatServer:
    """An OpenAI-compatible server for chat completions."""

    url: str
    """Its base, such as `http://127.0.0.1:11434/v1`."""
    model: str | None = None
    """None: the first one that the server lists."""
    key: str | None = field(default=None, repr=False)

    @classmethod
    def find(cls, url: str | None = None) -> "ChatServer | None":
        """The server at `url`, else at `REALTIME_FACADE_LLM_URL`; None if neither is given.

        Model and key come from `REALTIME_FACADE_LLM_MODEL` and `REALTIME_FACADE_LLM_KEY`.

        Raises:
            ConfigurationError: If the address is no HTTP address.
        """
        url = url or os.environ.get("REALTIME_FACADE_LLM_URL")
        if not url:
            return None
        if urlsplit(url).scheme not in ("http", "https"):
            raise ConfigurationError(
                "the chat server's address is not an HTTP address",
                advice="set REALTIME_FACADE_LLM_URL to something like http://127.0.0.1:11434/v1",
            )
        return cls(
            url,
            os.environ.get("REALTIME_FACADE_LLM_MODEL") or None,
            os.environ.get("REALTIME_FACADE_LLM_KEY") or None,
        )
