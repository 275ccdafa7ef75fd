"""Whole turns on the wire, by family: who says what in which order."""

import asyncio
import base64
import json

import pytest

from realtime_facade.audio.resample import Resampler

FAMILIES = ["2.5-native", "3.1", "3.8", "3.8-extended-thinking"]
HELLO = """
[[turns]]
heard = "hello, it's me"
steps = [{ say = "Good morning to you." }]
"""


def without_audio(client):
    """Names in order, each run of the same name once, and no fillers."""
    found = [n for n in client.named if n != "modelTurn"]
    return [n for i, n in enumerate(found) if i == 0 or found[i - 1] != n]


def words(client, kind):
    return "".join(
        message["serverContent"][kind]["text"]
        for message in client.seen
        if kind in message.get("serverContent", {})
    )


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_written_turn_is_spoken_with_its_transcript(rig, family):
    client = await (await rig.start(HELLO)).connect(family)

    await client.write("hi")
    *_, last = await client.until("turnComplete")

    assert words(client, "outputTranscription") == "Good morning to you."
    assert last["usageMetadata"]["responseTokenCount"] > 0
    status = last["serverContent"].get("interactionStatus")
    assert status == ("IDLE" if family == "3.8-extended-thinking" else None)
    assert client.named.index("generationComplete") < client.named.index("turnComplete")
    assert ("sessionResumptionUpdate" in client.named) == (family != "2.5-native")


@pytest.mark.parametrize("family", ["2.5-native", "3.1", "3.8"])
async def test_a_spoken_turn_is_found_transcribed_and_answered(rig, speech, family):
    client = await (await rig.start(HELLO)).connect(family, inputAudioTranscription={})

    await client.speak(await speech())
    await client.until("turnComplete")

    assert words(client, "inputTranscription").strip() == "hello, it's me"
    spoken = [n for n in without_audio(client) if n != "sessionResumptionUpdate"]
    if family == "2.5-native":
        chunks = client.named.count("inputTranscription")
        assert chunks == 4, "words and marks come one by one"
        assert "voiceActivity" not in spoken
        assert spoken[:2] == ["setupComplete", "inputTranscription"]
    else:
        assert client.named.count("inputTranscription") == 1
        assert spoken[:4] == [
            "setupComplete",
            "voiceActivity",
            "inputTranscription",
            "voiceActivity",
        ]
        begin, end = [m["voiceActivity"] for m in client.seen if "voiceActivity" in m]
        assert (begin["type"], end["type"]) == ("ACTIVITY_START", "ACTIVITY_END")
        assert 0.1 < float(begin["audioOffset"].rstrip("s")) < 0.4
        assert float(end["audioOffset"].rstrip("s")) > 1


async def test_input_is_transcribed_unasked_from_3_on_and_output_never(rig, speech):
    await rig.start(HELLO)
    for family, expected in (("2.5-native", ""), ("3.1", "hello, it's me")):
        client = await rig.connect(family, outputAudioTranscription=None)
        await client.speak(await speech())
        await client.until("turnComplete")
        assert words(client, "inputTranscription") == expected
        assert words(client, "outputTranscription") == ""


async def test_3_1_bundles_activity_with_an_empty_content_and_3_8_does_not(rig, speech):
    await rig.start(HELLO)
    for family, keys in (("3.1", ["serverContent", "voiceActivity"]), ("3.8", ["voiceActivity"])):
        client = await rig.connect(family)
        await client.speak(await speech())
        *_, message = await client.until("voiceActivity")
        assert list(message) == keys


@pytest.mark.parametrize(("family", "bundled"), [("2.5-native", False), ("3.8", True)])
async def test_words_and_audio_share_a_message_from_3_on(rig, family, bundled):
    client = await (await rig.start(HELLO)).connect(family)
    await client.write("hi")
    await client.until("turnComplete")

    with_words = [m for m in client.seen if "outputTranscription" in m.get("serverContent", {})]
    spoken = [m for m in client.seen if "inlineData" in str(m)]
    assert all(("modelTurn" in m["serverContent"]) == bundled for m in with_words)
    assert all(("role" in m["serverContent"]["modelTurn"]) == bundled for m in spoken)
    assert ({} in client.seen) == bundled
    assert ({"serverContent": {}} in client.seen) == bundled


