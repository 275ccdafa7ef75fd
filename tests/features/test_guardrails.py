import asyncio
import threading
from typing import Any

import pytest

from realtime_facade.commands import AnyCommand, RequestResponse, SendText, UpdateSession
from realtime_facade.config import RealtimeConfig
from realtime_facade.conversation import ConversationHistory
from realtime_facade.errors import ConfigurationError
from realtime_facade.events import (
    Event,
    GuardrailFailed,
    GuardrailTripped,
    HandedOff,
    InputCommitted,
    Interrupted,
    ResponseDone,
    ResponseStarted,
    SpeechStarted,
    TranscriptDelta,
    TurnEnded,
)
from realtime_facade.features import guardrails
from realtime_facade.features.guardrails import Guardrails
from realtime_facade.guardrails import (
    REPLACEMENT,
    Guardrail,
    GuardrailResult,
    input_guardrail,
    output_guardrail,
)
from realtime_facade.providers.base import Profile


class Hold:
    """What the feature tells a hold, in order."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.late = None
        self.speed = 1.0
        self._shut = False

    @property
    def shut(self) -> bool:
        return self._shut

    @shut.setter
    def shut(self, value: bool) -> None:
        if value != self._shut:
            self.told.append("shut" if value else "open")
        self._shut = value

    def passed(self, item_id: str, text: str, *, is_whole: bool) -> None:
        self.told.append((item_id, text, is_whole))

    def let_go(self, item_id: str) -> None:
        self.told.append(f"let {item_id} go")


class Control:
    """What a feature sees of a session."""

    def __init__(
        self,
        *guardrails: Guardrail,
        reports_speech: bool = True,
        of_agents: dict[str, list[Guardrail]] | None = None,
    ) -> None:
        self.config = RealtimeConfig(speed=1.2, max_hold_ms=500)
        self.profile = Profile(provider="plain", model="test", emits_speech_events=reports_speech)
        self.commands: list[AnyCommand] = []
        self.events: list[Event] = []
        self.cuts = 0
        self.audible = True
        """Whether there is anything to interrupt."""
        self.tasks: set[asyncio.Task[None]] = set()
        self.feature = Guardrails(
            guardrails,
            self.config,
            ConversationHistory(),
            of_agents=of_agents,
            context="shop",
            agent="agent",
        )
        self.hold = Hold()
        if self.feature.hold is not None:
            late = self.feature.hold.late
            self.feature.hold = self.hold
            self.hold.late = late
        self.feature.attach(self)

    def execute(self, command: AnyCommand) -> None:
        self.commands.append(command)
        self.feature.on_command(command)

    def emit(self, event: Event) -> None:
        self.events.append(event)
        self.feature.on_event(event)

    def start(self, work, name):
        task = asyncio.create_task(work, name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def interrupt(self, reason: str) -> bool:
        assert reason == "guardrail"
        if self.audible:
            self.cuts += 1
            self.emit(Interrupted(reason="guardrail"))
        return self.audible

    async def rest(self) -> None:
        """Until no guardrail runs."""
        while self.tasks:
            await asyncio.wait(self.tasks, timeout=5)

    def say(self, text: str, item: str = "a", **fields) -> None:
        delta = TranscriptDelta(text=text, item_id=item, response_id="r", **fields)
        self.feature.on_event(delta)

    def end(self, text: str, item: str = "a", **fields) -> None:
        self.say("", item, is_final=True, full_text=text, **fields)

    def hear(self, text: str, item: str = "u") -> None:
        self.end(text, item, speaker="user")

    def tell(self, *events: Event) -> None:
        for event in events:
            self.feature.on_event(event)

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


class Reader:
    """An async guardrail whose every run the test ends."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._results: asyncio.Queue[Any] = asyncio.Queue()

    async def __call__(self, ctx, agent, text):
        self.texts.append(text)
        self.context, self.agent = ctx, agent
        result = await self._results.get()
        if isinstance(result, Exception):
            raise result
        return result

    async def answer(self, result: Any) -> None:
        self._results.put_nowait(result)
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def no_gathering(monkeypatch):
    monkeypatch.setattr(guardrails, "GATHER_S", 0.0)


STARTED = ResponseStarted(response_id="r")


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


# -- when it runs ---------------------------------------------------------------------------------


async def test_it_runs_on_the_text_so_far_whenever_enough_is_new():
    texts = []

    @output_guardrail(debounce_chars=10)
    async def reads(text):
        texts.append(text)
        return False

    control = Control(reads)
    for word in ("One two ", "three ", "four ", "five ", "six"):
        control.say(word)
        await control.rest()
    assert texts == ["One two three ", "One two three four five "]
    control.end("One two three four five six")
    await control.rest()
    assert texts[2:] == ["One two three four five six"]
    control.say("The next item", "b")
    await control.rest()
    assert texts[3:] == ["The next item"]


