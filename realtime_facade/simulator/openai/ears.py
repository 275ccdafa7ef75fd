"""The input audio buffer on the OpenAI Realtime wire: formats, turns and words of the user."""

import asyncio
import base64
import binascii
from collections.abc import Iterator

from ...audio import g711
from ..hearing import SpeechEnd, SpeechStart, Transcriber, TurnDetector
from ..parts import Recognizer, Vad
from .config import Format, SemanticVad, ServerVad
from .wire import WireError

_SLICE_MS = 20
_SHORTEST_COMMIT_MS = 100
_LONGEST_BUFFER_S = 600
_MAX_APPEND = 15 * 2**20


def rate_of(wire_format: Format) -> int:
    """Hz of a wire format."""
    return 24_000 if wire_format.type == "audio/pcm" else 8_000


def to_wire(pcm: bytes, wire_format: Format) -> bytes:
    """Mono s16le at the format's rate, as it is sent."""
    match wire_format.type:
        case "audio/pcmu":
            return g711.encode_mulaw(pcm)
        case "audio/pcma":
            return g711.encode_alaw(pcm)
        case _:
            return pcm


class Ears:
    """Hears one session. Positions are ms of audio received since its beginning.

    Args:
        vad: Judges frames.
        recognizer: Writes the turns down.
        wire_format: Of the audio that is appended.
        turns: How turns are found; None: only `commit` ends one.
        start_ms: Position at which these ears begin to hear.
    """

    def __init__(
        self,
        vad: Vad,
        recognizer: Recognizer,
        wire_format: Format,
        turns: ServerVad | SemanticVad | None,
        *,
        start_ms: int = 0,
    ) -> None:
        self._vad = vad
        self._format = wire_format
        self._rate = rate_of(wire_format)
        self._transcriber = Transcriber(recognizer, self._rate)
        self._half = b""
        self._buffer = bytearray()
        self._received = start_ms * self._rate // 1000
        self._detector: TurnDetector | None = None
        self._turns: ServerVad | SemanticVad | None = None
        self._fed = False
        self.configure(turns)

    @property
    def position_ms(self) -> int:
        """How much audio was received."""
        return self._received * 1000 // self._rate

    @property
    def speaking(self) -> bool:
        """Whether the user is speaking; without turn detection nobody knows: False."""
        return self._detector is not None and self._detector.speaking

    def configure(self, turns: ServerVad | SemanticVad | None) -> None:
        """Find turns in another way from now on."""
        if turns == self._turns:
            return
        if self._fed:
            self._transcriber.abandon()
        self._turns = turns
        self._detector = None
        self._buffer.clear()
        self._fed = False
        if turns is not None:
            self._detector = TurnDetector(
                self._vad,
                self._rate,
                threshold=turns.threshold,
                prefix_padding_ms=turns.prefix_padding_ms,
                silence_duration_ms=turns.silence_duration_ms,
                start_ms=self.position_ms,
            )

    def decode(self, audio: str) -> bytes:
        """Base64 from the wire as mono s16le; half a sample waits for its other half.

        Raises:
            WireError: If it is not base64, or too much.
        """
        if len(audio) > _MAX_APPEND:
            raise WireError("invalid_value", "Audio of one event exceeds 15 MiB.", "audio")
        try:
            data = base64.b64decode(audio, validate=True)
        except (binascii.Error, ValueError):
            raise WireError(
                "invalid_value", "Invalid 'audio'. Expected base64-encoded audio bytes.", "audio"
            ) from None
        match self._format.type:
            case "audio/pcmu":
                return g711.decode_mulaw(data)
            case "audio/pcma":
                return g711.decode_alaw(data)
            case _:
                data = self._half + data
                whole = len(data) // 2 * 2
                self._half = data[whole:]
                return data[:whole]

    def hear(self, pcm: bytes) -> Iterator[SpeechStart | SpeechEnd]:
        """Hear decoded audio. After a `SpeechEnd`, call `take` before going on."""
        size = self._rate * _SLICE_MS // 1000 * 2
        for start in range(0, len(pcm), size):
            piece = pcm[start : start + size]
            self._received += len(piece) // 2
            if self._detector is None:
                self._buffer += piece
                del self._buffer[: max(0, len(self._buffer) - _LONGEST_BUFFER_S * self._rate * 2)]
                self._feed(piece)
                continue
            events = self._detector.push(piece)
            if self._fed:
                self._feed(piece)
            elif self._detector.speaking:
                self._feed(self._detector.utterance)
            yield from events

    def require_audio(self) -> None:
        """Check that there is enough for a commit.

        Raises:
            WireError: If less than 100 ms of audio wait.
        """
        waiting_ms = len(self._open_turn) * 500 / self._rate
        if waiting_ms < _SHORTEST_COMMIT_MS:
            raise WireError(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{_SHORTEST_COMMIT_MS}ms of audio, but buffer only has {waiting_ms:.2f}ms of "
                "audio.",
            )

    def take(self) -> tuple[bytes, asyncio.Future[str]]:
        """End the open turn: its audio in the wire's format, and its words to come."""
        pcm = self._open_turn
        if not self._fed:
            self._feed(pcm)
        self._forget()
        return to_wire(pcm, self._format), self._transcriber.end()

    def clear(self) -> None:
        """Forget the open turn."""
        self._forget()
        self._transcriber.abandon()

    def replace(self, recognizer: Recognizer) -> Transcriber:
        """Let another recognizer write, from the beginning of the open turn on.

        Returns:
            The old one, which may still owe words: `finish` it.
        """
        old, self._transcriber = self._transcriber, Transcriber(recognizer, self._rate)
        if self._fed:
            old.abandon()
            self._transcriber.feed(self._open_turn)
        return old

    async def finish(self) -> None:
        """End, after the words that are still owed."""
        await self._transcriber.finish()

    async def close(self) -> None:
        """End at once; words that are still owed are cancelled."""
        await self._transcriber.close()

    @property
    def _open_turn(self) -> bytes:
        return self._detector.utterance if self._detector else bytes(self._buffer)

    def _feed(self, pcm: bytes) -> None:
        self._transcriber.feed(pcm)
        self._fed = True

    def _forget(self) -> None:
        self._buffer.clear()
        self._fed = False
        if self._detector:
            self._detector.reset()
