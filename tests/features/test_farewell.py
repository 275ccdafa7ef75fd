"""The running turn is finished and heard, then the session ends."""

from collections.abc import Callable

from realtime_facade.audio.playback import Playback
from realtime_facade.events import (
    ErrorOccurred,
    Event,
    Interrupted,
    ResponseDone,
    ResponseStarted,
    SpeechStarted,
    SpeechStopped,
    TurnEnded,
)
from realtime_facade.features.farewell import PATIENCE_S, Farewell
from realtime_facade.session.state import Conversation, Phase

RATE = 24_000


class Session:
    """A session whose time passes when `wait` is called."""

    def __init__(self) -> None:
        self.now = 0.0
        self.playback = Playback(RATE, clock=lambda: self.now)
        self.conversation = Conversation(answers_speech=True)
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.ended: list[tuple[float, str]] = []
        self.feature = Farewell()
        self.feature.attach(self)

    @property
    def phase(self) -> Phase:
        return self.conversation.phase

    def leave(self) -> None:
        self.feature.leave("enough")

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        self.timers.append((self.now + delay_s, callback))

    def hang_up(self, reason: str) -> None:
        if not self.ended:
            self.ended.append((round(self.now, 3), reason))

    def happen(self, *events: Event) -> None:
        for event in events:
            self.conversation.on_event(event)
            self.feature.on_event(event)

    def say(self, seconds: float) -> None:
        """Begin an answer, which arrives in no time."""
        self.happen(ResponseStarted(response_id="r"))
        self.playback.write("a", bytes(2 * round(seconds * RATE)))
        self.happen(ResponseDone(response_id="r"))

    def end_turn(self) -> None:
        self.happen(TurnEnded(response_id="r"))

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer[0] <= end]:
            timer = min(due, key=lambda timer: timer[0])
            self.timers.remove(timer)
            self.now = max(self.now, timer[0])
            timer[1]()
        self.now = end


def test_nobody_leaves_unasked():
    session = Session()
    session.say(1)
    session.end_turn()
    session.wait(60)
    assert session.ended == []


def test_what_is_being_said_is_heard_to_its_end():
    session = Session()
    session.say(3)
    session.leave()
    session.end_turn()
    session.wait(2.9)
    assert session.ended == []
    session.wait(1)
    assert session.ended == [(3.0, "enough")]


def test_where_nothing_is_said_or_due_it_ends_at_once():
    session = Session()
    session.leave()
    assert session.ended == [(0.0, "enough")]


def test_after_an_answer_its_rest_is_heard():
    session = Session()
    session.say(2)
    session.end_turn()
    session.wait(1)
    session.leave()
    session.wait(5)
    assert session.ended == [(2.0, "enough")]


def test_a_loudspeaker_that_lags_is_waited_for():
    session = Session()
    session.say(1)
    session.leave()
    session.end_turn()
    session.playback.report(0)
    session.wait(2)
    assert session.ended == []
    session.playback.report(1000)
    session.wait(2)
    assert len(session.ended) == 1


def test_tools_and_what_is_said_about_them_belong_to_the_turn():
    session = Session()
    session.say(1)
    session.leave()
    session.wait(60)
    assert session.ended == []
    session.say(1)
    session.end_turn()
    session.wait(1.5)
    assert session.ended == [(61.0, "enough")]


def test_whoever_cuts_in_on_the_last_words_ends_it():
    session = Session()
    session.say(10)
    session.leave()
    session.end_turn()
    session.wait(2)
    session.happen(SpeechStarted())
    assert session.ended == []
    session.playback.cut()
    session.happen(Interrupted())
    assert session.ended == [(2.0, "enough")]


def test_no_further_answer_begins():
    session = Session()
    session.say(10)
    session.leave()
    session.end_turn()
    session.happen(ResponseStarted(response_id="next"))
    assert session.ended == [(0.0, "enough")]


def test_the_user_gets_the_answer_that_is_due():
    session = Session()
    session.happen(SpeechStarted(), SpeechStopped())
    session.leave()
    assert session.ended == []
    session.say(1)
    session.end_turn()
    session.wait(2)
    assert session.ended == [(1.0, "enough")]


def test_an_answer_that_fails_is_not_waited_for():
    session = Session()
    session.happen(SpeechStarted(), SpeechStopped())
    session.leave()
    session.happen(ErrorOccurred(message="no answer today"))
    assert session.ended == [(0.0, "enough")]


def test_an_answer_that_does_not_come_is_waited_for_so_long():
    session = Session()
    session.happen(SpeechStarted(), SpeechStopped())
    session.leave()
    session.wait(60)
    assert session.ended == [(PATIENCE_S, "enough")]


def test_a_user_who_speaks_for_long_is_let_finish():
    session = Session()
    session.happen(SpeechStarted())
    session.leave()
    session.wait(2 * PATIENCE_S + 1)
    assert session.ended == []
    session.happen(SpeechStopped())
    session.wait(PATIENCE_S)
    assert len(session.ended) == 1
