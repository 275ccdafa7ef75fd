"""What the engine needs of a connection."""

from typing import Protocol

from ..providers.base import Frame


class TransportClosed(Exception):
    """The connection is over.

    `code` is the WebSocket close code, or None when it broke without a closing handshake.
    """

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(f"closed with {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class Transport(Protocol):
    """A connection that carries whole frames in order."""

    async def send(self, frame: Frame) -> None:
        """Send one frame; waits while the peer reads too slowly.

        Raises:
            TransportClosed: If the connection is over.
        """

    def send_nowait(self, frame: Frame) -> bool:
        """Send one frame if that can be done without waiting; False if not, and nothing was sent.

        Only while no `send` is under way. A closed connection is no error here: `receive` tells.
        """
        ...

    async def receive(self) -> Frame:
        """The next frame. Cancel-safe: a cancelled call loses nothing.

        Raises:
            TransportClosed: If the connection is over.
        """
        ...

    async def close(self) -> None:
        """Close politely; returns within a few seconds in any case. Idempotent."""
