"""Files of every accepted shape and of many others; disks that are full; programs that die."""

import os
import struct
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_facade.audio.pcm import samples
from realtime_facade.audio.wav import WavWriter, interleave, read_wav
from realtime_facade.errors import (
    AudioFormatError,
    ConfigurationError,
    MissingExtra,
    RealtimeError,
)

soundfile = pytest.importorskip("soundfile", reason="the extra 'audio' is not installed")

WAVEFORM = np.array([0.0, 0.5, -0.5, 0.25, -1.0, 0.125])
S16 = (WAVEFORM * 32768).astype("<i2").tobytes()


def read_back(path: Path) -> tuple[bytes, int, int]:
    with wave.open(str(path)) as file:
        return file.readframes(file.getnframes()), file.getframerate(), file.getnchannels()


# -- reading --


@pytest.mark.parametrize("rate", [8_000, 11_025, 24_000, 44_100, 192_000])
@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"])
def test_every_depth_and_rate_is_read_exactly(
    tmp_path: Path, subtype: str, container: str, rate: int
):
    path = tmp_path / "a.wav"
    soundfile.write(path, WAVEFORM, rate, subtype=subtype, format=container)
    assert read_wav(path) == (S16, rate)
    assert read_wav(str(path)) == (S16, rate)


def test_all_16_bit_values_survive(tmp_path: Path):
    every = np.arange(-32768, 32768).astype("<i2")
    soundfile.write(tmp_path / "a.wav", every, 24_000, subtype="PCM_16")
    assert read_wav(tmp_path / "a.wav")[0] == every.tobytes()


def test_stereo_is_mixed_down(tmp_path: Path):
    stereo = np.array([[1000, 3000], [30_000, 32_000], [-7, 7]], "<i2")
    soundfile.write(tmp_path / "a.wav", stereo, 24_000, subtype="PCM_16")
    assert samples(read_wav(tmp_path / "a.wav")[0]).tolist() == [2000, 31_000, 0]


def test_float_beyond_full_scale_is_clipped(tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", np.array([1.5, -3.0]), 24_000, subtype="FLOAT")
    assert samples(read_wav(tmp_path / "a.wav")[0]).tolist() == [32767, -32768]


def test_a_file_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(100), 24_000, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:-50])
    assert read_wav(path) == (bytes(150), 24_000)


def test_the_name_does_not_matter(tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", WAVEFORM, 24_000)
    (tmp_path / "a.wav").rename(tmp_path / "a.raw")
    assert read_wav(tmp_path / "a.raw") == (S16, 24_000)


def refused(path: Path, reason: str) -> None:
    with pytest.raises(AudioFormatError, match=reason) as caught:
        read_wav(path)
    assert path.name in str(caught.value)


def test_what_is_not_there_or_not_a_file_is_refused(tmp_path: Path):
    refused(tmp_path / "nowhere.wav", "No such file")
    refused(tmp_path, "directory")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "is an empty file"),
        (b"hello, world", "something unknown, not a WAV file"),
        (b"RIFF\x04\0\0\0AVI ", "something unknown, not a WAV file"),
        (b"OggS" + bytes(40), "an Ogg file"),
        (b"fLaC" + bytes(40), "a FLAC file"),
        (b"ID3" + bytes(40), "an MP3 file"),
        (b"RIFF\xff\0\0\0WAVE", "damaged WAV"),
        (b"RIFF\xff\0\0\0WAVEfmt \x10\0\0\0" + bytes(30), "damaged WAV"),
    ],
)
def test_what_is_not_a_wav_is_refused_by_its_kind(tmp_path: Path, content: bytes, kind: str):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    refused(path, kind)


@pytest.mark.parametrize("subtype", ["ULAW", "ALAW", "IMA_ADPCM", "DOUBLE"])
def test_other_codings_are_refused_with_what_is_accepted(tmp_path: Path, subtype: str):
    soundfile.write(tmp_path / "a.wav", WAVEFORM, 24_000, subtype=subtype)
    refused(tmp_path / "a.wav", rf"1 channel.*{subtype}.*mono or stereo")