async def test_messages_are_indented_json_in_binary_frames(rig):
    await rig.start()
    client = await rig.dial()
    await client.send(setup=rig.setup("3.8"))
    assert await client.connection.recv() == b'{\n  "setupComplete": {}\n}'


async def test_3_x_holds_the_end_of_the_turn_until_the_answer_would_be_heard(rig):
    await rig.start(f'otherwise = "{"word " * 15}"', speed=0)
    clock = rig.simulator._clock
    waited = {}
    for family in ("2.5-native", "3.8"):
        client = await rig.connect(family)
        begin = clock.monotonic()
        await client.write("hi")
        await client.until("turnComplete")
        waited[family] = clock.monotonic() - begin
        heard = sum(
            len(base64.b64decode(part["inlineData"]["data"])) / 48_000
            for message in client.seen
            for part in message.get("serverContent", {}).get("modelTurn", {}).get("parts", [])
            if "inlineData" in part
        )
        assert heard > 4
    assert waited["3.8"] >= heard
    assert waited["2.5-native"] < heard


@pytest.mark.parametrize("rate", [8_000, 24_000, 48_000])
async def test_other_rates_are_resampled_and_the_offset_stays_right(rig, speech, rate):
    resampler = Resampler(16_000, rate)
    pcm = resampler.push(await speech()) + resampler.flush()
    client = await (await rig.start(HELLO)).connect("3.8")
    await client.speak(pcm, rate=rate)
    *_, began = await client.until("voiceActivity")
    await client.until("turnComplete")
    assert 0.1 < float(began["voiceActivity"]["audioOffset"].rstrip("s")) < 0.4
    assert words(client, "inputTranscription") == "hello, it's me"


async def test_names_may_be_snake_case_and_base64_url_safe(rig, speech):
    await rig.start(HELLO)
    client = await rig.dial()
    await client.send(
        setup={
            "model": rig.models["3.8"],
            "generation_config": {"response_modalities": ["AUDIO"]},
            "output_audio_transcription": {},
            "realtimeInputConfig": {"automatic_activity_detection": {"silence_duration_ms": "300"}},
        }
    )
    await client.until("setupComplete")
    data = base64.urlsafe_b64encode(await speech()).decode().rstrip("=")
    assert set("-_") & set(data), "the sample has no letter that tells the alphabets apart"
    audio = {"data": data, "mime_type": "audio/pcm"}
    await client.connection.send(json.dumps({"realtime_input": {"audio": audio}}).encode())
    await client.until("turnComplete")
    assert words(client, "inputTranscription") == "hello, it's me"


async def test_audio_stream_end_closes_the_turn_without_silence(rig, speech):
    client = await (await rig.start(HELLO)).connect("3.8")
    await client.speak(await speech(silence_ms=0))
    await client.until("voiceActivity")
    await client.send(realtimeInput={"audioStreamEnd": True})
    await client.until("turnComplete")
    assert words(client, "inputTranscription") == "hello, it's me"

    await client.send(realtimeInput={"audioStreamEnd": True})
    assert await client.quiet() == [], "nothing was open"


MANUAL = {"automaticActivityDetection": {"disabled": True}}


async def test_a_manual_turn_is_what_lies_between_its_marks(rig, speech):
    client = await (await rig.start(HELLO)).connect("3.8", realtimeInputConfig=MANUAL)
    pcm = await speech()
    await client.speak(pcm)
    assert "modelTurn" not in str(await client.quiet()), "audio outside is dropped"

    await client.send(realtimeInput={"activityStart": {}})
    await client.speak(pcm)
    await client.send(realtimeInput={"activityEnd": {}})
    *_, last = await client.until("turnComplete")

    assert words(client, "inputTranscription") == "hello, it's me"
    assert "voiceActivity" not in client.named
    details = {d["modality"]: d["tokenCount"] for d in last["usageMetadata"]["promptTokensDetails"]}
    assert details["AUDIO"] == round(len(pcm) / 32_000 * 25)