async def test_one_run_at_a_time_and_the_newest_text_wins():
    reader = Reader()
    control = Control(output_guardrail(debounce_chars=1)(reader))
    for word in "abcdef":
        control.say(word)
        await settle()
    assert reader.texts == ["a"]
    await reader.answer(False)
    assert reader.texts == ["a", "abcdef"]
    control.end("abcdef")
    await reader.answer(False)
    await reader.answer(False)
    assert reader.texts == ["a", "abcdef", "abcdef"]
    await control.rest()
    assert control.events == []


async def test_a_burst_of_words_is_read_at_once(monkeypatch):
    monkeypatch.setattr(guardrails, "GATHER_S", 0.02)
    reader = Reader()
    control = Control(output_guardrail(mode="hold")(reader))
    for word in ("Let ", "me ", "tell "):
        control.say(word)
        await settle()
    assert reader.texts == []
    await asyncio.sleep(0.03)
    assert reader.texts == ["Let me tell "]
    control.say("you")
    await reader.answer(False)
    await settle()
    assert reader.texts[1:] == ["Let me tell you"]
    await reader.answer(False)


async def test_a_correction_does_not_hide_what_was_said():
    control = Control(output_guardrail(lambda text: "secret" in text))
    control.say("The secret")
    control.end("The regret")
    await control.rest()
    assert control.cuts == 1


async def test_it_may_know_more_than_the_text():
    reader = Reader()
    control = Control(output_guardrail(reader))
    control.end("Hello", "item-7")
    await settle()
    assert (reader.context.item_id, reader.context.is_final) == ("item-7", True)
    assert (reader.context.direction, reader.context.context) == ("output", "shop")
    assert reader.context.history.turns == []
    assert reader.agent == "agent"
    await reader.answer(False)


async def test_an_empty_text_is_not_worth_a_run():
    reader = Reader()
    control = Control(output_guardrail(mode="hold")(reader))
    control.end("")
    await settle()
    assert reader.texts == []
    assert control.hold.told == [("a", "", True)]


async def test_a_slow_sync_guardrail_does_not_keep_the_dispatch_waiting():
    wait = threading.Event()

    @output_guardrail(debounce_chars=1)
    def reads(text):
        assert wait.wait(5)
        return True

    control = Control(reads)
    control.say("slow")
    control.say(" but not here")
    assert control.cuts == 0
    wait.set()
    await control.rest()
    assert control.cuts == 1


async def test_many_unfinished_texts_are_bounded():
    reader = Reader()
    control = Control(output_guardrail(reader))
    for number in range(100):
        control.say("x" * 100, f"item-{number}")
    await settle()
    assert len(control.tasks) <= 64
    control.tell(Interrupted())
    await control.rest()


# -- what a trip does -----------------------------------------------------------------------------


async def test_a_trip_falls_silent_and_asks_for_another_answer():
    @output_guardrail(debounce_chars=1)
    def no_secrets(text):
        return GuardrailResult("secret" in text, {"found": "secret"})

    control = Control(no_secrets)
    control.say("The secret")
    await control.rest()
    assert control.cuts == 1
    assert control.commands == [RequestResponse(instructions=REPLACEMENT, at_once=True)]
    [_, tripped] = control.events
    assert tripped == GuardrailTripped(
        guardrail="no_secrets",
        direction="output",
        action="replaced",
        output_info={"found": "secret"},
        text="The secret",
        item_id="a",
        response_id="r",
    )


async def test_what_comes_instead_is_cut_but_not_replaced_until_the_user_speaks():
    control = Control(output_guardrail(debounce_chars=1)(lambda text: "secret" in text))
    control.say("secret", "a")
    await control.rest()
    control.tell(ResponseStarted(response_id="r2"))
    control.say("the same secret", "b")
    await control.rest()
    assert [e.action for e in control.of(GuardrailTripped)] == ["replaced", "cut"]
    assert len(control.commands) == 1
    control.tell(SpeechStarted(item_id="u1"), InputCommitted(item_id="u1"))
    control.say("the same secret", "c")
    await control.rest()
    assert [e.action for e in control.of(GuardrailTripped)] == ["replaced", "cut", "replaced"]


async def test_without_a_replacement_there_is_silence():
    control = Control(output_guardrail(replacement=None)(lambda text: True))
    control.end("anything")
    await control.rest()
    assert control.commands == []
    assert [e.action for e in control.of(GuardrailTripped)] == ["cut"]


