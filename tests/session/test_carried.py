"""What another connection is told when the first is lost, phase by phase, over memory."""

import asyncio
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_facade.audio.playback import Playback
from realtime_facade.commands import SendText
from realtime_facade.config import RealtimeConfig, VADMode
from realtime_facade.conversation import ConversationHistory, SeedMessage, ToolRound
from realtime_facade.events import (
    AudioChunk,
    AudioDropped,
    ConnectionChanged,
    ErrorOccurred,
    InputCommitted,
    Interrupted,
    ResponseDone,
    ResponseStarted,
    SessionResumable,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequest,
    TranscriptDelta,
    TurnEnded,
)
from realtime_facade.providers.base import Profile
from realtime_facade.session.carried import (
    ANSWER_NOW,
    GO_ON,
    OVERLAP_MS,
    PAST_CHARACTERS,
    Carried,
    Pace,
)
from realtime_facade.session.state import Conversation, Phase

from .conftest import conversations

user, assistant = SeedMessage.user, SeedMessage.assistant
VOICE = np.full(480, 3_000, "<i2").tobytes()
"""20 ms that can be heard."""
SILENCE = bytes(960)
SECOND = np.full(24_000, 1_000, "<i2").tobytes()


def begin(response: str = "r") -> ResponseStarted:
    return ResponseStarted(response_id=response)


def words(text: str, response: str = "r", *, final: bool = False) -> TranscriptDelta:
    return TranscriptDelta(
        text=text,
        is_final=final,
        full_text=text if final else None,
        item_id=f"i-{response}",
        response_id=response,
    )


def sound(seconds: float, response: str = "r", *, final: bool = False) -> AudioChunk:
    data = SECOND * int(seconds) + SECOND[: 2 * round(24_000 * (seconds % 1))]
    return AudioChunk(data=data, item_id=f"i-{response}", response_id=response, is_final=final)


def heard(text: str, item: str = "u") -> TranscriptDelta:
    return TranscriptDelta(text=text, is_final=True, full_text=text, speaker="user", item_id=item)


def end(response: str = "r") -> list:
    return [ResponseDone(response_id=response), TurnEnded(response_id=response)]


class Lost:
    """A conversation whose connection is lost, and what the next one hears of it."""

    def __init__(self, conversation) -> None:
        self.conversation = conversation
        self.session = conversation.session

    async def lose(self) -> None:
        """The connection is gone; no other can be made yet."""
        self.conversation.provider.answers.clear()
        await self.conversation.server.close(1006)
        await self._state("reconnecting")

    async def find(self) -> tuple[list, list[dict]]:
        """There is another one: what it is told as past, and what is said over it."""
        self.conversation.provider.answers.set()
        await self._state("connected")
        frames = await self.conversation.sent()
        return list(self.conversation.provider.pasts[-1].items), frames

    async def lose_and_find(self) -> tuple[list, list[dict]]:
        await self.lose()
        return await self.find()

    async def _state(self, state: str) -> None:
        async with asyncio.timeout(3):
            while self.state != state:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    @property
    def state(self) -> str | None:
        changes = self.conversation.of(ConnectionChanged)
        return changes[-1].state if changes else None

    async def say(self, *frames: bytes) -> None:
        for frame in frames:
            self.session.send_audio(frame)


@pytest.fixture
def lost(start):
    async def begin_conversation(config=None, **more) -> Lost:
        return Lost(await start(config, **{"connections": 4, **more}))

    return begin_conversation


def said(frames: list[dict]) -> list[tuple]:
    """Commands without what does not matter here; audio in a row as one."""
    told: list[tuple] = []
    for frame in frames:
        match frame["command"]:
            case "AppendAudio":
                if told and told[-1][0] == "audio":
                    told[-1] = ("audio", told[-1][1] + frame["bytes"])
                else:
                    told.append(("audio", frame["bytes"]))
            case "SendText":
                told.append(("text", frame["text"], frame["respond"]))
            case "RequestResponse":
                told.append(("ask", frame["instructions"]))
            case "SendToolResult":
                told.append(("result", frame["call_id"], frame["output"]))
            case other:
                told.append((other,))
    return told


