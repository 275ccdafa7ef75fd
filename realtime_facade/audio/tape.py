"""Hands out the assistant's speech as it was heard, not as it came in."""

from .pcm import SAMPLE_BYTES
from .playback import Playback


class HeardTape:
    """Keeps audio from the moment it is written to a ledger until it was heard.

    Models speak several times faster than real time, so whoever wants the sound in the room, such
    as a recording or an echo canceller, has to wait for it. Holds what is unheard and no more.

    Make it before anything is played, or in a pause. One owner: the session's event loop.

    Args:
        playback: The ledger that says what was heard.
    """

    def __init__(self, playback: Playback) -> None:
        self._playback = playback
        self._unheard = bytearray()
        # Where on the ledger's timeline `_unheard` begins: what is pending was not written here.
        self._start = playback.position + round(playback.pending_ms * playback.rate / 1000)

    def write(self, pcm: bytes) -> None:
        """Add mono s16le at the ledger's rate, right after the same went to `Playback.write`."""
        self._unheard += pcm

    def take(self) -> bytes:
        """What was heard since the last call; each sample once, possibly nothing."""
        heard = max(self._playback.position - self._start, 0) * SAMPLE_BYTES
        pcm = bytes(self._unheard[:heard])
        del self._unheard[:heard]
        self._start += len(pcm) // SAMPLE_BYTES
        return pcm

    def cut(self) -> None:
        """Forget what will not be heard any more; call it right after `Playback.cut`.

        What was heard before the cut can still be taken.
        """
        heard = max(self._playback.position - self._start, 0) * SAMPLE_BYTES
        del self._unheard[heard:]
