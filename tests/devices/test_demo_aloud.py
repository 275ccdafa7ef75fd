"""The demo can be heard: both sides come out of the loudspeaker."""

import numpy as np
import pytest

from realtime_facade.audio.resample import resample
from realtime_facade.cli import demo
from realtime_facade.providers.openai import OpenAIProvider
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

pytestmark = pytest.mark.sound


class Silent:
    """Shows nothing."""

    def __getattr__(self, name: str):
        return lambda *_: None


async def test_both_sides_are_heard(sound_server, tmp_path):
    scenario = Scenario.parse(
        '[[turns]]\nheard = "what time is it"\nsteps = [{ say = "It is noon by now." }]'
    )
    question = demo.bundled_questions()[0]
    with sound_server.recorder() as recorder:
        async with Simulator(scenario=scenario) as server:
            summary = await demo.run(
                [question],
                OpenAIProvider(api_key="x", base_url=server.openai_url),
                out=tmp_path / "talk.wav",
                show=Silent(),
                aloud=True,
            )
        recorded = recorder.pcm
    assert summary["turns"][0]["assistant"] == "It is noon by now."
    score, start = sound_server.similarity(recorded, resample(question.pcm, 24_000, 48_000))
    assert score > 0.95
    after = np.frombuffer(recorded, "<i2")[start + len(question.pcm) :]
    assert np.abs(after.astype(int)).max() > 1_000, "no answer was heard"
