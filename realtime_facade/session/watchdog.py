"""Notices that an answer does not come, and does something about it, a step at a time.

Not by pings: some providers answer them after half a minute, while they talk. What must come is
an answer to what was said, and something new of an answer that has begun.
"""

import asyncio
from collections.abc import Callable
from typing import Literal

import numpy as np

from ..audio.playback import Playback
from ..audio.resample import Resampler
from ..audio.vad import EnergyVad
from ..commands import RequestResponse, SendText
from ..events import AnswerStalled, AudioDropped, Event, ResponseDone, ResponseStarted
from .carried import ANSWER_NOW, Carried
from .observer import Control
from .state import Conversation, Phase

Step = Literal["nudge", "ask_again", "reconnect"]
LADDER: tuple[Step, ...] = ("nudge", "ask_again", "reconnect")
CLOGGED_S = 3.0
"""So long may the network take no audio before it is taken for dead."""
VOICED_MS = 600
LOOK_BACK_MS = 5_000
"""So much of a voice must have been sent lately for silence to be an answer that is missing."""


class Watchdog:
    """Watches one conversation; silent for as long as things come when they are due.

    Args:
        control: To act.
        conversation: What is due.
        playback: What is still to be heard: nothing new is due before its end.
        carried: The microphone's audio and the words that wait for an answer.
        ask: Sends something that the conversation has in it already.
        reconnect: Changes to a fresh connection.
    """

    def __init__(
        self,
        control: Control,
        conversation: Conversation,
        playback: Playback,
        carried: Carried,
        ask: Callable[[RequestResponse | SendText], None],
        reconnect: Callable[[str], None],
    ) -> None:
        self.count = 0
        """Steps taken in this session."""
        self._control = control
        self._conversation = conversation
        self._playback = playback
        self._carried = carried
        self._ask = ask
        self._reconnect = reconnect
        self._heard_at = _now()
        self._timer: asyncio.Task[None] | None = None
        self._steps = 0
        self._clogged_at: float | None = None
        self._unheard_bytes = 0
        self._patience = 1
        """Grows with every change of the connection that did not help."""

    def heard(self) -> None:
        """The provider said something, whatever it was."""
        self._heard_at = _now()
        self._unheard_bytes = 0
        self._clogged_at = None

    def on_event(self, event: Event) -> None:
        """Learn what is due."""
        match event:
            case ResponseStarted() | ResponseDone(status="completed"):
                self._steps, self._patience = 0, 1
            case AudioDropped(direction="input"):
                self._clog()
        self.consider()

    def consider(self) -> None:
        """Watch if something is due; called whenever that may have changed."""
        if self._timer is None and self._is_due():
            self._wait(self._limit_s())

    def sent(self, audio_bytes: int) -> None:
        """Microphone audio went out. For providers that say nothing while they listen."""
        limit_s = self._limit_s()
        if not limit_s:
            return
        self._unheard_bytes += audio_bytes
        rate = self._control.config.input_rate
        silent_s = limit_s * self._patience
        # By the clock as well: a file is sent faster than anybody can answer.
        if self._unheard_bytes >= 2 * rate * silent_s and _now() - self._heard_at >= silent_s:
            self._unheard_bytes = 0
            if self._conversation.phase in (Phase.LISTENING, Phase.HEARING) and _has_voice(
                self._carried.turn.recent(LOOK_BACK_MS), rate
            ):
                self._patience *= 2
                self._take("reconnect")

    # -- inside -------------------------------------------------------------------------------

    def _limit_s(self) -> float:
        return self._control.config.stall_timeout_s or 0.0

    def _is_due(self) -> bool:
        state = self._conversation
        if not self._limit_s() or state.open_calls:
            return False
        if state.phase is Phase.ANSWERING:
            return True
        # A model that may hold its tongue owes an answer only to who asks for one.
        owes = state.asked or self._control.profile.answers_every_turn
        return state.phase is Phase.THINKING and owes

    def _wait(self, delay_s: float) -> None:
        self._timer = self._control.call_later(delay_s, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._is_due():
            return
        # Some providers end a turn only when it must have been heard.
        left_s = self._limit_s() - (_now() - self._heard_at) + self._playback.pending_ms / 1_000
        if left_s > 0:
            self._wait(left_s)
            return
        answering = self._conversation.phase is Phase.ANSWERING
        step = "reconnect" if answering else LADDER[min(self._steps, len(LADDER) - 1)]
        self._steps = 0 if step == "reconnect" else self._steps + 1
        if not self._take(step):
            return
        self.consider()

    def _clog(self) -> None:
        self._clogged_at = self._clogged_at or _now()
        if self._limit_s() and _now() - self._clogged_at > CLOGGED_S:
            self._clogged_at = None
            self._take("reconnect")

    def _take(self, step: Step) -> bool:
        """Do something about it; False if there is nothing that may be done."""
        if step == "reconnect" and not self._control.config.reconnect:
            return False
        self.count += 1
        waited_ms = (_now() - self._heard_at) * 1_000
        self._heard_at = _now()
        self._control.emit(AnswerStalled(step=step, waited_ms=waited_ms, count=self.count))
        words = "\n".join(self._conversation.unanswered)
        if step == "reconnect":
            self._reconnect("the provider has stopped answering")
        elif step == "ask_again" and words:
            self._ask(SendText(text=words))
        else:
            self._ask(RequestResponse(instructions=ANSWER_NOW))
        return True


def _has_voice(pcm: bytes, rate: int) -> bool:
    vad = EnergyVad()
    judged = Resampler(rate, vad.sample_rate).push(pcm)
    step = vad.frame_samples * 2
    frames = [judged[at : at + step] for at in range(0, len(judged) - step + 1, step)]
    voiced = np.array([vad.speech_probability(frame) >= 0.5 for frame in frames], bool)
    return int(voiced.sum()) * vad.frame_samples * 1_000 // vad.sample_rate >= VOICED_MS


def _now() -> float:
    return asyncio.get_running_loop().time()