# -- nobody speaks -------------------------------------------------------------------------------


async def test_nothing_is_owed_when_nobody_spoke(lost):
    talk = await lost()
    await talk.session.send_text("Hi")
    await talk.conversation.receive(begin(), words("Hello.", final=True), *end())
    await talk.conversation.sent()
    assert await talk.lose_and_find() == ([user("Hi"), assistant("Hello.")], [])
    assert talk.session.phase is Phase.LISTENING


async def test_of_a_silent_microphone_a_moment_is_heard(lost):
    talk = await lost()
    await talk.say(*[SILENCE] * 100)
    await talk.lose()
    await talk.say(*[SILENCE] * 100)
    _, frames = await talk.find()
    assert said(frames) == [("audio", 300 * 48)]


async def test_whoever_begins_to_speak_without_a_connection_is_heard(lost):
    talk = await lost()
    await talk.say(*[SILENCE] * 100)
    await talk.lose()
    await talk.say(*[SILENCE] * 50, *[VOICE] * 20)
    assert talk.session.send_audio(VOICE).delivery == "queued"
    _, frames = await talk.find()
    assert said(frames) == [("audio", 300 * 48 + 21 * len(VOICE))]


# -- the user speaks -----------------------------------------------------------------------------


async def test_who_was_speaking_is_heard_from_the_beginning(lost):
    talk = await lost()
    await talk.say(*[SILENCE] * 200, *[VOICE] * 100)
    await talk.conversation.receive(SpeechStarted(item_id="u", audio_ms=4_000))
    await talk.say(*[VOICE] * 50)
    await talk.lose()
    assert talk.session.phase is Phase.THINKING
    await talk.say(*[VOICE] * 50)
    past, frames = await talk.find()
    assert past == []
    assert said(frames) == [("audio", 200 * len(VOICE))]


async def test_a_long_turn_is_heard_again_whole(lost):
    talk = await lost()
    await talk.conversation.receive(SpeechStarted(item_id="u", audio_ms=0))
    await talk.say(*[VOICE] * 1_000)
    _, frames = await talk.lose_and_find()
    assert said(frames) == [("audio", 1_000 * len(VOICE))]
    assert talk.conversation.of(AudioDropped) == []


async def test_words_that_were_half_written_down_are_taken_back(lost):
    talk = await lost()
    await talk.say(*[VOICE] * 20)
    await talk.conversation.receive(
        SpeechStarted(item_id="u", audio_ms=0),
        TranscriptDelta(text="What is", speaker="user", item_id="u"),
    )
    await talk.lose()
    assert talk.session.history.format() == ""
    final = talk.conversation.of(TranscriptDelta)[-1]
    assert (final.is_final, final.full_text, final.item_id) == (True, "", "u")
    past, frames = await talk.find()
    assert past == []
    assert said(frames) == [("audio", 20 * len(VOICE))]
    await talk.conversation.receive(heard("What is the weather?", "u2"))
    assert talk.session.history.format() == "User: What is the weather?"


# -- an answer is due ----------------------------------------------------------------------------


async def test_typed_words_that_wait_are_said_again(lost):
    talk = await lost()
    await talk.session.send_text("Call me Bob.", respond=False)
    await talk.session.send_text("Who am I?")
    past, frames = await talk.lose_and_find()
    assert past == [user("Call me Bob.")]
    assert said(frames) == [("text", "Who am I?", True)]
    assert talk.session.phase is Phase.THINKING


async def test_spoken_words_that_are_known_are_said_in_writing(lost):
    talk = await lost()
    await talk.say(*[VOICE] * 20)
    await talk.conversation.receive(
        SpeechStarted(item_id="u"),
        SpeechStopped(item_id="u"),
        InputCommitted(item_id="u"),
        heard("What is the weather?"),
    )
    past, frames = await talk.lose_and_find()
    assert past == []
    assert said(frames) == [("text", "What is the weather?", True)]


