import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from realtime_facade.audio.resample import resample
from realtime_facade.audio.wav import WavWriter, read_wav
from realtime_facade.cli.commands import app
from realtime_facade.cli.demo import (
    RATE,
    Question,
    bundled_questions,
    read_questions,
    run,
)
from realtime_facade.cli.show import JsonShow
from realtime_facade.errors import RealtimeError
from realtime_facade.providers.local import LocalProvider
from realtime_facade.providers.openai import OpenAIProvider
from realtime_facade.simulator.babble import BabbleVoice
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

SCENARIO = Scenario.parse("""
[[turns]]
heard = "weather please"
steps = [
  { call = "get_weather", arguments = { city = "Paris" } },
  { say = "{output} And here is a lot more about the weather than anybody would want to hear." },
]

[[turns]]
heard = "stop"
steps = [{ say = "All right." }]
""")


async def speech(text: str) -> bytes:
    voice = BabbleVoice()
    pcm = b"".join([chunk async for chunk in voice.speak(text)])
    return resample(bytes(voice.sample_rate // 2) + pcm, voice.sample_rate, RATE)


@pytest.mark.parametrize("wire", ["openai", "gemini"])
async def test_a_conversation_with_a_tool_and_a_cut_in(wire, tmp_path: Path):
    lines: list[str] = []
    out = tmp_path / "talk.wav"
    questions = [
        Question("first", await speech("weather please")),
        Question("second", await speech("stop"), cuts_in=True),
    ]
    provider = LocalProvider(wire=wire, parts=SCENARIO.parts())

    summary = await run(questions, provider, out=out, show=JsonShow(lines.append))

    first, second = summary["turns"]
    assert (first["user"], second["user"]) == ("weather please", "stop")
    assert (first["interrupted"], second["interrupted"]) == (True, False)
    assert first["assistant"].startswith("In Paris it is sunny")
    assert not first["assistant"].endswith("hear.")
    assert 1_000 < first["heard_ms"] < 4_000
    assert second["assistant"] == "All right."
    assert summary["tool_calls"] == [
        {"function_name": "get_weather", "arguments": {"city": "Paris"}}
    ]
    latencies = summary["latency_ms"]
    assert len(latencies["speech_end_to_first_audio"]) == 2
    assert len(latencies["speech_start_to_silence"]) == 1
    assert 0 < latencies["speech_start_to_silence"][0] < 1_500

    last = json.loads(lines[-1])
    assert last == {"type": "summary", **summary}
    chunks = [json.loads(line) for line in lines if '"audio"' in line]
    assert any(chunk["type"] == "audio" and chunk["data_bytes"] for chunk in chunks)

    mono, rate = read_wav(out)
    heard_ms = first["heard_ms"] + second["heard_ms"]
    assert rate == RATE
    assert len(mono) / 2 / rate * 1000 > heard_ms


async def test_silence_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("realtime_facade.cli.demo.ANSWER_TIMEOUT_S", 0.5)
    provider = LocalProvider(parts=SCENARIO.parts())
    with pytest.raises(RealtimeError, match=r"no answer to quiet\.wav within 0\.5 s"):
        await run(
            [Question("quiet.wav", bytes(4_800))], provider, out=None, show=JsonShow(lambda _: None)
        )


async def test_a_lost_session_ends_the_demo():
    lost = Scenario.parse("""
faults = [{ kind = "close", turn = 1, code = 1011, reason = "simulated" }]
[[turns]]
heard = "hello"
steps = [{ say = "Hello." }]
""")
    question = Question("hello", await speech("hello"))
    async with Simulator(scenario=lost) as simulator:
        provider = OpenAIProvider(api_key="any", base_url=simulator.openai_url)
        with pytest.raises(RealtimeError, match=r"the session ended: .*simulated"):
            await run([question], provider, out=None, show=JsonShow(lambda _: None))


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"OggS....", "an Ogg file"), (b"", "an empty file"), (None, "No such file")],
)
def test_an_input_that_is_no_wav_is_refused(tmp_path: Path, content: bytes | None, what: str):
    path = tmp_path / "question.wav"
    if content is not None:
        path.write_bytes(content)
    result = CliRunner().invoke(app, ["demo", "--input", str(path)])
    assert result.exit_code == 2
    assert "question.wav" in result.output.replace("\n", "")
    assert what in result.output.replace("\n", " ")


def test_stereo_of_any_rate_is_accepted(tmp_path: Path):
    path = tmp_path / "stereo.wav"
    with WavWriter(path, 44_100, 2) as wav:
        wav.write(b"\x10\x00\x20\x00" * 44_100)
    (question,) = read_questions([path])
    assert len(question.pcm) == RATE * 2


def test_the_last_bundled_question_cuts_in():
    questions = bundled_questions()
    assert len(questions) == 4
    assert [question.cuts_in for question in questions] == [False, False, False, True]
    assert all(len(question.pcm) > RATE for question in questions)