async def test_realtime_text_is_a_turn_of_its_own(rig):
    scenario = '[[turns]]\nsteps = [{ say = "You said {heard}." }]'
    client = await (await rig.start(scenario)).connect("3.8")
    await client.send(realtimeInput={"text": "hi there"})
    await client.until("turnComplete")
    assert words(client, "outputTranscription") == "You said hi there."


async def test_content_without_turn_complete_waits_for_it(rig):
    scenario = '[[turns]]\nwhen = "teal"\nsteps = [{ say = "It is teal." }]'
    client = await (await rig.start(scenario)).connect("2.5-native")
    fact = {"role": "user", "parts": [{"text": "My color is teal."}]}
    reply = {"role": "model", "parts": [{"text": "Nice."}]}
    await client.send(clientContent={"turns": [fact, reply], "turnComplete": False})
    assert await client.quiet() == []
    await client.send(clientContent={"turnComplete": True})
    await client.until("turnComplete")
    assert words(client, "outputTranscription") == "It is teal."


async def test_initial_history_asks_for_no_answer(rig):
    scenario = '[[turns]]\nsteps = [{ say = "You said {heard}." }]'
    client = await (await rig.start(scenario)).connect(
        "3.8", historyConfig={"initialHistoryInClientContent": True}
    )
    await client.write("My name is Alice.")
    assert "modelTurn" not in str(await client.quiet())
    await client.send(realtimeInput={"text": "who am I"})
    *_, last = await client.until("turnComplete")
    assert words(client, "outputTranscription") == "You said who am I."
    history_tokens = sum(-(-len(text) // 4) for text in ("My name is Alice.", "who am I"))
    assert last["usageMetadata"]["promptTokenCount"] >= history_tokens


async def test_the_prompt_grows_from_turn_to_turn(rig):
    client = await (await rig.start(HELLO)).connect("2.5-native")
    counts = []
    for _ in range(2):
        await client.write("hi")
        *_, last = await client.until("turnComplete")
        usage = last["usageMetadata"]
        assert usage["totalTokenCount"] == usage["promptTokenCount"] + usage["responseTokenCount"]
        assert usage["promptTokenCount"] == sum(
            d["tokenCount"] for d in usage["promptTokensDetails"]
        )
        counts.append((usage["promptTokenCount"], usage["responseTokenCount"]))
    (prompt, response), (later, _) = counts
    assert later == prompt + response + 1, "the answer and one token of text"


async def test_thoughts_come_unasked_on_2_5_and_can_be_switched_off(rig):
    await rig.start(HELLO)
    for thinking, expected in ((None, True), ({"thinkingBudget": 0}, False)):
        client = await rig.connect("2.5-native", generationConfig={"thinkingConfig": thinking})
        await client.write("hi")
        *_, last = await client.until("turnComplete")
        thoughts = [m for m in client.seen if '"thought": true' in json.dumps(m)]
        assert bool(thoughts) == expected
        assert ("thoughtsTokenCount" in last["usageMetadata"]) == expected


async def test_context_update_changes_instructions_and_tools(rig):
    scenario = '[[turns]]\nsteps = [{ say = "Yes." }]'
    client = await (await rig.start(scenario)).connect("3.8")
    await client.write("hi")
    *_, before = await client.until("turnComplete")
    instruction = {"parts": [{"text": "x" * 400}], "role": "user"}
    declared = {"tools": rig.tools(rig.function("weather"))}
    await client.send(contextUpdate={"systemInstruction": instruction, "tools": declared})
    await client.write("hi")
    *_, after = await client.until("turnComplete")
    prompts = [m["usageMetadata"]["promptTokenCount"] for m in (before, after)]
    assert prompts[1] - prompts[0] > 100


async def test_sessions_are_counted_and_released(rig):
    await rig.start(HELLO)
    client = await rig.connect("3.8")
    assert (rig.simulator.sessions_started, rig.simulator.sessions_open) == (1, 1)
    await client.write("hi")
    await client.until("modelTurn")
    await client.connection.close()
    for _ in range(100):
        if not rig.simulator.sessions_open:
            break
        await client.connection.wait_closed()
        await asyncio.sleep(0.01)
    assert rig.simulator.sessions_open == 0