async def test_what_was_heard_whole_cannot_be_stopped():
    control = Control(output_guardrail(lambda text: True))
    control.audible = False
    control.end("anything")
    await control.rest()
    assert control.commands == []
    assert [e.action for e in control.of(GuardrailTripped)] == ["none"]


async def test_the_users_interruption_ends_the_reading():
    reader = Reader()
    control = Control(output_guardrail(debounce_chars=1)(reader))
    control.say("something")
    await settle()
    control.tell(Interrupted(reason="speech"))
    await control.rest()
    await reader.answer(True)
    assert control.events == []
    control.end("something else", "b")
    await settle()
    assert reader.texts == ["something", "something else"]
    await reader.answer(False)


async def test_the_end_of_what_was_cut_is_not_read_again():
    control = Control(output_guardrail(debounce_chars=1)(lambda text: "secret" in text))
    control.say("The secret")
    await control.rest()
    control.end("The secret")  # as a cut tells what was heard
    await control.rest()
    assert len(control.of(GuardrailTripped)) == 1


async def test_words_of_the_user_that_come_after_their_end_are_read():
    control = Control(polite)
    control.tell(STARTED)
    control.hear("well")
    await control.rest()
    control.hear("well damn")
    await control.rest()
    assert control.cuts == 1


async def test_two_guardrails_read_beside_each_other():
    first, second = Reader(), Reader()
    control = Control(output_guardrail(first), output_guardrail(second))
    control.end("text")
    await settle()
    assert first.texts == second.texts == ["text"]
    await second.answer(True)
    assert control.cuts == 1
    await control.rest()


# -- when it fails --------------------------------------------------------------------------------


async def test_one_that_raises_allows_or_blocks_and_says_so():
    def broken(text):
        raise ValueError("no model")

    for policy, cuts in (("allow", 0), ("block", 1)):
        control = Control(output_guardrail(on_failure=policy)(broken))
        control.end("text")
        await control.rest()
        [failed] = control.of(GuardrailFailed)
        assert "no model" in failed.problem
        assert (failed.guardrail, failed.item_id) == ("broken", "a")
        assert (failed.allowed, failed.action) == (
            (True, "none") if policy == "allow" else (False, "replaced")
        )
        assert control.cuts == cuts
        assert not control.of(GuardrailTripped)


async def test_one_that_has_failed_is_asked_again_about_more_text():
    reader = Reader()
    control = Control(output_guardrail(debounce_chars=5)(reader))
    control.say("hello ")
    await settle()
    await reader.answer(OSError())
    control.say("again")
    await settle()
    assert reader.texts == ["hello ", "hello again"]
    await reader.answer(True)
    assert control.cuts == 1


async def test_one_that_is_late_fails():
    @output_guardrail(timeout_s=0.01, on_failure="block")
    async def hangs(text):
        await asyncio.sleep(60)

    control = Control(hangs)
    control.end("text")
    await control.rest()
    [failed] = control.of(GuardrailFailed)
    assert "0.01 s" in failed.problem
    assert control.cuts == 1


# -- hold mode ------------------------------------------------------------------------------------


async def test_what_passes_is_let_go():
    reader = Reader()
    control = Control(output_guardrail(mode="hold")(reader))
    assert control.hold.speed == 1.2
    control.say("Hello ")
    await settle()
    control.say("there")
    assert control.hold.told == []
    await reader.answer(False)
    assert control.hold.told == [("a", "Hello ", False)]
    await reader.answer(False)
    control.end("Hello there")
    await reader.answer(False)
    assert control.hold.told[1:] == [("a", "Hello there", False), ("a", "Hello there", True)]


async def test_what_two_hold_back_has_to_pass_both():
    first, second = Reader(), Reader()
    watches = output_guardrail(lambda text: False)
    control = Control(
        output_guardrail(mode="hold")(first), output_guardrail(mode="hold")(second), watches
    )
    control.say("One ")
    await settle()
    await first.answer(False)
    assert control.hold.told == [("a", "", False)]
    control.say("two")
    await settle()
    await first.answer(False)
    await second.answer(False)
    assert control.hold.told[-1] == ("a", "One ", False)
    control.end("One two")
    await second.answer(False)
    await second.answer(False)
    assert control.hold.told[-1] == ("a", "One two", False)
    await first.answer(False)
    assert control.hold.told[-1] == ("a", "One two", True)
    await control.rest()


