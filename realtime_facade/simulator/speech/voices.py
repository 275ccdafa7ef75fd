"""Gives the assistant a voice: whichever synthesizer is installed, else one that babbles."""

import asyncio
import contextlib
import shutil
import tempfile
import wave
import zlib
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from ...errors import ConfigurationError, RealtimeError
from ..babble import BabbleVoice
from ..parts import Voice

_ENGINES = frozenset({"espeak-ng", "flite", "espeak", "babble"})
_WAV_HEADER = 44
"""Bytes; the length in it is a placeholder, since the program writes before it knows."""
_CHUNK = 4_410
_ESPEAK_HZ = 22_050
_WORDS_PER_MINUTE = 165
_VARIANTS = ("en-us", "en-us+f3", "en-us+m3", "en-gb", "en-us+f2", "en-gb+f3", "en-us+m7")
_FLITE_VOICES = ("slt", "rms", "awb", "kal16")
_WOMEN = frozenset(
    {"marin", "alloy", "coral", "sage", "shimmer", "nova", "ballad", "kore", "aoede", "leda"}
    | {"zephyr", "callirrhoe", "autonoe", "despina", "erinome", "laomedeia", "sulafat"}
)
_MEN = frozenset(
    {"cedar", "ash", "echo", "onyx", "verse", "fable", "puck", "charon", "fenrir", "orus"}
    | {"enceladus", "iapetus", "umbriel", "algieba", "algenib", "rasalgethi", "alnilam"}
)


class EspeakVoice:
    """Runs the program `espeak-ng` for each text. First audio after about 11 ms.

    Args:
        variant: A voice of that program, such as `en-us+f3`.
        speed: 1.0 is 165 words a minute.
        program: Where it is.
    """

    sample_rate: int = _ESPEAK_HZ

    def __init__(
        self, variant: str = "en-us", *, speed: float = 1.0, program: str = "espeak-ng"
    ) -> None:
        rate = str(round(_WORDS_PER_MINUTE * speed))
        self._command = (program, "-v", variant, "-s", rate, "-b", "1", "--stdin", "--stdout")

    async def speak(self, text: str) -> AsyncIterator[bytes]:
        """Yield mono s16le as it is synthesized; closing the iterator ends the program.

        Raises:
            RealtimeError: If the program is missing or fails.
        """
        if not text.strip():
            return
        async with _running(self._command, text.encode()) as process:
            if process.stdout is None:
                raise RealtimeError("espeak-ng was started without a pipe")
            waiting = bytearray()
            skipped = False
            while data := await process.stdout.read(_CHUNK):
                waiting += data
                if not skipped and len(waiting) >= _WAV_HEADER:
                    del waiting[:_WAV_HEADER]
                    skipped = True
                whole = len(waiting) // 2 * 2
                if skipped and whole:
                    yield bytes(waiting[:whole])
                    del waiting[:whole]


