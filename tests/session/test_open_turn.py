import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_facade.audio.pcm import silence
from realtime_facade.commands import CommitAudio, EndAudio
from realtime_facade.session.open_turn import IDLE_MS, ONSET_MS, TURN_LIMIT_S, OpenTurn, Piece

RATE = 24_000


def voice(ms: float, value: int = 3_000) -> bytes:
    return np.full(round(ms * RATE / 1000), value, "<i2").tobytes()


def pieces(turn: OpenTurn) -> list[Piece]:
    return [piece for _, piece in turn.replay()]


def heard(turn: OpenTurn) -> bytes:
    return b"".join(piece for piece in pieces(turn) if isinstance(piece, bytes))


@pytest.fixture
def turn() -> OpenTurn:
    return OpenTurn(RATE)


def test_of_silence_the_last_moment_is_kept(turn):
    for _ in range(100):
        turn.add(silence(20, RATE))
    assert heard(turn) == silence(IDLE_MS, RATE)


def test_less_silence_than_a_moment_is_kept_whole(turn):
    turn.add(silence(100, RATE))
    assert heard(turn) == silence(100, RATE)


def test_speech_is_kept_with_a_moment_before_it(turn):
    turn.add(silence(2_000, RATE))
    turn.add(voice(500))
    turn.add(silence(700, RATE))
    assert heard(turn) == silence(IDLE_MS, RATE) + voice(500) + silence(700, RATE)


def test_nothing_is_kept_once_an_answer_has_begun(turn):
    turn.add(voice(500))
    turn.close(CommitAudio())
    turn.answered()
    assert turn.replay() == []


def test_the_question_comes_back_when_nothing_was_heard_of_its_answer(turn):
    turn.add(voice(300, 1_000))
    turn.answered()
    turn.add(voice(500, 2_000))
    turn.close(EndAudio())
    turn.answered()
    turn.add(voice(100, 3_000))
    turn.unanswered()
    assert pieces(turn) == [voice(500, 2_000), EndAudio(), voice(100, 3_000)]
    turn.unanswered()
    assert heard(turn) == voice(500, 2_000) + voice(100, 3_000), "it comes back once"


def test_what_was_withdrawn_does_not_come_back(turn):
    turn.add(voice(500))
    turn.answered()
    turn.add(voice(500))
    turn.forget()
    turn.unanswered()
    assert turn.replay() == []


def test_the_turn_ends_where_the_application_ended_it(turn):
    turn.add(voice(200))
    turn.close(CommitAudio())
    turn.add(voice(100, 2_000))
    assert turn.is_committed
    assert pieces(turn) == [voice(200), CommitAudio(), voice(100, 2_000)]


def test_an_end_without_audio_is_kept_too(turn):
    turn.close(CommitAudio())
    turn.close(EndAudio())
    assert pieces(turn) == [EndAudio()], "the last word counts"
    assert not turn.is_committed


def test_a_committed_silence_keeps_its_moment(turn):
    turn.add(silence(2_000, RATE))
    turn.close(CommitAudio())
    turn.add(silence(2_000, RATE))
    turn.add(voice(20))
    first, end, *rest = pieces(turn)
    assert (first, end) == (silence(IDLE_MS, RATE), CommitAudio())
    assert b"".join(rest) == silence(2_000, RATE) + voice(20)


def test_what_came_long_before_speech_is_no_part_of_it(turn):
    for _ in range(250):
        turn.add(voice(20, 500))
    turn.speech_started()
    assert heard(turn) == voice(ONSET_MS, 500)


def test_the_providers_position_counts_where_audio_was_sent_ahead(turn):
    for _ in range(250):
        turn.add(voice(20))
    turn.speech_started(audio_ms=1_500)
    assert heard(turn) == voice(3_500)


def test_a_position_just_now_still_keeps_the_moment_before(turn):
    for _ in range(250):
        turn.add(voice(20))
    turn.speech_started(audio_ms=4_990)
    assert heard(turn) == voice(ONSET_MS)


def test_positions_begin_anew_with_a_connection(turn):
    for _ in range(250):
        turn.add(voice(20))
    turn.answered()
    turn.joined(turn.recent(500))
    for _ in range(150):
        turn.add(voice(20, 2_000))
    turn.speech_started(audio_ms=1_000)
    assert heard(turn) == voice(2_000, 2_000)


def test_positions_begin_with_what_a_connection_was_given_again(turn):
    turn.add(silence(3_000, RATE))
    turn.add(voice(1_000))
    turn.replay()  # 300 ms of silence and the voice
    for _ in range(100):
        turn.add(voice(20, 2_000))
    turn.speech_started(audio_ms=1_300)
    assert heard(turn) == voice(2_000, 2_000)


def test_half_a_minute_is_kept(turn):
    dropped = sum(turn.add(voice(100, 1 + i // 10)) for i in range(10 * 40))
    assert len(turn.recent(60_000)) == 2 * TURN_LIMIT_S * RATE
    assert dropped == 2 * 10 * RATE


def test_only_what_no_connection_heard_is_lost(turn):
    """A microphone that has been silent for long is dropped all the time; nobody misses it."""
    for _ in range(400):
        assert turn.add(silence(100, RATE), is_heard=True) == 0
    lost = [turn.add(voice(100)) for _ in range(310)]
    assert lost == [0] * 300 + [2 * RATE // 10] * 10


@pytest.mark.parametrize("ms", [0, 1, 20, 500])
def test_recent_audio_is_the_newest(turn, ms):
    turn.add(voice(300, 1_000))
    turn.add(voice(100, 2_000))
    assert turn.recent(ms) == (voice(300, 1_000) + voice(100, 2_000))[-48 * ms :] * (ms > 0)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("audio"), st.integers(1, 4_000)),
            st.tuples(st.sampled_from(["commit", "end", "answered", "unanswered"]), st.just(0)),
        ),
        max_size=30,
    )
)
def test_all_that_is_owed_comes_once_and_in_order(steps):
    """Loud audio under the limit: nothing may be trimmed."""
    turn, owed, answered = OpenTurn(RATE), [], []
    for number, (what, samples) in enumerate(steps, 1):
        if what == "audio":
            pcm = np.full(samples, 200 + number, "<i2").tobytes()
            turn.add(pcm)
            owed.append(pcm)
        elif what == "answered":
            turn.answered()
            owed, answered = [], owed
        elif what == "unanswered":
            turn.unanswered()
            owed, answered = answered + owed, []
        else:
            turn.close(CommitAudio() if what == "commit" else EndAudio())
    assert heard(turn) == b"".join(owed)
