"""The user's side of a long conversation: a microphone, a loudspeaker, and somebody who listens."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from endurance_script import RATE, TARRY_S, Turn, Words, found, speech

from realtime_facade import AudioChunk, ConnectionChanged, Event, Session
from realtime_facade.devices.clocked import ClockedSpeaker
from realtime_facade.devices.tape import Samples
from realtime_facade.session.observer import Control, Observer
from realtime_facade.session.state import Phase

PATIENCE_S = 600.0
"""For an answer: nothing takes so long but what never comes."""
FRAME_MS = 100
STEP_S = 0.5
FAILURES = ("error", "answer_stalled", "audio_dropped")


class Speaker(ClockedSpeaker):
    """Writes down the words that are heard, and how long it had nothing to play."""

    def __init__(self) -> None:
        super().__init__(RATE, 0.0, asyncio.get_running_loop().time)
        self.words = Words()
        self.dry_ms = 0.0
        """Between what was written last and the sound before it."""
        self._silent_since = 0

    def write(self, pcm: bytes) -> None:
        self.dry_ms = 0.0
        if not self.is_playing:
            self.dry_ms = (self._done - self._silent_since) * 1_000 / RATE
        super().write(pcm)

    def _sound(self, heard: Samples) -> None:
        if heard.any():
            self.words.hear(heard)
            self._silent_since = self._done - (len(heard) - int(heard.nonzero()[0][-1]) - 1)


class Watch(Observer):
    """Gaps within what is said, and what happens to the connection meanwhile."""

    wants_audio = True

    def __init__(self, speaker: Speaker) -> None:
        self.gaps_ms: list[float] = []
        self.changes: list[dict[str, Any]] = []
        self.events: Counter[str] = Counter()
        self.sounded_at: float | None = None
        """When the first sound came since it was None."""
        self.renewing = asyncio.Event()
        self._speaker = speaker
        self._item = ""
        self._open = False

    @property
    def is_connected(self) -> bool:
        return self.changes[-1]["state"] == "connected"

    def attach(self, control: Control) -> None:
        self._control = control

    def on_event(self, event: Event) -> None:
        if isinstance(event, AudioChunk):
            if event.data:
                if self._open and event.item_id == self._item and self._speaker.dry_ms:
                    self.gaps_ms.append(self._speaker.dry_ms)
                if self.sounded_at is None:
                    self.sounded_at = asyncio.get_running_loop().time()
            self._item, self._open = event.item_id, not event.is_final
            return
        self.events[event.type] += 1
        if isinstance(event, ConnectionChanged):
            self.changes.append(
                {
                    "at_s": asyncio.get_running_loop().time(),
                    "state": event.state,
                    "reason": event.reason,
                    "gap_ms": event.gap_ms,
                    "phase": str(self._control.phase),
                    "within_item": self._open,
                    "to_be_heard_ms": round(self._control.playback.pending_ms),
                }
            )
            if event.state == "renewing":
                self.renewing.set()


class Microphone:
    """Always on; silent while the user does not speak."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting = bytearray()
        self._said: asyncio.Future[None] | None = None

    async def say(self, pcm: bytes) -> None:
        """Speak; returns when the last of it was sent."""
        self._waiting += pcm
        self._said = asyncio.get_running_loop().create_future()
        await self._said

    async def run(self) -> None:
        loop, size = asyncio.get_running_loop(), RATE * FRAME_MS // 1_000 * 2
        due = loop.time()
        while True:
            frame = bytes(self._waiting[:size]).ljust(size, b"\0")
            del self._waiting[:size]
            await self._session.send_audio(frame)
            if self._said is not None and not self._waiting:
                self._said.set_result(None)
                self._said = None
            due += FRAME_MS / 1_000
            await asyncio.sleep(due - loop.time())


class Effects:
    """The tools, and how often each thing was done."""

    def __init__(self, seed: int) -> None:
        self.done: Counter[int] = Counter()
        self._dice = random.Random(f"effects {seed}")

    async def look_up(self, number: int) -> str:
        """Look a thing up."""
        self.done[number] += 1
        await asyncio.sleep(self._dice.uniform(0, 3))
        return found(number)

    async def tarry(self, number: int) -> str:
        """Look a thing up that takes long."""
        self.done[number] += 1
        await asyncio.sleep(TARRY_S)
        return found(number)


class Conversation:
    """The user's side of it."""

    def __init__(self, session: Session, watch: Watch, speaker: Speaker, seed: int) -> None:
        self._session, self._watch, self._speaker = session, watch, speaker
        self._dice = random.Random(f"user {seed}")
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self.turns = 0
        """Those that were answered."""
        self.heard: list[str] = []
        """The answers, as they sounded."""
        self.waits_ms: list[float] = []
        """From the end of the user's words to the first sound of the answer."""

    async def hold(self, turns: Sequence[Turn]) -> None:
        """Say everything, and listen to each answer to its end or to where it is cut short."""
        microphone = Microphone(self._session)
        sending = asyncio.create_task(microphone.run())
        try:
            for turn, following in zip(turns, [*turns[1:], None], strict=True):
                await self._wait_for(turn)
                await self._say(turn, microphone)
                cut = following is not None and following.cuts_in
                await self._listen(turn, cut_short=cut)
                self.turns += 1
            done_at = self._loop.time()
            while not self._watch.is_connected:
                await self._pause(done_at, "the connection is not made again")
        finally:
            sending.cancel()
            await asyncio.wait([sending])

    async def _wait_for(self, turn: Turn) -> None:
        """Until it is due, or the connection is being changed: that is when users like to speak."""
        due = self._began + turn.at_s
        if turn.cuts_in:
            return
        self._watch.renewing.clear()
        try:
            async with asyncio.timeout_at(due):
                await self._watch.renewing.wait()
                if self._dice.random() < 0.75:
                    due = self._loop.time() + self._dice.uniform(0, 1.5)
        except TimeoutError:
            return
        await asyncio.sleep(due - self._loop.time())

    async def _say(self, turn: Turn, microphone: Microphone) -> None:
        if turn.spoken:
            await microphone.say(speech(turn.words))
            self._watch.sounded_at = None
        else:
            self._watch.sounded_at = None
            await self._session.send_text(turn.words)

    async def _listen(self, turn: Turn, *, cut_short: bool) -> None:
        said_at = self._loop.time()
        while self._watch.sounded_at is None:
            await self._pause(said_at, f"no answer to turn {turn.number}")
        if not turn.calls:
            self.waits_ms.append((self._watch.sounded_at - said_at) * 1_000)
        if cut_short:
            await asyncio.sleep(self._dice.uniform(0.5, 5))
            return
        while self._session.phase is not Phase.LISTENING or self._session.playback.pending_ms:
            await self._pause(said_at, f"turn {turn.number} does not end")
        self.heard.append(" ".join(self._speaker.words.take()))

    async def _pause(self, since: float, problem: str) -> None:
        await asyncio.sleep(STEP_S)
        if not self._session.is_active:
            raise AssertionError(f"{problem}: the session has ended")
        if self._loop.time() - since > PATIENCE_S:
            raise AssertionError(problem)