def test_more_than_two_channels_are_refused(tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", np.zeros((9, 6)), 24_000)
    refused(tmp_path / "a.wav", "6 channel")


def test_a_wav_without_sound_is_refused(tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 24_000)
    refused(tmp_path / "a.wav", "without any sound")


def test_float_that_is_no_number_is_refused_by_name(tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", np.array([0.0, np.nan]), 24_000, subtype="FLOAT")
    refused(tmp_path / "a.wav", "finite")


@pytest.mark.parametrize(
    ("failure", "error", "advice"),
    [
        (ImportError("no soundfile"), MissingExtra, r"realtime-facade\[audio\]"),
        (OSError("sndfile library not found"), ConfigurationError, "libsndfile1"),
    ],
)
def test_a_missing_library_is_named(tmp_path, monkeypatch, failure, error, advice):
    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == "soundfile":
                raise failure

    soundfile.write(tmp_path / "a.wav", WAVEFORM, 24_000)
    monkeypatch.delitem(sys.modules, "soundfile")
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(error, match=advice):
        read_wav(tmp_path / "a.wav")


# -- writing --


def test_the_file_is_whole_after_every_write(tmp_path: Path):
    path = tmp_path / "new" / "folder" / "a.wav"
    with WavWriter(path, 24_000, 2) as writer:
        assert read_back(path) == (b"", 24_000, 2)
        for count in (1, 2, 3):
            writer.write(bytes(range(4)))
            assert read_back(path) == (bytes(range(4)) * count, 24_000, 2)
        writer.write(b"")
        assert writer.duration_ms == 3 / 24
    assert read_back(path) == (bytes(range(4)) * 3, 24_000, 2)
    assert soundfile.info(path).frames == 3


def test_what_was_written_is_what_is_read(tmp_path: Path):
    with WavWriter(tmp_path / "a.wav", 16_000) as writer:
        writer.write(S16)
    assert read_wav(tmp_path / "a.wav") == (S16, 16_000)


def test_an_old_file_is_replaced(tmp_path: Path):
    path = tmp_path / "a.wav"
    path.write_bytes(bytes(9_999))
    WavWriter(path, 24_000).close()
    assert read_back(path) == (b"", 24_000, 1)
    assert path.stat().st_size == 44


def test_half_a_frame_is_refused_and_changes_nothing(tmp_path: Path):
    with WavWriter(tmp_path / "a.wav", 24_000, 2) as writer:
        with pytest.raises(AudioFormatError, match="frames of 4 bytes"):
            writer.write(bytes(6))
        assert read_back(writer.path)[0] == b""


@pytest.mark.parametrize(("rate", "channels"), [(0, 1), (24_000, 0), (24_000, 3)])
def test_impossible_shapes_are_refused_before_a_file_is_made(tmp_path, rate, channels):
    with pytest.raises(AudioFormatError, match="1 or 2 channels"):
        WavWriter(tmp_path / "a.wav", rate, channels)
    assert not any(tmp_path.iterdir())


def test_closing_twice_is_harmless_and_writing_afterwards_is_an_error(tmp_path: Path):
    writer = WavWriter(tmp_path / "a.wav", 24_000)
    writer.close()
    writer.close()
    with pytest.raises(RealtimeError, match="already closed") as caught:
        writer.write(bytes(2))
    assert caught.value.cause == "application"


def test_a_place_where_no_file_can_be_is_a_device_error(tmp_path: Path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "a.wav"):
        with pytest.raises(RealtimeError, match="cannot write") as caught:
            WavWriter(path, 24_000)
        assert caught.value.cause == "device"
        assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_without_any_room_is_a_device_error():
    with pytest.raises(RealtimeError, match="No space left") as caught:
        WavWriter("/dev/full", 24_000)
    assert caught.value.cause == "device"
    assert caught.value.retryable


def test_a_disk_that_fills_up_keeps_what_it_could_take(tmp_path: Path):
    pytest.importorskip("resource", reason="the limit on file sizes is a thing of Unix")
    code = """
import resource, sys
from realtime_facade.audio.wav import WavWriter
from realtime_facade.errors import RealtimeError
writer = WavWriter(sys.argv[1], 24_000, 2)
writer.write(b"abcd" * 10)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (44 + 40 + 4 * 5 + 3, hard))
for _ in range(2):
    try:
        writer.write(b"efgh" * 10)
    except RealtimeError as error:
        print(error.cause, writer.duration_ms * 24)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
writer.write(b"ijkl")
writer.close()
"""
    path = tmp_path / "a.wav"
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["device", "15.0"] * 2
    assert read_back(path)[0] == b"abcd" * 10 + b"efgh" * 5 + b"ijkl"


def test_a_program_that_is_killed_leaves_a_playable_file(tmp_path: Path):
    code = """
import os, signal, sys
from realtime_facade.audio.wav import WavWriter
writer = WavWriter(sys.argv[1], 24_000)
writer.write(b"ab" * 100)
os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
"""
    path = tmp_path / "a.wav"
    done = subprocess.run([sys.executable, "-c", code, path], check=False)
    assert done.returncode != 0
    assert read_back(path)[0] == b"ab" * 100


def test_a_file_at_its_formats_limit_is_a_device_error(tmp_path, monkeypatch):
    monkeypatch.setattr(WavWriter, "_MAX_BYTES", 8)
    with WavWriter(tmp_path / "a.wav", 24_000) as writer:
        writer.write(bytes(8))
        with pytest.raises(RealtimeError, match=r"4 GiB.*another file") as caught:
            writer.write(bytes(2))
        assert caught.value.cause == "device"
    assert read_back(writer.path)[0] == bytes(8)


def test_the_header_has_room_for_the_greatest_length():
    riff_size = WavWriter._HEADER.size - 8 + WavWriter._MAX_BYTES
    assert struct.pack("<I", riff_size)


@given(
    st.lists(st.integers(-32768, 32767), max_size=20),
    st.lists(st.integers(-32768, 32767), max_size=20),
)
def test_interleave_alternates_and_pads_the_shorter(left: list[int], right: list[int]):
    def pack(numbers: list[int]) -> bytes:
        return struct.pack(f"<{len(numbers)}h", *numbers)

    stereo = samples(interleave(pack(left), pack(right))).tolist()
    length = max(len(left), len(right))
    assert stereo[::2] == left + [0] * (length - len(left))
    assert stereo[1::2] == right + [0] * (length - len(right))


def test_interleave_refuses_half_a_sample():
    with pytest.raises(AudioFormatError):
        interleave(bytes(3), bytes(2))


def test_a_path_object_and_a_string_name_the_same_file(tmp_path: Path):
    with WavWriter(os.fspath(tmp_path / "a.wav"), 24_000) as writer:
        assert writer.path == tmp_path / "a.wav"