async def test_a_changed_speed_is_passed_on():
    control = Control(output_guardrail(mode="hold")(lambda text: False))
    config = control.config.changed(speed=1.5)
    control.feature.on_command(UpdateSession(config=config, changed=frozenset({"speed"})))
    assert control.hold.speed == 1.5


@pytest.mark.parametrize("policy", ["allow", "block"])
async def test_the_listeners_patience_ends(policy):
    reader = Reader()
    control = Control(output_guardrail(mode="hold", on_failure=policy)(reader))
    control.say("Hello")
    await settle()
    control.hold.late("a")
    [failed] = control.of(GuardrailFailed)
    assert "500 ms" in failed.problem
    assert failed.allowed is (policy == "allow")
    assert control.hold.told == (["let a go"] if policy == "allow" else [])
    assert control.cuts == (policy == "block")
    # Its word still counts.
    await reader.answer(True)
    assert control.cuts == 1
    await control.rest()


async def test_sound_without_any_words_is_late_as_well():
    control = Control(output_guardrail(mode="hold")(lambda text: False))
    control.hold.late("a")
    assert [e.allowed for e in control.of(GuardrailFailed)] == [False]
    assert control.cuts == 1


# -- the user's words -----------------------------------------------------------------------------


@input_guardrail
async def polite(text):
    return "damn" in text


async def test_the_answer_to_what_the_user_must_not_say_is_cut():
    control = Control(polite)
    control.tell(SpeechStarted(item_id="u"), InputCommitted(item_id="u"), STARTED)
    control.hear("damn you")
    await control.rest()
    assert control.cuts == 1
    assert control.commands == [RequestResponse(instructions=REPLACEMENT, at_once=True)]
    [tripped] = control.of(GuardrailTripped)
    assert (tripped.direction, tripped.action, tripped.item_id) == ("input", "replaced", "u")


async def test_an_answer_that_has_not_begun_is_cut_when_it_does():
    control = Control(polite)
    control.tell(SpeechStarted(item_id="u"), InputCommitted(item_id="u"))
    control.hear("damn you")
    await control.rest()
    assert control.cuts == 0
    assert [e.action for e in control.of(GuardrailTripped)] == ["replaced"]
    control.tell(STARTED)
    assert control.cuts == 1
    assert len(control.commands) == 1
    control.tell(ResponseDone(response_id="r"), ResponseStarted(response_id="r2"))
    assert control.cuts == 1


async def test_typed_words_are_read_too():
    control = Control(polite)
    control.execute(SendText(text="damn you"))
    await control.rest()
    control.tell(STARTED)
    assert control.cuts == 1
    control = Control(polite)
    control.execute(SendText(text="damn you", role="system"))
    await control.rest()
    control.tell(STARTED)
    assert control.cuts == 0


async def test_where_speech_is_not_reported_its_words_are_its_first_sign():
    control = Control(polite, reports_speech=False)
    control.tell(STARTED)
    control.hear("damn you")
    await control.rest()
    assert control.cuts == 1
    control = Control(polite, reports_speech=False)
    control.hear("damn you")
    await control.rest()
    control.tell(STARTED)
    assert control.cuts == 1


async def test_an_answer_is_held_until_the_user_was_read():
    reader = Reader()
    control = Control(input_guardrail(mode="hold")(reader))
    control.tell(SpeechStarted(item_id="u"), InputCommitted(item_id="u"), STARTED)
    assert control.hold.told == ["shut"]
    control.say("what ", "u", speaker="user")
    await reader.answer(False)
    assert control.hold.told == ["shut"]
    control.hear("what time is it")
    await reader.answer(False)
    assert control.hold.told == ["shut", "open"]
    control.tell(ResponseDone(response_id="r"), ResponseStarted(response_id="r2"))
    assert control.hold.told == ["shut", "open"]


async def test_an_answer_that_comes_after_the_reading_is_not_held():
    control = Control(input_guardrail(mode="hold")(lambda text: False))
    control.tell(SpeechStarted(item_id="u"), InputCommitted(item_id="u"))
    control.hear("what time is it")
    await control.rest()
    control.tell(STARTED)
    assert control.hold.told == []


async def test_a_greeting_answers_nobody():
    for reports_speech in (True, False):
        control = Control(
            input_guardrail(mode="hold")(lambda text: False), reports_speech=reports_speech
        )
        control.execute(RequestResponse(instructions="Greet."))
        control.tell(STARTED)
        assert control.hold.told == []