async def test_speech_whose_words_are_not_known_is_heard_again(lost):
    talk = await lost()
    await talk.say(*[VOICE] * 20)
    await talk.conversation.receive(
        SpeechStarted(item_id="u"), SpeechStopped(item_id="u"), InputCommitted(item_id="u")
    )
    past, frames = await talk.lose_and_find()
    assert past == []
    assert said(frames) == [("audio", 20 * len(VOICE))]


async def test_speech_is_heard_again_although_its_answer_had_begun(lost):
    talk = await lost()
    await talk.say(*[VOICE] * 20)
    await talk.conversation.receive(
        SpeechStarted(item_id="u"),
        SpeechStopped(item_id="u"),
        InputCommitted(item_id="u"),
        begin(),
        words("It"),
        AudioChunk(data=VOICE, item_id="i-r", response_id="r"),
    )
    past, frames = await talk.lose_and_find()
    assert past == []
    assert said(frames) == [("audio", 20 * len(VOICE))]
    assert [done.status for done in talk.conversation.of(ResponseDone)] == ["incomplete"]


async def test_a_turn_that_was_committed_by_hand_is_committed_again(lost):
    talk = await lost(RealtimeConfig(vad_mode=VADMode.MANUAL))
    await talk.say(*[VOICE] * 20)
    await talk.session.commit_audio()
    await talk.conversation.receive(InputCommitted(item_id="u"))
    await talk.say(*[VOICE] * 2)
    _, frames = await talk.lose_and_find()
    assert said(frames) == [
        ("audio", 20 * len(VOICE)),
        ("CommitAudio",),
        ("audio", 2 * len(VOICE)),
    ]


async def test_a_turn_can_be_committed_without_a_connection(lost):
    talk = await lost(RealtimeConfig(vad_mode=VADMode.MANUAL))
    await talk.say(*[VOICE] * 20)
    await talk.lose()
    assert await talk.session.commit_audio() == "queued"
    _, frames = await talk.find()
    assert said(frames) == [("audio", 20 * len(VOICE)), ("CommitAudio",)]


async def test_the_end_of_the_audio_is_told_again(lost):
    profile = Profile(provider="plain", model="test", emits_speech_events=False)
    talk = await lost(profile=profile)
    await talk.say(*[VOICE] * 20)
    await talk.session.end_audio()
    _, frames = await talk.lose_and_find()
    assert said(frames) == [("audio", 20 * len(VOICE)), ("EndAudio",)]


async def test_audio_that_was_taken_back_is_not_heard_again(lost):
    talk = await lost()
    await talk.say(*[VOICE] * 20)
    await talk.session.clear_audio()
    await talk.lose()
    await talk.say(*[VOICE] * 10)
    assert await talk.session.clear_audio() == "queued"
    await talk.say(VOICE)
    _, frames = await talk.find()
    assert said(frames) == [("audio", len(VOICE))]


async def test_a_request_is_made_again_as_it_was(lost):
    talk = await lost()
    await talk.session.request_response("Greet the user.")
    assert said((await talk.lose_and_find())[1]) == [("ask", "Greet the user.")]


async def test_the_answer_to_a_tools_result_is_asked_for_again(lost):
    def clock() -> str:
        """Tell the time."""
        return "noon"

    talk = await lost(RealtimeConfig(tools=[clock]))
    await talk.say(*[VOICE] * 20)
    await talk.conversation.receive(
        SpeechStarted(item_id="u"),
        SpeechStopped(item_id="u"),
        heard("What time is it?"),
        begin(),
        ToolCallRequest(call_id="c", function_name="clock", response_id="r"),
        ResponseDone(response_id="r"),
    )
    assert ("result", "c", "noon") in said(await talk.conversation.sent())
    past, frames = await talk.lose_and_find()
    done = ToolRound(call_id="c", function_name="clock", output="noon")
    assert past == [user("What time is it?"), done]
    assert said(frames) == [("ask", ANSWER_NOW)]


