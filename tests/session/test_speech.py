import numpy as np

from realtime_facade.audio.playback import Playback
from realtime_facade.config import RealtimeConfig
from realtime_facade.events import AudioChunk, TranscriptDelta
from realtime_facade.session.speech import Speech

LOUD = np.full(24 * 100, 3_000, "<i2").tobytes()
QUIET = bytes(48 * 100)


def speech(**config) -> tuple[Speech, Playback]:
    settings = RealtimeConfig(**config)
    playback = Playback(settings.output_rate)
    return Speech(settings, playback, release=lambda _: None, call_later=lambda *_: None), playback


def chunk(data: bytes, *, final: bool = False) -> AudioChunk:
    return AudioChunk(data=data, item_id="a", response_id="r", is_final=final)


def test_a_chunk_that_is_right_passes_untouched():
    path, playback = speech()
    given = chunk(LOUD)
    assert path.sound(given) is given
    assert playback.pending_ms > 0


def test_leading_silence_is_counted_and_not_played():
    path, playback = speech(skip_leading_silence=True)
    assert path.sound(chunk(QUIET)) is None
    heard = path.sound(chunk(LOUD))
    assert heard is not None
    assert heard.duration_ms == 140, "40 ms are kept before the first sound"
    assert playback.skipped_ms == 60
    assert path.sound(chunk(QUIET)) == chunk(QUIET)


def test_the_end_of_an_item_is_told_even_if_nothing_sounds():
    path, _ = speech()
    end = path.sound(chunk(b"", final=True))
    assert end is not None
    assert end.is_final


def test_what_was_under_way_is_forgotten_by_a_cut():
    path, _ = speech(output_rate=16_000, skip_leading_silence=True)
    path.sound(chunk(LOUD))
    path.cut()
    assert path.sound(chunk(QUIET)) is None, "a new item begins with its silence again"


def test_captions_wait_only_where_it_was_asked_for():
    delta = TranscriptDelta(text="x", item_id="a")
    users = TranscriptDelta(text="x", item_id="u", speaker="user")
    assert not speech()[0].caption(delta)
    path, _ = speech(captions="heard")
    assert path.caption(delta)
    assert not path.caption(users)
    assert not speech(captions="heard", modalities=("text",))[0].caption(delta)
