from hypothesis import given
from hypothesis import strategies as st

from realtime_facade.audio.playback import Cut, Playback

RATE = 1000  # one sample is one millisecond


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Sink:
    def __init__(self) -> None:
        self.written = b""
        self.played: float | None = 0.0

    def write(self, pcm: bytes) -> None:
        self.written += pcm

    def clear(self) -> None:
        self.written = b""

    def played_ms(self) -> float | None:
        return self.played


def samples(count: int) -> bytes:
    return bytes(2 * count)


def test_the_sink_gets_the_audio_and_says_what_was_heard():
    sink = Sink()
    playback = Playback(RATE, sink=sink)
    playback.write("a", samples(100))
    sink.played = 30.0
    assert (playback.progress("a"), playback.pending_ms) == ((30, 100), 70.0)
    assert not playback.estimated
    assert len(sink.written) == 200


def test_nothing_is_heard_beyond_what_was_received():
    sink = Sink()
    playback = Playback(RATE, sink=sink)
    playback.write("a", samples(100))
    sink.played = 5000.0
    assert playback.position == 100
    assert playback.cut() == ()


def test_the_position_never_goes_back():
    sink = Sink()
    playback = Playback(RATE, sink=sink)
    playback.write("a", samples(100))
    sink.played = 60.0
    assert playback.position == 60
    sink.played = 20.0
    assert playback.position == 60


def test_a_cut_names_only_what_lost_audio():
    sink = Sink()
    playback = Playback(RATE, sink=sink)
    for item in ("a", "b", "c"):
        playback.write(item, samples(100))
    sink.played = 150.0
    assert playback.cut() == (Cut("b", 50, 100), Cut("c", 0, 100))
    assert sink.written == b""
    assert playback.cut() == ()


def test_an_item_in_two_pieces_is_counted_as_one():
    sink = Sink()
    playback = Playback(RATE, sink=sink)
    playback.write("a", samples(100))
    playback.write("b", samples(10))
    playback.write("a", samples(100))
    sink.played = 120.0
    assert playback.cut() == (Cut("a", 110, 200),)


def test_after_a_cut_the_next_item_starts_where_hearing_ended():
    sink = Sink()
    playback = Playback(RATE, sink=sink)
    playback.write("a", samples(100))
    sink.played = 40.0
    playback.cut()
    playback.write("b", samples(100))
    sink.played = 65.0
    assert playback.progress("b") == (25, 100)
    assert playback.cut() == (Cut("b", 25, 100),)


def test_reports_of_the_application_count_from_the_start():
    playback = Playback(RATE)
    playback.write("a", samples(100))
    assert playback.estimated
    playback.report(70)
    playback.report(50)
    assert not playback.estimated
    assert playback.cut() == (Cut("a", 70, 100),)


def test_without_reports_the_clock_plays():
    clock = Clock()
    playback = Playback(RATE, clock=clock)
    playback.write("a", samples(1000))
    clock.now += 0.25
    assert (playback.progress("a"), playback.estimated) == ((250, 1000), True)
    playback.write("a", samples(1000))
    clock.now += 0.25
    assert playback.progress("a") == (500, 2000)


def test_the_estimate_stops_while_there_is_nothing_to_play():
    clock = Clock()
    playback = Playback(RATE, clock=clock)
    playback.write("a", samples(100))
    clock.now += 10
    playback.write("a", samples(100))
    assert playback.progress("a") == (100, 200)
    clock.now += 0.03
    assert playback.progress("a") == (130, 200)


def test_a_sink_that_does_not_know_is_estimated():
    sink, clock = Sink(), Clock()
    sink.played = None
    playback = Playback(RATE, sink=sink, clock=clock)
    playback.write("a", samples(100))
    clock.now += 0.05
    assert (playback.position, playback.estimated) == (50, True)


def test_skipped_silence_counts_as_heard_with_what_follows_it():
    sink = Sink()
    playback = Playback(RATE, sink=sink)
    playback.write("a", samples(100), skipped=40)
    assert playback.progress("a") == (0, 140)
    playback.write("b", samples(100), skipped=200)
    sink.played = 30.0
    assert playback.progress("a") == (70, 140)
    sink.played = 150.0
    assert playback.progress("a") is None
    assert playback.cut() == (Cut("b", 250, 300),)
    assert playback.skipped_ms == 240


def test_an_item_of_which_only_skipped_silence_passed_was_not_heard():
    playback = Playback(RATE, sink=Sink())
    playback.write("a", samples(100), skipped=40)
    assert playback.cut() == (Cut("a", 0, 140),)


def test_only_a_sink_that_can_hold_is_held():
    class Holding(Sink):
        can_hold = True
        held = False

        def hold(self) -> None:
            self.held = True

        def resume(self) -> None:
            self.held = False

    sink = Holding()
    playback = Playback(RATE, sink=sink)
    assert playback.can_hold
    playback.hold()
    assert sink.held
    playback.resume()
    assert not sink.held
    sink.can_hold = False
    assert not playback.can_hold
    assert not Playback(RATE, sink=Sink()).can_hold
    assert not Playback(RATE).can_hold


def test_heard_items_leave_no_trace():
    sink = Sink()
    playback = Playback(RATE, sink=sink)
    for number in range(1000):
        playback.write(f"item-{number}", samples(10))
        sink.played = 10.0 * (number + 1)
    assert len(playback._spans) <= 2


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.sampled_from("abc"), st.integers(0, 500)),
            st.tuples(st.just("play"), st.just(""), st.integers(0, 500)),
            st.tuples(st.just("cut"), st.just(""), st.just(0)),
        ),
        max_size=40,
    )
)
def test_the_ledger_agrees_with_a_tape(steps):
    """A tape of single samples, each labelled with its item, says what was really heard."""
    sink = Sink()
    playback = Playback(RATE, sink=sink)
    tape: list[str] = []
    heard = 0
    for what, item, count in steps:
        if what == "write":
            playback.write(item, samples(count))
            tape += [item] * count
        elif what == "play":
            heard = min(heard + count, len(tape))
            sink.played = float(heard)
        else:
            lost = {c.item_id: c for c in playback.cut()}
            assert set(lost) == set(tape[heard:])
            for item_id, cut in lost.items():
                assert cut.received - cut.heard == tape[heard:].count(item_id)
                assert 0 <= cut.heard <= cut.received
            del tape[heard:]
        assert playback.position == heard
        assert playback.pending_ms == len(tape) - heard
