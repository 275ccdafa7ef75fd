"""Against the C implementation of Python up to 3.12, and against the standard's own landmarks."""

import struct
import warnings
from types import ModuleType

import pytest

from realtime_facade.audio import g711
from realtime_facade.errors import AudioFormatError

EVERY_SAMPLE = struct.pack("<65536h", *range(-32768, 32768))
EVERY_CODE = bytes(range(256))


@pytest.fixture
def audioop() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return pytest.importorskip("audioop", reason="audioop left Python with 3.13")


def test_mulaw_is_audioops(audioop: ModuleType):
    assert g711.encode_mulaw(EVERY_SAMPLE) == audioop.lin2ulaw(EVERY_SAMPLE, 2)
    assert g711.decode_mulaw(EVERY_CODE) == audioop.ulaw2lin(EVERY_CODE, 2)


def test_alaw_is_audioops(audioop: ModuleType):
    assert g711.encode_alaw(EVERY_SAMPLE) == audioop.lin2alaw(EVERY_SAMPLE, 2)
    assert g711.decode_alaw(EVERY_CODE) == audioop.alaw2lin(EVERY_CODE, 2)


def test_silence_has_the_codes_that_telephones_know():
    assert g711.encode_mulaw(bytes(4)) == b"\xff\xff"
    assert g711.encode_alaw(bytes(4)) == b"\xd5\xd5"
    assert g711.decode_mulaw(b"\xff\x7f") == bytes(4)
    assert g711.decode_alaw(b"\xd5\x55") == struct.pack("<2h", 8, -8)


def test_full_scale_decodes_to_the_standards_maximum():
    assert g711.decode_mulaw(b"\x80\x00") == struct.pack("<2h", 32124, -32124)
    assert g711.decode_alaw(b"\xaa\x2a") == struct.pack("<2h", 32256, -32256)


@pytest.mark.parametrize(
    ("encode", "decode", "twins"),
    [
        # Mu-law has a negative zero, which encodes as the positive one.
        (g711.encode_mulaw, g711.decode_mulaw, {0x7F: 0xFF}),
        (g711.encode_alaw, g711.decode_alaw, {}),
    ],
)
def test_a_decoded_code_encodes_to_itself(encode, decode, twins):
    assert encode(decode(EVERY_CODE)) == bytes(twins.get(code, code) for code in EVERY_CODE)


@pytest.mark.parametrize("encode", [g711.encode_mulaw, g711.encode_alaw])
def test_half_a_sample_is_refused(encode):
    assert encode(b"") == b""
    with pytest.raises(AudioFormatError, match="16-bit"):
        encode(bytes(3))
