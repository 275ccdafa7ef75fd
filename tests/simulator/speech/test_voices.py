import asyncio
import contextlib
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest

from realtime_facade.errors import ConfigurationError, MissingExtra, RealtimeError
from realtime_facade.simulator.babble import BabbleVoice
from realtime_facade.simulator.parts import Voice
from realtime_facade.simulator.speech.voices import EspeakVoice, FliteVoice, find_voice

TEXT = "The weather in Paris is sunny."


async def spoken(voice: Voice, text: str = TEXT) -> list[bytes]:
    return [chunk async for chunk in voice.speak(text)]


def program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture(params=["espeak-ng:en-us", "flite:slt", "espeak:en-us", "babble"])
def voice(request: pytest.FixtureRequest) -> Voice:
    try:
        return find_voice(request.param)
    except ConfigurationError as missing:
        pytest.skip(str(missing))


async def test_a_text_becomes_sound(voice: Voice):
    chunks = await spoken(voice)
    assert all(len(chunk) % 2 == 0 and chunk for chunk in chunks)
    samples = np.frombuffer(b"".join(chunks), dtype="<i2")
    assert 1.0 < len(samples) / voice.sample_rate < 4.0
    assert np.abs(samples).max() > 1_000


async def test_a_text_that_looks_like_an_option_is_only_a_text(voice: Voice):
    assert sum(map(len, await spoken(voice, "-h --version"))) > 1_000


async def test_nothing_to_say_is_silence(voice: Voice):
    assert await spoken(voice, " \n") == []


async def test_a_long_text_can_be_cut(voice: Voice):
    async with contextlib.aclosing(voice.speak(TEXT * 40)) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            assert chunk
            break


async def test_speaking_can_be_cancelled(voice: Voice):
    task = asyncio.create_task(spoken(voice, TEXT * 200))
    await asyncio.sleep(0.02)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("engine", ["espeak-ng", "flite"])
async def test_faster_is_shorter(engine: str):
    if shutil.which(engine) is None:
        pytest.skip(f"{engine} is not installed")
    normal = sum(map(len, await spoken(find_voice(engine))))
    faster = sum(map(len, await spoken(find_voice(engine, speed=1.5))))
    assert faster < normal * 0.8


@pytest.mark.parametrize("kind", [EspeakVoice, FliteVoice])
@pytest.mark.parametrize(
    ("script", "message"), [("exit 3", "ended with code 3"), (None, "could not be started")]
)
async def test_a_failing_program_is_an_error(
    tmp_path: Path, kind: type[EspeakVoice] | type[FliteVoice], script: str | None, message: str
):
    path = tmp_path / "synthesizer"
    with pytest.raises(RealtimeError, match=message):
        await spoken(kind(program=program(path, script) if script else str(path)))


async def test_a_program_that_writes_nothing_is_an_error(tmp_path: Path):
    with pytest.raises(RealtimeError, match="wrote no speech"):
        await spoken(FliteVoice(program=program(tmp_path / "flite", "exit 0")))


async def test_odd_pieces_are_joined_to_whole_samples(tmp_path: Path):
    script = (
        "cat >/dev/null; head -c 44 /dev/zero; for i in 1 2 3 4; do printf abc; sleep 0.02; done"
    )
    chunks = await spoken(EspeakVoice(program=program(tmp_path / "espeak-ng", script)))
    assert b"".join(chunks) == b"abcabcabcabc"
    assert all(len(chunk) % 2 == 0 for chunk in chunks)


def test_a_name_always_gets_the_same_voice():
    first, second = find_voice("marin"), find_voice("marin")
    assert vars(first) == vars(second)


def test_an_engine_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ConfigurationError, match="'flite' is not installed"):
        find_voice("flite:slt")


def test_the_next_engine_serves_where_one_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.which", lambda name: name if name == "flite" else None)
    assert isinstance(find_voice("marin"), FliteVoice)
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("realtime_facade.simulator.speech.voices.find_spec", lambda name: None)
    assert isinstance(find_voice("marin"), BabbleVoice)


def test_the_library_is_an_extra(monkeypatch: pytest.MonkeyPatch):
    from realtime_facade.simulator.speech import espeak_library

    monkeypatch.setattr(espeak_library, "_library", None)
    monkeypatch.setitem(__import__("sys").modules, "espeakng_loader", None)
    with pytest.raises(MissingExtra, match=r"realtime-facade\[espeak\]"):
        espeak_library.EspeakLibraryVoice()