async def test_a_handle_knows_what_has_been_answered(lost):
    profile = Profile(provider="plain", model="test", supports_resumption=True)
    talk = await lost(profile=profile)
    await talk.session.send_text("Who am I?")
    await talk.conversation.receive(begin(), words("You are"), SessionResumable(handle="h"))
    past, frames = await talk.lose_and_find()
    assert past == []
    assert said(frames) == [("ask", GO_ON)]


@pytest.mark.parametrize("before_answers", [False, True])
async def test_a_handle_may_be_older_than_words_that_were_answered_after_it(lost, before_answers):
    """Written while the answer before came to its end: its handle was made without them."""
    profile = Profile(
        provider="plain",
        model="test",
        supports_resumption=True,
        handles_before_answers=before_answers,
    )
    talk = await lost(profile=profile)
    await talk.session.send_text("Tell me a story.")
    await talk.conversation.receive(begin(), words("No.", final=True), sound(1), *end())
    await talk.session.send_text("Please!")
    await talk.conversation.receive(SessionResumable(handle="h"))
    await talk.conversation.receive(begin("r2"), words("Once upon", "r2"), sound(1, "r2"))
    past, _ = await talk.lose_and_find()
    unread = [] if before_answers else [user("Please!")]
    assert past == [*unread, assistant("Once upon")]


def test_a_handle_that_comes_at_once_was_made_before_the_past_was_read():
    profile = Profile(provider="plain", model="test", supports_resumption=True)
    history = ConversationHistory()
    carried = Carried(history, 24_000)
    history.begin("user", "What is this?")
    carried.resumable(SessionResumable(handle="first"), profile)
    history.begin("assistant", "A test.")
    assert carried.past(profile).items == (assistant("A test."),)
    carried.resumable(SessionResumable(handle="second"), profile)
    again = carried.past(profile)
    assert (again.handle, again.items) == ("second", (assistant("A test."),))
    history.begin("user", "Is it?")
    carried.resumable(SessionResumable(handle="third"), profile)
    again = carried.past(profile)
    assert (again.handle, again.items) == ("third", ())


def test_a_handle_knows_nothing_of_what_still_waits():
    """Said while the connection was being made, which has a handle at once."""
    profile = Profile(
        provider="plain", model="test", supports_resumption=True, handles_before_answers=True
    )
    history = ConversationHistory()
    carried = Carried(history, 24_000)
    carried.past(profile)
    history.tell(user("Goodbye"))
    carried.waiting.add(SendText(text="Goodbye"), 0)
    carried.resumable(SessionResumable(handle="h"), profile)
    list(carried.waiting.take())
    again = carried.past(profile)
    assert (again.handle, again.items) == ("h", (user("Goodbye"),))


async def test_a_handle_may_be_older_than_words_that_nobody_answers_yet(lost):
    profile = Profile(provider="plain", model="test", supports_resumption=True)
    talk = await lost(profile=profile)
    await talk.session.send_text("Who am I?")
    await talk.conversation.receive(SessionResumable(handle="h"))
    past, frames = await talk.lose_and_find()
    assert past == []
    assert said(frames) == [("text", "Who am I?", True)]


# -- an answer comes -----------------------------------------------------------------------------


async def test_the_rest_of_an_answer_is_asked_for(lost, sink):
    talk = await lost(playback=Playback(24_000, sink=sink))
    await talk.session.send_text("Tell me a story.")
    await talk.conversation.receive(
        begin(), words("Once upon a time there was a very small computer"), sound(1.2)
    )
    past, frames = await talk.lose_and_find()
    assert past == [user("Tell me a story."), assistant("Once upon a time")]
    assert said(frames) == [("ask", GO_ON)]
    assert sink.cleared == 0, "what came of it is still to be heard"
    assert bytes(sink.queued) == sound(1.2).data
    final = talk.conversation.of(TranscriptDelta)[-1]
    assert (final.is_final, final.full_text) == (True, "Once upon a time")
    [done] = talk.conversation.of(ResponseDone)
    assert (done.status, done.response_id) == ("incomplete", "r")
    assert talk.conversation.of(AudioChunk)[-1].is_final
    assert talk.conversation.of(TurnEnded) == [], "the turn goes on"


