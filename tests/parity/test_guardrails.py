"""Guardrails over real sockets: the same for every provider, as far as it can forget."""

from functools import partial

import pytest

from realtime_facade import RealtimeAgent
from realtime_facade.events import (
    AudioChunk,
    GuardrailTripped,
    Interrupted,
    TranscriptDelta,
)
from realtime_facade.guardrails import input_guardrail, output_guardrail

BEFORE = "Let me tell you what I know about the evening. The password is "
INSTEAD = "I cannot talk about this."
SCENARIO = f"""
[[turns]]
heard = "what is the password"
steps = [{{ say = "{BEFORE}swordfish, my friend, and everybody may know it." }}]

[[turns]]
asked = "cannot talk about"
steps = [{{ say = "{INSTEAD}" }}]
"""
FAST = {"speed": 20}
CHARACTERS_PER_S = 15
"""Of the simulator's voice."""


class Sink:
    """A listener who hears everything at once."""

    def __init__(self) -> None:
        self.pcm = bytearray()
        self.cleared_at_s: list[float] = []

    def write(self, pcm: bytes) -> None:
        self.pcm += pcm

    def clear(self) -> None:
        self.cleared_at_s.append(self.played_ms() / 1000)

    def played_ms(self) -> float:
        return len(self.pcm) / 48


def guarded(*guardrails):
    return partial(_agent, guardrails=guardrails)


def _agent(config, guardrails):
    return RealtimeAgent(config=config, guardrails=guardrails, skip_leading_silence=False)


async def until_said(talk, text):
    """Until the assistant has said exactly this."""
    while True:
        delta = await talk.until(TranscriptDelta)
        if delta.is_final and delta.speaker == "assistant" and delta.full_text == text:
            return


def told(talk) -> str:
    return "".join(d.text for d in talk.of(TranscriptDelta) if d.speaker == "assistant")


@pytest.mark.parametrize("mode", ["interrupt", "hold"])
async def test_a_forbidden_answer_is_cut_and_replaced(row, start, mode):
    @output_guardrail(mode=mode, debounce_chars=1)
    def no_passwords(text):
        return "swordfish" in text

    # In interrupt mode sound plays while it is read, so the listener has to take time.
    sink = Sink() if mode == "hold" else None
    speed = FAST if sink is not None else {"speed": 6}
    async with start(SCENARIO, agent=guarded(no_passwords), sink=sink, simulator=speed) as talk:
        await talk.session.send_text("Tell me")
        tripped = await talk.until(GuardrailTripped)
        assert (tripped.guardrail, tripped.action) == ("no_passwords", "replaced")
        await until_said(talk, INSTEAD)
        assert [e.reason for e in talk.of(Interrupted)] == ["guardrail"]
        [cut, instead] = [t for t in talk.session.history.turns if t.role == "assistant"]
        assert BEFORE.startswith(cut.text)
        assert cut.interrupted
        assert instead.text == INSTEAD
        if sink is not None:
            assert "swordfish" not in told(talk)
            assert sink.cleared_at_s[0] < len(BEFORE) / CHARACTERS_PER_S
        known = str(talk.simulator.connections[-1].conversation)
        assert BEFORE[:3] in known
        assert ("swordfish" in known) is not row.truncates


@pytest.mark.parametrize("mode", ["interrupt", "hold"])
async def test_the_answer_to_forbidden_words_is_cut_and_replaced(row, start, speech, mode):
    @input_guardrail(mode=mode)
    async def polite(text):
        return "password" in text

    async with start(SCENARIO, agent=guarded(polite), sink=Sink(), simulator=FAST) as talk:
        for chunk in speech:
            await talk.session.send_audio(chunk)
        tripped = await talk.until(GuardrailTripped)
        assert (tripped.direction, tripped.action) == ("input", "replaced")
        await until_said(talk, INSTEAD)
        if mode == "hold":
            assert told(talk) == INSTEAD


async def test_what_passes_in_hold_mode_is_whole(row, start):
    sink = Sink()
    harmless = output_guardrail(mode="hold")(lambda text: "swordfish" in text)
    scenario = SCENARIO.replace("swordfish", "secret")
    async with start(scenario, agent=guarded(harmless), sink=sink, simulator=FAST) as talk:
        await talk.session.send_text("Tell me")
        text = f"{BEFORE}secret, my friend, and everybody may know it."
        await until_said(talk, text)
        while not talk.of(AudioChunk)[-1].is_final:
            await talk.until(AudioChunk)
        assert told(talk) == text
        assert b"".join(chunk.data for chunk in talk.of(AudioChunk)) == bytes(sink.pcm)
        assert len(sink.pcm) / 48_000 > len(text) / CHARACTERS_PER_S * 0.7


async def test_written_answers_are_held_too(row, start):
    if row.provider == "gemini":
        pytest.skip("the Live models of this wire speak")

    @output_guardrail(mode="hold")
    async def no_passwords(text):
        return "swordfish" in text

    async with start(SCENARIO, agent=guarded(no_passwords), modalities=("text",)) as talk:
        await talk.session.send_text("Tell me")
        await talk.until(GuardrailTripped)
        await until_said(talk, INSTEAD)
        assert "swordfish" not in told(talk)
        assert "swordfish" not in talk.session.history.format()
        assert "swordfish" not in str(talk.simulator.connections[-1].conversation)