class FliteVoice:
    """Runs the program `flite` for each text: all of it is synthesized before the first audio.

    Args:
        variant: One of its 16 kHz voices: `slt`, `rms`, `awb` or `kal16`.
        speed: 1.0 is the voice's own.
        program: Where it is.
    """

    sample_rate: int = 16_000

    def __init__(self, variant: str = "slt", *, speed: float = 1.0, program: str = "flite") -> None:
        stretch = f"duration_stretch={1 / speed:.3f}"
        self._command = (program, "-voice", variant, "--setf", stretch)

    async def speak(self, text: str) -> AsyncIterator[bytes]:
        """Yield mono s16le; closing the iterator ends the program.

        Raises:
            RealtimeError: If the program is missing or fails.
        """
        if not text.strip():
            return
        with tempfile.TemporaryDirectory() as folder:
            # Writing to /dev/stdout hangs, and a text on the command line may look like an option.
            said, spoken = Path(folder) / "text.txt", Path(folder) / "speech.wav"
            said.write_text(text, encoding="utf-8")
            async with _running((*self._command, "-f", str(said), "-o", str(spoken))):
                pass
            pcm, self.sample_rate = await asyncio.to_thread(_read, spoken)
        for start in range(0, len(pcm), _CHUNK // 2 * 2):
            yield pcm[start : start + _CHUNK // 2 * 2]


def find_voice(name: str | None = None, *, speed: float = 1.0) -> Voice:
    """The best voice there is: `espeak-ng`, `flite`, the extra `espeak`, or a babble.

    Args:
        name: A provider's voice, which gets a similar one here, always the same; or an engine and
            its voice, such as `flite:slt`, `espeak-ng:en-gb+f2`, `espeak:en-us` or `babble`.
        speed: Where the engine can; 1.0 is normal.

    Raises:
        ConfigurationError: If an engine is named that is not there.
    """
    engine, _, variant = (name or "").partition(":")
    if engine not in _ENGINES:
        engine = variant = ""
    engines: dict[str, Callable[[], Voice | None]] = {
        "espeak-ng": lambda: _espeak(variant or _alike(name, _VARIANTS), speed),
        "flite": lambda: _flite(variant or _alike(name, _FLITE_VOICES), speed),
        "espeak": lambda: _library(variant or _alike(name, _VARIANTS), speed),
        "babble": lambda: BabbleVoice(variant or name),
    }
    if engine:
        voice = engines[engine]()
        if voice is None:
            raise ConfigurationError(
                f"the synthesizer {engine!r} is not installed",
                advice="install it, or name no engine to get whichever there is",
            )
        return voice
    for make in engines.values():
        if (voice := make()) is not None:
            return voice
    return BabbleVoice(name)


def _espeak(variant: str, speed: float) -> Voice | None:
    program = shutil.which("espeak-ng")
    return EspeakVoice(variant, speed=speed, program=program) if program else None


def _flite(variant: str, speed: float) -> Voice | None:
    program = shutil.which("flite")
    return FliteVoice(variant, speed=speed, program=program) if program else None


def _library(variant: str, speed: float) -> Voice | None:
    if find_spec("espeakng_loader") is None:
        return None
    from .espeak_library import EspeakLibraryVoice

    return EspeakLibraryVoice(variant, speed=speed)


def _alike(name: str | None, variants: Sequence[str]) -> str:
    """A voice for a provider's name: of the same sex where known, and always the same one."""
    wanted = (name or "").lower()
    if not wanted:
        return variants[0]
    women = [v for v in variants if "+f" in v or v == "slt"]
    fitting = women if wanted in _WOMEN else [v for v in variants if v not in women]
    if wanted not in _WOMEN | _MEN:
        fitting = list(variants)
    return fitting[zlib.crc32(wanted.encode()) % len(fitting)]


@contextlib.asynccontextmanager
async def _running(command: Sequence[str], stdin: bytes = b"") -> AsyncIterator[Process]:
    """A program that got `stdin`. Leaving early kills it, and it is always waited for.

    Raises:
        RealtimeError: If it cannot be started, or ends with an error.
    """
    name = Path(command[0]).name
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
        )
    except OSError as error:
        raise RealtimeError(
            f"the synthesizer {name} could not be started: {error}", cause="configuration"
        ) from error
    try:
        if process.stdin is not None:
            process.stdin.write(stdin)
            process.stdin.close()
        yield process
        code = await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            # What it has written already must be read, or its pipe is never closed.
            if process.stdout is not None:
                await process.stdout.read()
            await process.wait()
    if code:
        raise RealtimeError(f"the synthesizer {name} ended with code {code}", code=str(code))


def _read(path: Path) -> tuple[bytes, int]:
    try:
        with wave.open(str(path), "rb") as file:
            return file.readframes(file.getnframes()), file.getframerate()
    except (OSError, EOFError, wave.Error) as error:
        raise RealtimeError(f"the synthesizer flite wrote no speech: {error}") from error