async def test_the_end_of_the_answer_comes_before_the_news_of_the_loss(lost):
    talk = await lost()
    await talk.conversation.receive(begin(), words("Once upon"), sound(1))
    await talk.lose()
    kinds = [type(event) for event in talk.conversation.events]
    assert kinds.index(ResponseDone) < kinds.index(ConnectionChanged)


async def test_an_answer_of_which_nothing_was_heard_begins_again(lost, sink):
    talk = await lost(playback=Playback(24_000, sink=sink))
    await talk.session.send_text("Tell me a story.")
    await talk.conversation.receive(begin(), words("Once upon"), sound(0.1))
    past, frames = await talk.lose_and_find()
    assert past == [user("Tell me a story.")]
    assert said(frames) == [("ask", ANSWER_NOW)]
    assert sink.queued == b"", "else it is heard twice"
    assert talk.session.history.format() == "User: Tell me a story."


async def test_what_was_said_before_is_heard_to_its_end(lost, sink):
    talk = await lost(playback=Playback(24_000, sink=sink))
    await talk.conversation.receive(
        begin(), words("One.", final=True), sound(2, final=True), *end()
    )
    await talk.session.send_text("And then?")
    await talk.conversation.receive(begin("s"), words("Two", "s"), sound(0.05, "s"))
    await talk.lose()
    assert sink.cleared == 0


async def test_a_complete_answer_owes_nothing(lost):
    talk = await lost()
    await talk.session.send_text("Hi")
    await talk.conversation.receive(
        begin(), words("Hello."), sound(1, final=True), words("Hello.", final=True)
    )
    past, frames = await talk.lose_and_find()
    assert past == [user("Hi"), assistant("Hello.")]
    assert said(frames) == []
    assert [done.status for done in talk.conversation.of(ResponseDone)] == ["incomplete"]
    assert len(talk.conversation.of(TurnEnded)) == 1, "nobody else would say so"
    assert talk.session.phase is Phase.LISTENING


async def test_an_answer_that_was_cut_is_not_asked_for_again(lost):
    talk = await lost()
    await talk.session.send_text("Tell me a story.")
    await talk.conversation.receive(begin(), words("Once upon a time"), sound(2))
    await talk.session.interrupt()
    await talk.conversation.sent()
    _, frames = await talk.lose_and_find()
    assert said(frames) == []
    assert [done.status for done in talk.conversation.of(ResponseDone)] == ["cancelled"]
    assert len(talk.conversation.of(TurnEnded)) == 1


async def test_the_rest_of_an_answer_that_is_cut_meanwhile_is_not_asked_for(lost):
    talk = await lost()
    await talk.conversation.receive(begin(), words("Once upon a time there was"), sound(1.2))
    await talk.lose()
    assert talk.session.phase is Phase.THINKING
    await talk.session.interrupt()
    assert talk.session.phase is Phase.LISTENING
    _, frames = await talk.find()
    assert said(frames) == []
    assert len(talk.conversation.of(TurnEnded)) == 1


async def test_who_interrupts_still_gets_an_answer_to_what_was_asked(lost):
    talk = await lost()
    await talk.session.send_text("Hi")
    await talk.lose()
    await talk.session.interrupt()
    _, frames = await talk.find()
    assert said(frames) == [("text", "Hi", True)]