async def test_where_speech_is_not_reported_every_answer_may_be_to_some():
    control = Control(input_guardrail(mode="hold")(lambda text: False), reports_speech=False)
    for turn in ("1", "2"):
        control.hold.told.clear()
        started = ResponseStarted(response_id=turn)
        control.tell(started)
        assert control.hold.told == ["shut"]
        control.hear("what time is it", f"user-{turn}")
        await control.rest()
        assert control.hold.told == ["shut", "open"]
        control.tell(ResponseDone(response_id=turn), TurnEnded(response_id=turn))


async def test_late_words_of_an_older_turn_do_not_open_the_newer_one():
    control = Control(input_guardrail(mode="hold")(lambda text: False))
    control.tell(InputCommitted(item_id="u1"), InputCommitted(item_id="u2"), STARTED)
    control.hear("old", "u1")
    await control.rest()
    assert control.hold.told == ["shut"]
    control.hear("new", "u2")
    await control.rest()
    assert control.hold.told == ["shut", "open"]


@pytest.mark.parametrize("policy", ["allow", "block"])
async def test_a_transcript_that_does_not_come_is_late(policy):
    control = Control(input_guardrail(mode="hold", on_failure=policy)(lambda text: False))
    control.tell(InputCommitted(item_id="u"), STARTED)
    control.hold.late("a")
    assert [e.direction for e in control.of(GuardrailFailed)] == ["input"]
    assert control.cuts == (policy == "block")
    assert control.hold.told == (["shut", "open"] if policy == "allow" else ["shut"])


async def test_the_answer_in_place_of_a_refused_one_is_not_held():
    control = Control(input_guardrail(mode="hold")(lambda text: True))
    control.tell(InputCommitted(item_id="u"), STARTED)
    control.hear("damn")
    await control.rest()
    control.hold.told.clear()
    control.hold._shut = False  # a cut opens it
    control.tell(ResponseDone(response_id="r"), ResponseStarted(response_id="r2"))
    assert control.hold.told == []


async def test_the_end_of_a_refused_answer_does_not_hide_what_the_next_one_is_to():
    control = Control(input_guardrail(mode="hold")(lambda text: True), reports_speech=False)
    control.hear("damn")
    control.tell(STARTED)
    await control.rest()
    assert control.cuts == 1
    control.hold._shut = False
    control.hold.told.clear()
    control.tell(
        ResponseDone(response_id="r"),
        TurnEnded(response_id="r"),
        ResponseStarted(response_id="r2"),
    )
    assert control.hold.told == []


def test_without_transcripts_of_the_user_there_is_nothing_to_read():
    config = RealtimeConfig(transcription=False)
    with pytest.raises(ConfigurationError, match="transcript"):
        Guardrails([polite], config, ConversationHistory())
    Guardrails([output_guardrail(lambda text: False)], config, ConversationHistory())


TO_BILLING = HandedOff(from_agent="reception", to_agent="billing")


async def test_an_agent_s_own_guardrails_count_while_it_speaks():
    read = []

    def reads(who: str) -> Guardrail:
        return output_guardrail(name=who)(lambda text: bool(read.append((who, text))))

    control = Control(
        reads("always"),
        of_agents={"reception": [reads("reception")], "billing": [reads("billing")]},
    )
    control.end("Hello.", item="a")
    await control.rest()
    control.tell(TO_BILLING)
    control.end("Your bill.", item="b")
    await control.rest()
    assert sorted(read) == [
        ("always", "Hello."),
        ("always", "Your bill."),
        ("billing", "Your bill."),
        ("reception", "Hello."),
    ]


async def test_what_an_agent_says_is_held_only_if_its_own_guardrail_holds():
    reader = Reader()
    holds = output_guardrail(mode="hold")(reader)
    control = Control(of_agents={"reception": [], "billing": [holds]})
    control.say("Hel", item="a")
    control.say("lo.", item="a")
    control.end("Hello.", item="a")
    assert control.hold.told == [
        ("a", "Hel", False),
        ("a", "Hello.", False),
        ("a", "Hello.", True),
    ]
    control.hold.told.clear()
    control.tell(TO_BILLING)
    control.end("Your bill.", item="b")
    assert control.hold.told == []
    await reader.answer(False)
    assert control.hold.told == [("b", "Your bill.", True)]


async def test_an_answer_waits_for_the_reading_of_the_question_only_where_its_agent_wants_that():
    reader = Reader()
    holds = input_guardrail(mode="hold")(reader)
    control = Control(of_agents={"reception": [], "billing": [holds]})
    control.tell(SpeechStarted(item_id="u1"), ResponseStarted(response_id="r1"))
    assert not control.hold.shut
    control.tell(TO_BILLING, SpeechStarted(item_id="u2"), ResponseStarted(response_id="r2"))
    assert control.hold.shut
