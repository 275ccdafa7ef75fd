"""The microphone's audio that a provider may not have answered yet: it is heard again elsewhere."""

from collections import deque
from collections.abc import Iterable
from itertools import takewhile

import numpy as np

from ..commands import CommitAudio, EndAudio

TURN_LIMIT_S = 30.0
"""Of an unanswered turn the last so many seconds are kept: 1.4 MB at 24 kHz."""
IDLE_MS = 300
"""How much is kept of a microphone into which nobody spoke: late silence is worth nothing."""
AUDIBLE = 100
"""Peak of a 20 ms frame above which it is no silence (-50 dB)."""
ONSET_MS = 1_000
"""Detectors tell of speech when it has gone on for a while; what came just before belongs to it."""

Piece = bytes | CommitAudio | EndAudio
"""Audio, and where in it the application ended the turn."""


class OpenTurn:
    """The audio since the last answer began, and once more the audio of that answer's question.

    Args:
        rate: Hz of the audio, mono s16le.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._pieces: deque[Piece] = deque()
        self._bytes = 0
        self.end = 0
        """Bytes of all audio so far: a place in it, for what happened then."""
        self._position = 0
        """Bytes of audio that the connection in use was given."""
        self._heard = 0
        """How many bytes of the oldest audio some connection was given."""
        self._answered: deque[Piece] = deque()

    def add(self, pcm: bytes, *, is_heard: bool = False) -> int:
        """Keep audio.

        Args:
            pcm: The newest.
            is_heard: Whether a connection is given it; what is older was given to one, too.

        Returns:
            How many bytes of older audio that nobody heard were dropped for it.
        """
        self._pieces.append(pcm)
        self._bytes += len(pcm)
        self.end += len(pcm)
        self._position += len(pcm)
        if is_heard:
            self._heard = self._bytes
        limit = self._size(TURN_LIMIT_S * 1_000)
        return self._trim(limit) if self._bytes > limit else 0

    def close(self, command: CommitAudio | EndAudio) -> None:
        """The application has ended the turn here."""
        if self._pieces and not isinstance(self._pieces[-1], bytes):
            self._pieces.pop()
        self._pieces.append(command)

    @property
    def is_long(self) -> bool:
        """Whether there is so much that what comes soon would be at the expense of the oldest."""
        return self._bytes > self._size(TURN_LIMIT_S * 500)

    @property
    def is_committed(self) -> bool:
        """Whether the application has asked for an answer to what it sent."""
        return any(isinstance(piece, CommitAudio) for piece in self._pieces)

    def speech_started(self, audio_ms: float | None = None) -> None:
        """Only what came just before belongs to the turn.

        Args:
            audio_ms: Where in the connection's audio, if the provider says. Audio that is sent
                faster than it was spoken is far ahead when that comes.
        """
        kept = self._size(ONSET_MS)
        if audio_ms is not None:
            kept = max(kept, self._position - self._size(audio_ms))
        self._trim(kept)

    def answered(self) -> None:
        """An answer has begun: what was said so far is no longer owed, unless nobody hears it."""
        self._answered, self._pieces, self._bytes = self._pieces, deque(), 0
        self._heard = 0

    def unanswered(self) -> None:
        """Nothing was heard of the answer that had begun."""
        self._pieces = self._answered + self._pieces
        self._bytes = self._heard = sum(map(len, _audio(self._pieces)))
        self._answered = deque()

    def forget(self) -> None:
        """Nobody has to hear it."""
        self.answered()
        self._answered = deque()

    def replay(self) -> list[tuple[int, Piece]]:
        """What another connection has to be given, each with its place (see `end`).

        The silence before the first sound is left out.
        """
        before_end = takewhile(lambda piece: isinstance(piece, bytes), self._pieces)
        skip = _first_sound(b"".join(_audio(before_end)), self._rate)
        self._position = self._bytes - skip
        place = self.end - self._position
        pieces: list[tuple[int, Piece]] = []
        for piece in self._pieces:
            if isinstance(piece, bytes) and skip:
                skip, piece = max(0, skip - len(piece)), piece[skip:]
            if piece != b"":
                pieces.append((place, piece))
                place += len(piece) if isinstance(piece, bytes) else 0
        return pieces

    def recent(self, ms: float) -> bytes:
        """The last `ms` of audio."""
        return self.recent_bytes(self._size(ms))

    def recent_bytes(self, size: int) -> bytes:
        """The last bytes of audio, as many as are kept."""
        return b"".join(_audio(self._pieces))[-size:] if size else b""

    def joined(self, pcm: bytes) -> None:
        """Another connection is in use, which was given `pcm` of what is kept."""
        self._position = len(pcm)

    def _size(self, ms: float) -> int:
        return 2 * round(ms * self._rate / 1_000)

    def _trim(self, limit: int) -> int:
        before = self._bytes
        while self._pieces:
            first = self._pieces[0]
            size = len(first) if isinstance(first, bytes) else 0
            if self._bytes <= limit or self._bytes - size < limit:
                break
            self._bytes -= size
            self._pieces.popleft()
        dropped = before - self._bytes
        lost = max(0, dropped - self._heard)
        self._heard = max(0, self._heard - dropped)
        return lost


def _audio(pieces: Iterable[Piece]) -> Iterable[bytes]:
    return (piece for piece in pieces if isinstance(piece, bytes))


def _first_sound(pcm: bytes, rate: int) -> int:
    """Byte position `IDLE_MS` before the first sound; `IDLE_MS` before the end without one."""
    frame = rate // 50
    samples = np.frombuffer(pcm, "<i2")
    whole = len(samples) // frame
    levels = np.abs(samples[: whole * frame].astype(np.int32)).reshape(whole, frame).max(axis=1)
    # Against a fixed level, not the floor: a turn may begin in the middle of a word.
    loud = np.flatnonzero(levels > AUDIBLE)
    first = int(loud[0]) * frame if len(loud) else len(samples)
    return 2 * max(0, first - rate * IDLE_MS // 1_000)