async def test_a_second_loss_owes_what_the_first_did(lost):
    talk = await lost()
    await talk.session.send_text("Tell me a story.")
    await talk.conversation.receive(begin(), words("Once upon a time there was"), sound(1.2))
    assert said((await talk.lose_and_find())[1]) == [("ask", GO_ON)]
    past, frames = await talk.lose_and_find()
    assert past == [user("Tell me a story."), assistant("Once upon a time")]
    assert said(frames) == [("ask", GO_ON)]
    await talk.conversation.receive(begin("s"))
    assert said((await talk.lose_and_find())[1]) == [("ask", GO_ON)]
    assert len(talk.conversation.of(ResponseDone)) == 2


async def test_words_that_were_said_again_are_said_once_more(lost):
    talk = await lost()
    await talk.session.send_text("Hi")
    for _ in range(3):
        assert await talk.lose_and_find() == (
            [],
            [{"command": "SendText", "text": "Hi", "role": "user", "respond": True}],
        )
    assert talk.session.history.format() == "User: Hi"


# -- tools run -----------------------------------------------------------------------------------


async def test_the_result_of_a_running_tool_goes_to_the_next_connection(lost):
    release, runs = asyncio.Event(), []

    async def slow() -> str:
        """Take its time."""
        runs.append(1)
        await release.wait()
        return "done"

    talk = await lost(RealtimeConfig(tools=[slow]))
    await talk.session.send_text("go")
    await talk.conversation.receive(
        begin(), ToolCallRequest(call_id="c", function_name="slow", response_id="r")
    )
    past, frames = await talk.lose_and_find()
    assert past == [user("go"), ToolRound(call_id="c", function_name="slow")]
    assert said(frames) == []
    assert talk.session.phase is Phase.ANSWERING, "somebody works on it"
    release.set()
    assert said(await talk.conversation.sent(1)) == [("result", "c", "done")]
    assert runs == [1]


async def test_a_result_that_comes_without_a_connection_is_sent_once(lost):
    release = asyncio.Event()

    async def slow() -> str:
        """Take its time."""
        await release.wait()
        return "done"

    talk = await lost(RealtimeConfig(tools=[slow]))
    await talk.session.send_text("go")
    await talk.conversation.receive(
        begin(), ToolCallRequest(call_id="c", function_name="slow", response_id="r")
    )
    await talk.lose()
    release.set()
    async with asyncio.timeout(1):
        while talk.session.history.tool_rounds[0].output is None:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    past, frames = await talk.find()
    assert past == [user("go"), ToolRound(call_id="c", function_name="slow")]
    assert said(frames) == [("result", "c", "done")]
    past, frames = await talk.lose_and_find()
    assert past[1] == ToolRound(call_id="c", function_name="slow", output="done")
    assert said(frames) == [("ask", ANSWER_NOW)]


# -- what is said meanwhile ----------------------------------------------------------------------


async def test_what_is_said_without_a_connection_is_sent_once_and_in_order(lost):
    talk = await lost()
    await talk.lose()
    assert await talk.session.send_text("one", respond=False) == "queued"
    assert await talk.session.send_text("two") == "queued"
    assert await talk.session.send_raw({"type": "x"}) == "queued"
    past, frames = await talk.find()
    assert past == []
    assert said(frames) == [("text", "one", False), ("text", "two", True), ("SendRaw",)]
    assert await talk.session.send_text("three") == "sent"
    assert talk.session.history.format() == "User: one\nUser: two\nUser: three"


async def test_words_that_wait_and_words_that_come_are_answered_together(lost):
    talk = await lost()
    await talk.session.send_text("one")
    await talk.lose()
    await talk.session.send_text("two")
    past, frames = await talk.find()
    assert past == []
    assert said(frames) == [("text", "one", False), ("text", "two", True)]


async def test_what_is_about_the_lost_connection_is_dropped(lost):
    talk = await lost()
    await talk.conversation.receive(begin(), words("Hello."), sound(2))
    await talk.lose()
    await talk.session.interrupt()
    await asyncio.sleep(0.01)
    assert len(talk.conversation.of(Interrupted)) == 1
    _, frames = await talk.find()
    assert not {"CancelResponse", "TruncateOutput", "DeleteItem"} & {f["command"] for f in frames}


