"""Speaks with the eSpeak NG library inside this process, for systems without its program.

The library is under the GNU GPL, version 3, and so is whatever is distributed with it loaded:
that is why it comes with an extra of its own (`espeak`) and is asked last.
"""

import asyncio
import ctypes
import threading
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any

from ...errors import MissingExtra, RealtimeError

_SYNCHRONOUS = 2
_BUFFER_MS = 60
_DONT_EXIT = 0x8000
_UTF8 = 1
_CHARACTERS = 1
_RATE = 1
_WORDS_PER_MINUTE = 165

_OnAudio = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class _Library:
    """The library keeps one voice and one utterance for the whole process: hence the lock."""

    def __init__(self) -> None:
        try:
            loader: Any = import_module("espeakng_loader")
        except ImportError as error:
            raise MissingExtra("speaking in this process", "espeak", "espeakng-loader") from error
        self.lock = threading.Lock()
        self._library: Any = ctypes.CDLL(loader.get_library_path())
        self._library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        data = str(loader.get_data_path()).encode()
        self.sample_rate: int = self._library.espeak_Initialize(
            _SYNCHRONOUS, _BUFFER_MS, data, _DONT_EXIT
        )
        if self.sample_rate <= 0:
            raise RealtimeError(f"eSpeak NG could not be initialized: {self.sample_rate}")

    def synthesize(self, text: str, variant: str, rate: int, stop: threading.Event) -> bytes:
        """The whole text as mono s16le, or what there was of it when `stop` was set."""
        parts: list[bytes] = []

        def on_audio(samples: Any, count: int, _events: Any) -> int:
            if samples and count > 0:
                parts.append(ctypes.string_at(samples, count * 2))
            return int(stop.is_set())

        callback = _OnAudio(on_audio)
        data = text.encode() + b"\0"
        with self.lock:
            self._library.espeak_SetSynthCallback(callback)
            if self._library.espeak_SetVoiceByName(variant.encode()):
                self._library.espeak_SetVoiceByName(variant.partition("+")[0].encode())
            self._library.espeak_SetParameter(_RATE, rate, 0)
            failed = self._library.espeak_Synth(
                data, len(data), 0, _CHARACTERS, 0, _UTF8, None, None
            )
        if failed:
            raise RealtimeError(f"eSpeak NG could not speak: {failed}", code=str(failed))
        return b"".join(parts)


_library: _Library | None = None
_first = threading.Lock()


def _the_library() -> _Library:
    global _library
    with _first:
        if _library is None:
            _library = _Library()
        return _library


class EspeakLibraryVoice:
    """Speaks without starting a program: about 1 ms for each second of speech, in a thread.

    Args:
        variant: Such as `en-us+f3`.
        speed: 1.0 is 165 words a minute.

    Raises:
        MissingExtra: If the extra `espeak` is not installed.
        RealtimeError: If the library cannot be used.
    """

    def __init__(self, variant: str = "en-us", *, speed: float = 1.0) -> None:
        self._variant = variant
        self._rate = round(_WORDS_PER_MINUTE * speed)
        self.sample_rate: int = _the_library().sample_rate

    async def speak(self, text: str) -> AsyncIterator[bytes]:
        """Yield mono s16le.

        Raises:
            RealtimeError: If the library fails.
        """
        if not text.strip():
            return
        stop = threading.Event()
        try:
            pcm = await asyncio.to_thread(
                _the_library().synthesize, text, self._variant, self._rate, stop
            )
        finally:
            stop.set()
        size = self.sample_rate // 10 * 2
        for start in range(0, len(pcm), size):
            yield pcm[start : start + size]
