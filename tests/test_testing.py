"""The pytest plugin, as a project that uses it sees it: in a pytest of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SCENARIO = """
otherwise = "Hello!"
[[turns]]
when = "weather"
steps = [{ call = "get_weather", arguments = { city = "Paris" } }, { say = "{output}" }]
"""
CODE = """
import os
import pytest
from realtime_facade import RealtimeConfig, RealtimeVoice, TranscriptDelta, ToolCallRequest

def get_weather(city: str) -> str:
    return f"Sunny in {city}."

async def ask(voice, text):
    async with voice.connect() as session:
        stream = session.events()
        await session.send_text(text)
        async for event in stream:
            if isinstance(event, TranscriptDelta) and event.is_final:
                return event.full_text
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    scope = "asyncio_default_fixture_loop_scope = function"
    pytester.makeini(f"[pytest]\nasyncio_mode = auto\n{scope}\nfilterwarnings = error\n")
    pytester.path.joinpath("weather.toml").write_text(SCENARIO)
    return pytester


def run(project: pytest.Pytester, code: str, **outcomes: int) -> pytest.RunResult:
    project.makepyfile(CODE + code)
    result = project.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(**outcomes)
    return result


def test_a_simulator_in_one_line(project: pytest.Pytester):
    run(
        project,
        """
@pytest.mark.parametrize("realtime_provider", ["openai", "gemini"])
async def test_weather(realtime_voice, realtime_provider):
    voice = realtime_voice("weather.toml", RealtimeConfig(tools=[get_weather]))
    assert voice.provider_name == realtime_provider
    assert await ask(voice, "the weather?") == "Sunny in Paris."

async def test_application_code_that_chooses_by_the_environment(simulator):
    server = simulator('otherwise = "Hello!"', wires=["gemini"])
    assert await ask(RealtimeVoice(), "hi") == "Hello!"
    assert RealtimeVoice().provider_name == "gemini"
    assert server.sessions_started == 1

def test_without_async(simulator):
    assert simulator().openai_url == os.environ["OPENAI_BASE_URL"]
    assert RealtimeVoice().provider_name == "openai"

async def test_faults(realtime_voice):
    from realtime_facade.simulator.faults import ErrorFault
    voice = realtime_voice(faults=[ErrorFault(message="no luck")])
    errors = []
    voice.on_error(lambda error: errors.append(error))
    await ask(voice, "hi")
    assert "no luck" in str(errors[0])

def test_the_environment_is_as_before():
    assert "OPENAI_BASE_URL" not in os.environ
""",
        passed=6,
    )


def test_a_cassette_in_one_line(project: pytest.Pytester):
    result = run(
        project,
        """
@pytest.mark.parametrize("realtime_provider", ["openai", "gemini"])
async def test_record(realtime_voice, realtime_provider):
    config = RealtimeConfig(tools=[get_weather])
    voice = realtime_voice("weather.toml", config, record_to=f"{realtime_provider}.jsonl")
    assert await ask(voice, "the weather?") == "Sunny in Paris."

@pytest.mark.parametrize("name", ["openai", "gemini"])
async def test_replay(cassette, name):
    voice = cassette(f"{name}.jsonl", RealtimeConfig(tools=[get_weather]))
    assert await ask(voice, "the weather?") == "Sunny in Paris."

async def test_the_application_does_something_else(cassette):
    voice = cassette("openai.jsonl", patience_s=0.2)
    async with voice.connect() as session:
        await session.wait_closed()

async def test_no_cassette(cassette):
    with pytest.raises(ValueError, match="nowhere.jsonl cannot be read"):
        cassette("nowhere.jsonl")
""",
        passed=6,
        errors=1,
    )
    expected = r".*openai\.jsonl, line \d+: .*message. was recorded, nothing came"
    result.stdout.re_match_lines([expected])


def test_fixtures_are_listed_with_what_they_are_for(project: pytest.Pytester):
    result = project.runpytest_subprocess("--fixtures", "-p", "no:cacheprovider")
    for name in ("simulator", "realtime_voice", "cassette", "realtime_provider"):
        result.stdout.re_match_lines([rf"{name}.*realtime_facade/testing\.py.*"])
    assert "no docstring" not in result.stdout.str().split("testing.py")[1][:80]


def test_the_plugin_costs_nothing_before_it_is_used(tmp_path: Path):
    heavy = ["google.genai", "numpy", "openai", "pydantic", "sounddevice", "soxr", "websockets"]
    code = f"import sys, realtime_facade.testing; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