async def test_an_item_of_another_connection_is_not_truncated(lost, sink):
    talk = await lost(playback=Playback(24_000, sink=sink))
    await talk.conversation.receive(begin(), words("A story."), sound(3), sound(3, final=True))
    await talk.conversation.receive(words("A story.", final=True), *end())
    await talk.lose_and_find()
    await talk.conversation.receive(
        begin("s"), words("And more.", "s", final=True), sound(3, "s", final=True), *end("s")
    )
    sink.position_ms = 1_000
    await talk.conversation.receive(SpeechStarted())
    [cut] = talk.conversation.of(Interrupted)
    assert [item.item_id for item in cut.items] == ["i-r", "i-s"]
    frames = [frame for frame in await talk.conversation.sent() if frame["command"] != "SendText"]
    assert [(frame["command"], frame["item_id"]) for frame in frames] == [("DeleteItem", "i-s")]


async def test_too_many_commands_are_dropped(lost):
    talk = await lost()
    await talk.lose()
    told = [await talk.session.send_text(str(n), respond=False) for n in range(1_010)]
    assert Counter(told) == {"queued": 1_000, "dropped": 10}


async def test_of_a_very_long_conversation_the_newest_part_is_told(lost):
    talk = await lost()
    for number in range(40):
        await talk.session.send_text(f"{number} {'x' * 2_000}", respond=False)
    past, _ = await talk.lose_and_find()
    assert past[-1].text.startswith("39 ")
    assert sum(len(item.text) for item in past) <= PAST_CHARACTERS
    assert len(past) < 40
    assert not talk.conversation.of(ConnectionChanged)[-1].state_restored


async def test_a_command_that_the_new_connection_refuses_is_an_error_and_the_rest_is_sent(lost):
    talk = await lost()
    make = talk.conversation.provider.dial

    async def picky(*asked):
        link = await make(*asked)
        send = link._codec.send

        def refuse(command):
            if type(command).__name__ == "SendRaw":
                raise ErrorOccurred(message="not here", code="no").to_exception()
            return send(command)

        link._codec.send = refuse
        return link

    talk.conversation.provider.dial = picky
    await talk.lose()
    await talk.session.send_raw({"type": "x"})
    await talk.session.send_text("Hi", respond=False)
    _, frames = await talk.find()
    assert said(frames) == [("text", "Hi", False)]
    assert [error.message for error in talk.conversation.of(ErrorOccurred)] == ["not here"]


# -- words and sound -----------------------------------------------------------------------------


