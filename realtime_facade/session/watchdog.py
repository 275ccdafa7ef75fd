"""Notices that an answer does not come, and does something about it, a step at a time.

Not by pings: some providers answer them after half a minute, while they talk. What must come is
an answer to what was said, and something new of an answer that has begun.
"""

import asyncio
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..audio.playback import Playback
from ..commands import RequestResponse, SendText
from ..events import (
    AnswerStalled,
    AudioDropped,
    ConnectionChanged,
    Event,
    ResponseDone,
    ResponseStarted,
)
from .carried import ANSWER_NOW, Carried
from .observer import Control
from .state import Conversation, Phase

Step = Literal["nudge", "ask_again", "reconnect"]
LADDER: tuple[Step, ...] = ("nudge", "ask_again", "reconnect")
CLOGGED_S = 3.0
"""So long may the network take no audio before it is taken for dead."""
VOICED_MS = 300
"""So much of a voice must have been sent for silence to be an answer that is missing."""
DETECTION_S = 1.0
"""What the provider says so soon after a sound need not be about it."""
FRAME_MS = 20
AUDIBLE, LOUDER = 180.0, 3.2
"""A voice is louder than -45 dB and than the room by 10 dB."""


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
        self._heard_at = self._sent_at = _now()
        self._due_since: float | None = None
        self._timer: asyncio.Task[None] | None = None
        self._steps = 0
        self._is_connected = False
        self._clogged_at: float | None = None
        self._unheard_bytes = 0
        self._unheard_since = 0.0
        self._patience = 1
        """Grows with every change of the connection that did not help."""

    def heard(self) -> None:
        """The provider said something, whatever it was."""
        self._heard_at = _now()
        self._clogged_at = None
        if self._heard_at - self._unheard_since > DETECTION_S:
            self._unheard_bytes = 0

    def on_event(self, event: Event) -> None:
        """Learn what is due."""
        match event:
            case ResponseStarted() | ResponseDone(status="completed"):
                self._steps, self._patience = 0, 1
            case ConnectionChanged():
                # Nobody can be asked for anything meanwhile.
                self._is_connected = event.state == "connected"
                self.heard()
            case AudioDropped(direction="input"):
                self._clog()
        self.consider()

    def consider(self) -> None:
        """Watch if something is due; called whenever that may have changed."""
        if self._is_connected and self._see_what_is_due() and self._timer is None:
            self._wait(self._limit_s())

    def sent(self, audio_bytes: int) -> None:
        """Microphone audio went out. Some providers say nothing while they listen."""
        self._sent_at = _now()
        if not self._unheard_bytes:
            self._unheard_since = self._sent_at
        self._unheard_bytes += audio_bytes
        if self._timer is None and (limit_s := self._limit_s()):
            self._wait(limit_s)

    # -- inside -------------------------------------------------------------------------------

    def _limit_s(self) -> float:
        return self._control.config.stall_timeout_s or 0.0

    @property
    def _waited_s(self) -> float:
        """Since the provider was last heard of, or since something is due."""
        return _now() - max(self._heard_at, self._due_since or 0.0)

    def _see_what_is_due(self) -> bool:
        if not self._is_due():
            self._due_since = None
        elif self._due_since is None:
            self._due_since = _now()
        return self._due_since is not None

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
        if not self._is_connected:
            return
        due = self._see_what_is_due()
        # Some providers end a turn only when it must have been heard.
        left_s = self._limit_s() + self._playback.pending_ms / 1_000
        if due:
            left_s -= self._waited_s
        elif self._unheard_bytes:
            left_s = left_s * self._patience - self._unanswered_s()
        else:
            return
        if left_s > 0:
            self._wait(left_s)
            return
        step: Step = "reconnect"
        if due and self._conversation.phase is Phase.THINKING:
            step = LADDER[min(self._steps, len(LADDER) - 1)]
        self._steps = 0 if step == "reconnect" else self._steps + 1
        if not due:
            # What sounded like a voice may have been none.
            self._patience *= 2
        if self._take(step):
            self.consider()

    def _unanswered_s(self) -> float:
        """How long ago the user ended something of which the provider has said nothing."""
        pcm = self._carried.turn.recent_bytes(self._unheard_bytes)
        rate = self._control.config.input_rate
        voiced = np.flatnonzero(_voiced(pcm, rate))
        since_s = _now() - self._sent_at
        if len(voiced) * FRAME_MS < VOICED_MS:
            if since_s > self._limit_s():
                self._unheard_bytes = 0
            return 0.0
        quiet_ms = len(pcm) * 500 / rate - (int(voiced[-1]) + 1) * FRAME_MS
        # By the clock as well: a file is sent faster than anybody can answer.
        return min(quiet_ms / 1_000 + since_s, _now() - self._heard_at)

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
        waited_ms = self._waited_s * 1_000
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


def _voiced(pcm: bytes, rate: int) -> npt.NDArray[np.bool_]:
    """Which frames of `FRAME_MS` are clearly louder than the quieter ones around them."""
    frame = rate * FRAME_MS // 1_000
    samples = np.frombuffer(pcm, "<i2")
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame).astype(np.float32)
    if not len(frames):
        return np.zeros(0, np.bool_)
    levels = np.sqrt(np.square(frames).mean(axis=1))
    loud: npt.NDArray[np.bool_] = levels > max(np.percentile(levels, 10) * LOUDER, AUDIBLE)
    return loud


def _now() -> float:
    return asyncio.get_running_loop().time()
