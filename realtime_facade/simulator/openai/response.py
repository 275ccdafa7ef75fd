"""One answer on the OpenAI Realtime wire: its chain of events, from `response.created` on."""

import base64
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from ..faults import Phase
from ..line import Line
from ..outbox import Outbox
from ..parts import Call, Mind, Say, Step, Voice
from ..record import CallMade
from ..settings import SessionSettings
from ..speaking import SpokenChunk, closing, generate, tokens
from .ears import rate_of, to_wire
from .items import Conversation, Item, entries, text_tokens
from .plan import Plan, argument_pieces, rate_limit, status_details, usage

_log = logging.getLogger(__name__)

Status = Literal["completed", "cancelled", "incomplete", "failed"]
_CHARS_PER_SECOND = 15.0
_OUTPUT_TOKENS_PER_SECOND = 20


@dataclass(slots=True)
class _Output:
    """An item that is being generated."""

    item: Item
    previous_item_id: str | None
    complete: bool = False
    position: dict[str, Any] = field(default_factory=dict)
    """`response_id item_id output_index`, part of most events."""


class Response:
    """Generates one answer. `start`, then await `run` in a task; `cancel` ends it from outside."""

    def __init__(
        self,
        plan: Plan,
        *,
        turn: int,
        mind: Mind,
        voice: Callable[[str | None], Voice],
        conversation: Conversation,
        outbox: Outbox,
        line: Line,
        settings: SessionSettings,
        emit: Callable[..., None],
        azure: bool,
        model: str,
    ) -> None:
        self.plan = plan
        self.id = settings.ids.make("resp_")
        self.active = False
        self.spoken = False
        """Whether any of it was audio."""
        self.audio_ms = 0.0
        """How long it takes to play."""
        self._turn = turn
        self._mind = mind
        self._voice = voice
        self._conversation = conversation
        self._outbox = outbox
        self._line = line
        self._settings = settings
        self._emit = emit
        self._azure = azure
        self._model = model
        self._outputs: list[_Output] = []
        self._whitespace = random.Random(turn)

    @property
    def call_ids(self) -> list[str]:
        """Of the calls that it made so far."""
        return [o.position["call_id"] for o in self._outputs if "call_id" in o.position]

    def start(self) -> None:
        """Announce it."""
        self.active = True
        self._outbox.mark(partial(self._line.begin, "answering"))
        self._emit("response.created", response=self._view("in_progress", None))

    async def run(self) -> None:
        """Ask the mind and send what it says; ends with `response.done` unless cancelled."""
        try:
            steps: Sequence[Step]
            if self.plan.filler is not None:
                steps = [Say(self.plan.filler)]
            else:
                seen = await entries(self.plan.items)
                steps = await self._mind.answer(seen, self.plan.tools, self.plan.instructions)
            for step in steps:
                if not await self._produce(
                    step, commentary=any(isinstance(s, Call) for s in steps)
                ):
                    return self.finish("incomplete", "max_output_tokens")
        except Exception:  # noqa: BLE001
            # A part's failure is the simulated provider's failure: the client is told, as by the
            # real one, and whoever wrote the part finds the reason in the log.
            _log.exception("a part of the simulator failed while it made an answer")
            return self.finish("failed", None)
        return self.finish("completed", None)

    def cancel(self, reason: Literal["turn_detected", "client_cancelled"]) -> None:
        """Close the chain at once; the caller cancels the task of `run`."""
        if not self.active:
            return
        self.finish("cancelled", reason)
        if self.spoken:
            for _ in range(self._line.plan.late_deltas(self._turn)):
                self._audio_delta(self._outputs[-1], bytes(480))

    def finish(self, status: Status, reason: str | None) -> None:
        """Send the done events of every item, in order, and `response.done`."""
        self.active = False
        for output in self._outputs:
            self._close_item(output)
        self._emit("response.done", response=self._view(status, reason))
        if not self._azure:
            used = self._usage()["total_tokens"]
            self._emit("rate_limits.updated", rate_limits=[rate_limit(used)])
        if reason != "turn_detected":  # else the user is speaking
            phase: Phase = "tool" if self.call_ids else "idle"
            self._outbox.mark(partial(self._line.begin, phase))

    # -- generation ---------------------------------------------------------------------------

    async def _produce(self, step: Step, *, commentary: bool) -> bool:
        """Generate one item; False when it ran into the token limit."""
        if isinstance(step, Call):
            return await self._call(step)
        output = self._open_message(commentary)
        if self.plan.modality == "text":
            return await self._write(output, step)
        return await self._speak(output, step)

    async def _write(self, output: _Output, step: Say) -> bool:
        part = output.item.data["content"][0]
        for token in tokens(step.text):
            if not await self._go_on():
                return False
            part["text"] += token
            self._delta(output, "response.output_text.delta", token, content_index=0)
            self._outbox.mark(self._line.answered)
            if self._settings.speed > 0:
                pause = len(token) / _CHARS_PER_SECOND / self._settings.speed
                await self._settings.clock.sleep(pause)
        output.complete = True
        return True

    async def _speak(self, output: _Output, step: Say) -> bool:
        rate = rate_of(self.plan.audio_format)
        name = self.plan.voice
        voice = self._voice(name if isinstance(name, str) else name["id"])
        speech = generate(
            voice,
            step.text,
            clock=self._settings.clock,
            speed=self._settings.speed,
            chunk_ms=self._settings.chunk_ms,
            rate=rate,
        )
        async with closing(speech):
            return await self._say(output, speech, rate)

    async def _say(self, output: _Output, speech: AsyncIterator[SpokenChunk], rate: int) -> bool:
        part = output.item.data["content"][0]
        odd = b"" if self._line.plan.odd_chunks(self._turn) else None
        async for chunk in speech:
            if not await self._go_on():
                return False
            for token in tokens(chunk.text):
                part["transcript"] += token
                self._delta(
                    output, "response.output_audio_transcript.delta", token, content_index=0
                )
            played_ms = len(chunk.pcm) * 500 / rate
            output.item.generated_ms += played_ms
            self.audio_ms += played_ms
            data = to_wire(chunk.pcm, self.plan.audio_format)
            if odd is not None:
                data = odd + data
                cut = len(data) - (len(data) % 2 == 0)
                data, odd = data[:cut], data[cut:]
            if data:
                self._audio_delta(output, data)
            self._outbox.mark(self._line.answered)
        if odd:
            self._audio_delta(output, odd)
        output.complete = True
        return True

    async def _call(self, step: Call) -> bool:
        call_id = self._settings.ids.make("call_", 16)
        output = self._open(
            {
                "type": "function_call",
                "status": "in_progress",
                "name": step.name,
                "call_id": call_id,
                "arguments": "",
            }
        )
        output.position["call_id"] = call_id
        for piece in argument_pieces(step.arguments, self._whitespace):
            if not await self._go_on():
                return False
            output.item.data["arguments"] += piece
            self._delta(output, "response.function_call_arguments.delta", piece)
            self._outbox.mark(self._line.answered)
        output.complete = True
        return True

    async def _go_on(self) -> bool:
        """Before each delta: let others run, count tokens."""
        await self._outbox.room()
        limit = self.plan.max_tokens
        return limit == "inf" or sum(self._output_tokens()) < limit

    # -- events -------------------------------------------------------------------------------

    def _open_message(self, commentary: bool) -> _Output:
        data: dict[str, Any] = {
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        if self._model.startswith("gpt-realtime-2"):
            data["phase"] = "commentary" if commentary else "final_answer"
        output = self._open(data)
        spoken = self.plan.modality == "audio"
        self._part_event("added", output, "")
        part = {"type": "output_audio", "transcript": ""}
        output.item.data["content"].append(part if spoken else {"type": "output_text", "text": ""})
        return output

    def _open(self, data: dict[str, Any]) -> _Output:
        item = Item({"id": self._settings.ids.make("item_"), **data})
        index = len(self._outputs)
        previous = self._conversation.insert(item) if self.plan.in_conversation else None
        output = _Output(item, previous)
        output.position = {"response_id": self.id, "item_id": item.id, "output_index": index}
        self._outputs.append(output)
        self._emit(
            "response.output_item.added",
            response_id=self.id,
            output_index=index,
            item=item.view(),
        )
        if self.plan.in_conversation:
            self._emit("conversation.item.added", previous_item_id=previous, item=item.view())
        return output

    def _delta(self, output: _Output, kind: str, delta: str, **more: Any) -> None:
        # Recorded: padding fills a delta up to a multiple of 16 characters.
        padding = self._settings.ids.make("", 16 - len(delta) % 16)
        self._emit(kind, **output.position, **more, delta=delta, obfuscation=padding)

    def _audio_delta(self, output: _Output, data: bytes) -> None:
        self.spoken = True
        delta = base64.b64encode(data).decode()
        self._emit("response.output_audio.delta", **output.position, content_index=0, delta=delta)

    def _part_event(self, what: str, output: _Output, text: str) -> None:
        spoken = self.plan.modality == "audio"
        part = {"type": "audio", "transcript": text} if spoken else {"type": "text", "text": text}
        twice = {"content": part} if self._azure else {}
        self._emit(
            f"response.content_part.{what}", **output.position, content_index=0, part=part, **twice
        )

    def _close_item(self, output: _Output) -> None:
        item = output.item
        item.data["status"] = "completed" if output.complete else "incomplete"
        at = output.position
        if item.data["type"] == "function_call":
            if output.complete:
                self._line.record.calls.append(CallMade(at["call_id"], item.data["name"]))
            self._emit(
                "response.function_call_arguments.done",
                **at,
                name=item.data["name"],
                arguments=item.data["arguments"],
            )
        elif self.plan.modality == "audio":
            text = item.data["content"][0]["transcript"]
            self._emit("response.output_audio.done", **at, content_index=0)
            self._emit(
                "response.output_audio_transcript.done", **at, content_index=0, transcript=text
            )
            self._part_event("done", output, text)
        else:
            text = item.data["content"][0]["text"]
            self._emit("response.output_text.done", **at, content_index=0, text=text)
            self._part_event("done", output, text)
        if self.plan.in_conversation:
            first = self._conversation.items[0].id if self._conversation.items else None
            # Recorded every time: behind the conversation's first item the id is missing here.
            previous = None if output.previous_item_id == first else output.previous_item_id
            self._emit("conversation.item.done", previous_item_id=previous, item=item.view())
        self._emit(
            "response.output_item.done",
            response_id=self.id,
            output_index=at["output_index"],
            item=item.view(),
        )

    # -- the response object ------------------------------------------------------------------

    def _view(self, status: str, reason: str | None) -> dict[str, Any]:
        done = status != "in_progress"
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": status_details(status, reason),
            "output": [output.item.view() for output in self._outputs] if done else [],
            "conversation_id": self._conversation.id if self.plan.in_conversation else None,
            "output_modalities": [self.plan.modality],
            "max_output_tokens": self.plan.max_tokens,
            "audio": {
                "output": {
                    "format": self.plan.audio_format.model_dump(),
                    "voice": self.plan.voice,
                }
            },
            "usage": self._usage() if done else None,
            "metadata": self.plan.metadata,
        }

    def _usage(self) -> dict[str, Any]:
        return usage(self.plan, self._output_tokens(), cached=self._turn > 1)

    def _output_tokens(self) -> tuple[int, int]:
        text = 0
        for output in self._outputs:
            data = output.item.data
            text += text_tokens(data.get("arguments", ""))
            for part in data.get("content", ()):
                text += text_tokens(part.get("text") or part.get("transcript") or "")
        return text, round(self.audio_ms / 1000 * _OUTPUT_TOKENS_PER_SECOND)