def test_what_two_connections_hear_is_not_dropped_on_the_way_to_the_second():
    class Ear:
        def __init__(self) -> None:
            self.heard: list[tuple[bytes, bool]] = []

        def append(self, pcm: bytes, *, may_drop: bool = True) -> tuple[()]:
            self.heard.append((pcm, may_drop))
            return ()

    carried, ear = Carried(ConversationHistory(), 24_000), Ear()
    carried.turn.add(VOICE * 150)
    carried.overlapped((), ear)
    assert b"".join(pcm for pcm, _ in ear.heard) == VOICE * (OVERLAP_MS // 20)
    assert not any(may_drop for _, may_drop in ear.heard)


def test_words_whose_sound_has_not_come_were_not_said():
    pace = Pace()
    pace.sound(AudioChunk(data=SECOND, item_id="i"))
    assert pace.said("i", "Once upon a time there was") == "Once upon a"
    assert pace.said("other", "Written.") == "Written."


def test_the_pace_is_learned_from_whole_answers():
    pace = Pace()
    for number in range(20):
        for _ in range(10):
            pace.sound(AudioChunk(data=SECOND, item_id=f"i-{number}"))
        pace.learn("x" * 50)
    pace.sound(AudioChunk(data=SECOND * 2, item_id="i"))
    assert pace.said("i", "aaaa bbbb cccc dddd") == "aaaa bbbb"


@given(st.text("ab ", max_size=60), st.floats(0, 5))
def test_only_whole_words_were_said(text, seconds):
    pace = Pace()
    pace.sound(AudioChunk(data=bytes(2 * round(24_000 * seconds)), item_id="i"))
    told = pace.said("i", text)
    assert text.startswith(told)
    assert told == told.rstrip()
    assert len(told) == len(text.rstrip()) or text[len(told) :][:1].isspace() or not told


# -- any order -----------------------------------------------------------------------------------

STEPS = st.sampled_from(
    [
        "type",
        "say",
        "begin speaking",
        "stop speaking",
        "transcribe",
        "answer begins",
        "answer goes on",
        "answer ends",
        "call",
        "interrupt",
        "lose",
    ]
)


@settings(max_examples=15, deadline=None)
@given(st.lists(STEPS, min_size=3, max_size=15))
def test_any_order_of_losses_loses_no_words_and_ends_every_answer_once(steps):
    def tool() -> str:
        """Do it."""
        return "done"

    async def talk_through() -> None:
        async with conversations() as start:
            conversation = await start(RealtimeConfig(tools=[tool]), connections=100)
            provider, talk = conversation.provider, Lost(conversation)
            typed, answers, started = 0, 0, []
            talking = False
            for step in steps:
                match step:
                    case "type":
                        typed += 1
                        await talk.session.send_text(f"word {typed}")
                    case "say":
                        await talk.say(*[VOICE] * 5)
                    case "begin speaking":
                        await conversation.receive(SpeechStarted(item_id=f"u{answers}"))
                    case "stop speaking":
                        await conversation.receive(SpeechStopped(item_id=f"u{answers}"))
                    case "transcribe":
                        await conversation.receive(heard("spoken", f"u{answers}"))
                    case "answer begins" if not talking:
                        answers += 1
                        talking = True
                        started.append(f"r{answers}")
                        await conversation.receive(begin(started[-1]))
                    case "answer goes on" if talking:
                        await conversation.receive(
                            words("some words ", started[-1]), sound(0.5, started[-1])
                        )
                    case "answer ends" if talking:
                        talking = False
                        await conversation.receive(*end(started[-1]))
                    case "call" if talking:
                        call_id = f"c{answers}-{len(conversation.events)}"
                        call = ToolCallRequest(
                            call_id=call_id, function_name="tool", response_id=started[-1]
                        )
                        await conversation.receive(call)
                        await conversation.sent()
                    case "interrupt":
                        await talk.session.interrupt()
                    case "lose":
                        talking = False
                        sent_to = len(provider.servers)
                        await talk.lose_and_find()
                        assert len(provider.servers) == sent_to + 1
            await asyncio.sleep(0)
            assert conversation.of(ErrorOccurred) == []
            done = [event.response_id for event in conversation.of(ResponseDone)]
            assert done == (started[:-1] if talking else started)
            rounds = talk.session.history.tool_rounds
            assert len({part.call_id for part in rounds}) == len(rounds)
            assert all(part.output == "done" for part in rounds)
            # Whatever was typed is known to the last connection: as its past, or said over it.
            await talk.lose()
            past, frames = await talk.find()
            known = [item.text for item in past if isinstance(item, SeedMessage)]
            known += "\n".join(text[1] for text in said(frames) if text[0] == "text").split("\n")
            told = [turn.text for turn in talk.session.history.turns if turn.role == "user"]
            for number in range(1, typed + 1):
                assert known.count(f"word {number}") == 1
                assert told.count(f"word {number}") == 1

    asyncio.run(talk_through())


def test_a_conversation_that_nobody_holds_owes_nothing():
    conversation = Conversation(answers_speech=True)
    assert conversation.lost(has_said=False) is None
    assert json.dumps(conversation.phase) == '"listening"'
