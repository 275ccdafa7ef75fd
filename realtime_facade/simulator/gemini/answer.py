"""One turn of a simulated Gemini model: from the decision what to say to `turnComplete`."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ..line import Line
from ..parts import Call, Message, Mind, Say, ToolOutput, Voice
from ..record import CallMade
from ..settings import SessionSettings
from ..speaking import SpokenChunk, generate
from .memory import Conversation, Spent, audio_tokens, text_tokens, usage
from .setup import Setup

OUTPUT_RATE = 24_000
_FILLER_EVERY = 4
"""Audio messages between two empty ones, on the families that send those."""
_THOUGHT = "**Considering the answer**\n\nI am thinking about what the user said."


@dataclass(slots=True)
class Batch:
    """The calls of one `toolCall` message, and what became of them."""

    calls: dict[str, Call]
    """By id; those without a final response."""
    blocking: bool
    outputs: list[ToolOutput] = field(default_factory=list)
    scheduling: set[str] = field(default_factory=set)
    answered: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, kw_only=True)
class Model:
    """What the answers of one session are made from."""

    setup: Setup
    """Replaced as a whole when the client updates the context."""
    conversation: Conversation
    mind: Mind
    voice: Voice
    settings: SessionSettings
    line: Line
    send: Callable[[dict[str, Any]], Awaitable[None]]
    offer_handle: Callable[[], Awaitable[None]]
    """Send a handle for the conversation as it is now."""
    batches: dict[str, Batch] = field(default_factory=dict)
    """Open calls by id."""


class Answer:
    """An answer being made. `run` is its whole life; if it is cancelled, `cut` ends the turn.

    Args:
        model: Shared by the answers of a session.
        turn: 1 for the session's first answer.
    """

    def __init__(self, model: Model, turn: int) -> None:
        self.turn = turn
        self.played_at = 0.0
        """`Clock.monotonic` at which a listener would have heard all that was sent."""
        self.complete = False
        """Whether `turnComplete` was sent."""
        self._model = model
        self._family = model.setup.family
        self._clock = model.settings.clock
        self._spent = Spent()
        self._said: list[str] = []
        self._said_ms = 0.0
        self._chunks = 0
        self._half_sample = b""
        self._last_audio = b""
        self._batch: Batch | None = None
        self._asked = Conversation()

    async def run(self) -> None:
        """Speak, call tools, wait for the blocking ones, speak on, and end the turn."""
        model = self._model
        await self._begin()
        while True:
            setup = model.setup
            self._asked = model.conversation.copy()
            steps = await model.mind.answer(
                tuple(model.conversation.entries), setup.tools.definitions, setup.instructions
            )
            says = [step for step in steps if isinstance(step, Say)]
            calls = [step for step in steps if isinstance(step, Call)]
            blocking = any(setup.blocks(call.name) for call in calls)
            if calls and not blocking and not self._family.calls_after_turn:
                await self._ask(calls, blocking=False)
            # In the recorded sessions an answer that calls a tool has no thoughts, before or after.
            if says and setup.thinks and not calls and not self._spent.text:
                await self._think()
            for say in says:
                await self._speak(say.text)
            self._settle()
            if not blocking:
                break
            await self._await_outputs(await self._ask(calls, blocking=True))
        await self._end(calls if self._family.calls_after_turn else [])

    async def cut(self) -> None:
        """End the turn for what the user did meanwhile. What was sent stays in the history.

        After `turnComplete` it only tells the client to stop playing.
        """
        self._settle()
        if self._batch is not None:
            self._model.conversation.entries.extend(self._batch.outputs)
            ids = list(self._batch.calls)
            for call_id in ids:
                del self._model.batches[call_id]
            self._batch = None
            await self._model.send({"toolCallCancellation": {"ids": ids}})
        await self._model.send({"serverContent": {"interrupted": True}})
        if self.complete:
            await self._model.send({"serverContent": {"turnComplete": True}})
        else:
            await self._complete({})
        for _ in range(self._model.line.plan.late_deltas(self.turn) if self._last_audio else 0):
            await self._send_audio(self._last_audio, "")

    def is_over(self) -> bool:
        """Whether nothing is left to interrupt, by the clock of a listener."""
        return self.complete and self._clock.monotonic() >= self.played_at

    async def _begin(self) -> None:
        await self._model.line.begin("answering")
        match self._family.handles:
            case "when asked" if self._model.setup.asks_handles:
                await self._model.send({"sessionResumptionUpdate": {}})
            case "each turn" | "at once":
                await self._model.offer_handle()
        if self._family.bundles:
            await self._model.send({})
            await self._model.send({"serverContent": {}})

    async def _end(self, calls: Sequence[Call]) -> None:
        """Everything is generated; 3.x models say so a second time when it would be heard."""
        await self._model.send({"serverContent": {"generationComplete": True}})
        # In a recorded 2.5 session the turn stayed open while a non-blocking call did.
        if self._family.holds_turn or self._model.batches:
            await self._clock.sleep(self.played_at - self._clock.monotonic())
        status = {"interactionStatus": "IN_PROGRESS" if calls else "IDLE"}
        await self._complete(status if self._family.calls_after_turn else {})
        if calls:
            await self._ask(calls, blocking=False)
        elif not self._model.batches:
            await self._model.line.begin("idle")
        if self._family.handles == "when asked" and self._model.setup.asks_handles:
            await self._model.offer_handle()

    async def _complete(self, status: dict[str, Any]) -> None:
        setup = self._model.setup
        schemas = json.dumps([tool.parameters for tool in setup.tools.definitions])
        overhead = text_tokens(setup.instructions) + text_tokens(schemas)
        await self._model.send(
            {
                "serverContent": {"turnComplete": True, **status},
                "usageMetadata": usage(self._asked, overhead, self._spent),
            }
        )
        self.complete = True

    async def _think(self) -> None:
        self._spent.thoughts += text_tokens(_THOUGHT)
        await self._send_parts({"text": _THOUGHT, "thought": True})

    async def _speak(self, text: str) -> None:
        settings = self._model.settings
        if self._said:
            text = " " + text
        pieces = cast(
            AsyncGenerator[SpokenChunk, None],
            generate(
                self._model.voice,
                text,
                clock=self._clock,
                speed=settings.speed,
                chunk_ms=settings.chunk_ms,
                rate=OUTPUT_RATE,
            ),
        )
        async with contextlib.aclosing(pieces) as chunks:
            async for chunk in chunks:
                self._said.append(chunk.text)
                self._account(chunk.pcm)
                await self._send_audio(self._cut_oddly(chunk.pcm), chunk.text)
                self._chunks += 1
                if self._family.bundles and self._chunks % _FILLER_EVERY == 0:
                    await self._model.send({})
                await self._model.line.answered()
        if self._half_sample:
            await self._send_audio(self._half_sample, "")
            self._half_sample = b""

    def _account(self, pcm: bytes) -> None:
        """Note when a listener who plays everything as it comes will have heard this."""
        length_ms = len(pcm) * 500 / OUTPUT_RATE
        self.played_at = max(self.played_at, self._clock.monotonic()) + length_ms / 1000
        self._spent.audio += audio_tokens(self._said_ms + length_ms) - audio_tokens(self._said_ms)
        self._said_ms += length_ms

    async def _send_audio(self, pcm: bytes, text: str) -> None:
        heard = {"outputTranscription": {"text": text}} if text else {}
        if not self._model.setup.transcribes_output:
            heard = {}
        if heard and not self._family.bundles:
            await self._model.send({"serverContent": heard})
            heard = {}
        if pcm:
            self._last_audio = pcm
            data = base64.b64encode(pcm).decode()
            blob = {"mimeType": f"audio/pcm;rate={OUTPUT_RATE}", "data": data}
            await self._send_parts({"inlineData": blob}, **heard)
        elif heard:
            await self._model.send({"serverContent": heard})

    async def _send_parts(self, part: dict[str, Any], **beside: Any) -> None:
        turn: dict[str, Any] = {"parts": [part]}
        if self._family.bundles:
            turn["role"] = "model"
        await self._model.send({"serverContent": {"modelTurn": turn, **beside}})

    def _cut_oddly(self, pcm: bytes) -> bytes:
        if not self._model.line.plan.odd_chunks(self.turn):
            return pcm
        pcm = self._half_sample + pcm
        end = len(pcm) - (len(pcm) % 2 == 0 and len(pcm) > 1)
        self._half_sample = pcm[end:]
        return pcm[:end]

    async def _ask(self, calls: Sequence[Call], *, blocking: bool) -> Batch:
        ids = self._model.settings.ids
        named: dict[str, Call] = {}
        for call in calls:
            digits = int.from_bytes(ids.make("", 8).encode()) % 10**19
            named[f"{self._family.call_prefix}{digits}"] = call
            self._spent.text += text_tokens(json.dumps([call.name, call.arguments]))
        batch = Batch(calls=named, blocking=blocking)
        self._model.batches.update(dict.fromkeys(named, batch))
        self._model.line.record.calls += [CallMade(i, call.name) for i, call in named.items()]
        if blocking:
            self._batch = batch
        function_calls = [
            {"name": call.name, "args": call.arguments, "id": call_id}
            for call_id, call in named.items()
        ]
        await self._model.send({"toolCall": {"functionCalls": function_calls}})
        await self._model.line.begin("tool")
        return batch

    async def _await_outputs(self, batch: Batch) -> None:
        await batch.answered.wait()
        self._batch = None
        self._model.line.plan.go_on("answering")
        for output in batch.outputs:
            self._model.conversation.add(output)
        if self._family.handles != "when asked":
            await self._model.offer_handle()

    def _settle(self) -> None:
        """Put what was said so far into the history."""
        if self._said:
            message = Message("assistant", "".join(self._said))
            self._model.conversation.add(message, audio_ms=self._said_ms)
        self._said = []
        self._said_ms = 0.0
