"""Speaks the Gemini Live protocol from the provider's side: one session per connection.

What is simulated is the Developer API with four families of models, see `families`.
"""

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from websockets.exceptions import ConnectionClosed

from ...errors import AudioFormatError
from ..line import Line
from ..parts import Entry, Message, Parts, ToolOutput
from ..record import OutputGiven
from ..settings import SessionSettings
from .answer import Answer, Batch, Model
from .door import GeminiService, address, authenticate
from .fields import Fields, Refusal, decode, duration, invalid, parse, render
from .hearing import Began, Ear, Ended
from .memory import Conversation, Lease, not_resumed, response_text
from .notes import read
from .setup import read_setup, read_text, read_tools

_log = logging.getLogger(__name__)

_MIME = re.compile(r"audio/pcm(?:\s*;\s*rate=(\d{1,6}))?$")
_REALTIME = (
    "audio",
    "video",
    "text",
    "mediaChunks",
    "audioStreamEnd",
    "activityStart",
    "activityEnd",
)
_CONNECTION_LIMIT_S = 600.0
_WARNING_S = 60.0
_INTERNAL_ERROR = "Internal error occurred."


class GeminiSession:
    """One connection: the setup, the user's activities, and the answers to them.

    Args:
        line: To the client; nothing was read from it.
        parts: Ears, mind and voice.
        settings: Time, pace, faults.
        service: What is shared with other sessions; None: nothing.
    """

    def __init__(
        self,
        line: Line,
        parts: Parts,
        settings: SessionSettings,
        service: GeminiService | None = None,
    ) -> None:
        self._line = line
        self._parts = parts
        self._settings = settings
        self._service = service or GeminiService()
        self._lease = Lease()
        self._stack = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = 0
        self._answer: Answer | None = None
        self._answering: asyncio.Task[None] | None = None
        self._user_active = False
        self._waiting: list[tuple[Entry, float | None]] = []
        self._seeding = False
        self._wants_nudge = False
        """Whether nothing but live input brings an answer."""
        # Set when the client's setup has been accepted.
        self._ear: Ear
        self._model: Model

    async def run(self) -> None:
        """Speak until the connection ends; leaves no task."""
        self._spawn(self._converse)
        try:
            # Not the end of `_converse`: a part that hangs must not keep the session alive.
            await self._line.wait_closed()
        finally:
            await self._release()

    async def _converse(self) -> None:
        await self._set_up()
        async for frame in self._line:
            await self._receive(parse(frame))

    async def _set_up(self) -> None:
        request = self._line.request
        dialled = address(request) if request else None
        if request is None or dialled is None:
            raise RuntimeError("the handshake was not checked with `check`")
        message = parse(await self._line.recv())
        authenticate(request, self._service)
        setup = read_setup(message, dialled.version)
        conversation, resumed_model = Conversation(), setup.model
        if setup.handle:
            if refused := self._line.resumption():
                raise not_resumed(refused.why)
            resumed_model, conversation = self._service.handles.resume(
                setup.handle, self._lease, self._settings.clock
            )
        self._seeding = setup.seeds_history and not setup.handle
        for entry in conversation.entries:
            self._parts.told(entry)
        self._ear = Ear(self._parts, setup)
        self._stack.push_async_callback(self._ear.close)
        self._model = Model(
            setup=setup,
            conversation=conversation,
            mind=self._parts.mind(),
            voice=self._parts.voice(setup.voice),
            settings=self._settings,
            line=self._line,
            send=self._send,
            offer_handle=self._offer_handle,
        )
        self._line.record.known = lambda: self._model.conversation.entries
        await self._send({"setupComplete": {}})
        if resumed_model != setup.model:
            raise Refusal(1011, _INTERNAL_ERROR)
        await self._line.configured()
        self._spawn(self._keep_limit)
        if setup.family.handles == "at once":
            await self._offer_handle()

    async def _receive(self, message: Fields) -> None:
        message.only("setup", "realtimeInput", "clientContent", "toolResponse", "contextUpdate")
        if "setup" in message:
            raise invalid()
        if realtime := message.child("realtimeInput"):
            await self._realtime_input(realtime.only(*_REALTIME))
        if content := message.child("clientContent"):
            await self._client_content(content.only("turns", "turnComplete"))
        if response := message.child("toolResponse"):
            await self._tool_response(response.only("functionResponses"))
        if update := message.child("contextUpdate"):
            await self._context_update(update.only("systemInstruction", "tools"))

    async def _realtime_input(self, realtime: Fields) -> None:
        manual = self._model.setup.manual
        if not manual and ("activityStart" in realtime or "activityEnd" in realtime):
            raise invalid()
        if "mediaChunks" in realtime and not self._model.setup.family.media_chunks:
            raise invalid()
        if "activityStart" in realtime:
            self._ear.begin()
            await self._user_begins(heard=True)
        for blob in (realtime.child("audio"), *realtime.children("mediaChunks")[:1]):
            if blob is not None:
                await self._audio(blob)
        if video := realtime.child("video"):
            if not (video.text("mimeType") or "").startswith("image/"):
                raise invalid()
            decode(video.text("data") or "", video.place("data"))
        text = realtime.text("text")
        if text is not None:
            await self._user_begins(heard=False)
            self._user_active = self._ear.active
            self._waiting += [(entry, None) for entry in self._read("user", text)]
            self._go_on()
        ends_stream = realtime.flag("audioStreamEnd") and not manual
        if ends_stream or "activityEnd" in realtime:
            for ended in await self._ear.end():
                await self._user_ends(ended)

    async def _audio(self, blob: Fields) -> None:
        mime = _MIME.match(blob.text("mimeType") or "")
        if mime is None:
            raise invalid()
        pcm = decode(blob.text("data") or "", blob.place("data"))
        blocked = any(batch.blocking for batch in self._model.batches.values())
        if self._service.strict_tools and blocked and not self._model.setup.family.bundles:
            raise Refusal(1008, "Operation is not implemented, or supported, or enabled.")
        try:
            found = await self._ear.hear(pcm, int(mime[1] or 16_000))
        except AudioFormatError as error:
            raise invalid() from error
        for event in found:
            if isinstance(event, Began):
                await self._send_activity("ACTIVITY_START", event.at_ms)
                await self._user_begins(heard=True)
            else:
                await self._user_ends(event)

    async def _user_begins(self, *, heard: bool) -> None:
        self._user_active = True
        self._wants_nudge = False
        if heard:
            await self._line.begin("speaking")
        if self._model.setup.interrupts:
            await self._interrupt(heard=heard)

    async def _user_ends(self, ended: Ended) -> None:
        setup = self._model.setup
        if setup.transcribes_input and ended.words:
            whole = setup.family.whole_transcript
            for text in [ended.words] if whole else _in_chunks(ended.words):
                await self._send({"serverContent": {"inputTranscription": {"text": text}}})
        if not setup.manual:
            await self._send_activity("ACTIVITY_END", ended.at_ms)
        self._user_active = False
        self._waiting.append((Message("user", ended.words), ended.length_ms))
        self._go_on()

    async def _send_activity(self, kind: str, at_ms: int) -> None:
        family = self._model.setup.family
        if family.voice_activity:
            report = {"voiceActivity": {"type": kind, "audioOffset": duration(at_ms)}}
            filler: dict[str, Any] = {"serverContent": {}} if family.fills_activity else {}
            await self._send({**filler, **report})

    async def _client_content(self, content: Fields) -> None:
        entries = [entry for turn in content.children("turns") for entry in self._entries(turn)]
        complete = bool(content.flag("turnComplete"))
        if not self._seeding:
            await self._interrupt()
        self._waiting += [(entry, None) for entry in entries]
        if complete and not self._seeding and not self._wants_nudge:
            self._start_answer()
        else:
            self._remember()
        if self._seeding and complete:
            self._seeding, self._wants_nudge = False, self._model.setup.family.wants_nudge

    def _entries(self, turn: Fields) -> list[Entry]:
        role = turn.only("role", "parts").text("role")
        if role not in ("user", "model"):
            raise invalid()
        entries: list[Entry] = []
        for part in turn.children("parts"):
            blob = part.child("inlineData")
            if blob is not None and (blob.text("mimeType") or "").startswith("audio/"):
                raise invalid("CONTENT_TYPE_AUDIO not supported for this model configuration")
            functional = "functionCall" in part or "functionResponse" in part
            if functional and not self._model.setup.family.function_history:
                raise invalid()
            if answered := part.child("functionResponse"):
                output = response_text(answered.raw("response"))
                entries.append(ToolOutput(answered.text("name") or "", {}, output))
            if words := part.text("text"):
                entries += self._read(role, words)
        return entries

    def _read(self, role: str, text: str) -> list[Entry]:
        """What a model takes a text for, which is also told to whoever follows the conversation."""
        entries: list[Entry] = []
        for said, output in read(role, text):
            entries.append(said)
            if output is not None:
                self._line.record.outputs.append(output)
            self._parts.told(said)
        return entries

    async def _tool_response(self, response: Fields) -> None:
        family = self._model.setup.family
        for answer in response.children("functionResponses"):
            answer.only("id", "name", "response", "scheduling", "willContinue", "parts")
            call_id = answer.text("id")
            scheduling = answer.text("scheduling")
            if not call_id or scheduling not in (None, "INTERRUPT", "WHEN_IDLE", "SILENT"):
                raise invalid()
            if scheduling and family.scheduling == "refused":
                raise invalid("Function response scheduling is not supported for this model")
            output = response_text(answer.raw("response"))
            self._line.record.outputs.append(OutputGiven(call_id, output))
            batch = self._model.batches.get(call_id)
            if batch is None or call_id not in batch.calls:
                continue  # Cancelled meanwhile: too late, and no error.
            call = batch.calls[call_id]
            batch.outputs.append(ToolOutput(call.name, call.arguments, output))
            batch.scheduling.add(scheduling or "WHEN_IDLE")
            if not answer.flag("willContinue"):
                del batch.calls[call_id], self._model.batches[call_id]
                if not batch.calls:
                    await self._use_outputs(batch)

    async def _use_outputs(self, batch: Batch) -> None:
        """All calls of a message are answered: now the model takes notice."""
        if batch.blocking:
            batch.answered.set()
            return
        outputs: list[tuple[Entry, float | None]] = [(output, None) for output in batch.outputs]
        if batch.scheduling == {"SILENT"}:
            for output in batch.outputs:
                self._model.conversation.add(output)
            return
        # While the user is speaking even an urgent output waits for the end of that.
        if "INTERRUPT" in batch.scheduling and not self._user_active:
            await self._interrupt()
        self._waiting += outputs
        self._go_on()

    async def _context_update(self, update: Fields) -> None:
        setup = self._model.setup
        if not setup.family.context_update:
            raise invalid()
        if instruction := update.child("systemInstruction"):
            setup = replace(setup, instructions=read_text(instruction))
        if tools := update.child("tools"):
            setup = replace(setup, tools=read_tools(tools.only("tools"), setup.family))
            await self._ear.retool(setup.tools.definitions)
        self._model.setup = setup

    def _go_on(self) -> None:
        """Answer what waits for an answer, unless someone is speaking."""
        if self._waiting and not self._user_active and self._answering is None:
            self._start_answer()

    def _start_answer(self) -> None:
        self._remember()
        self._turn += 1
        self._answer = Answer(self._model, self._turn)
        self._answering = self._spawn(partial(self._run_answer, self._answer))

    def _remember(self) -> None:
        for entry, audio_ms in self._waiting:
            self._model.conversation.add(entry, audio_ms=audio_ms)
        self._waiting.clear()

    async def _run_answer(self, answer: Answer) -> None:
        await answer.run()
        self._answering = None
        self._go_on()

    async def _interrupt(self, *, heard: bool = False) -> None:
        """Cut the answer short if its turn is still open.

        Speech (`heard`) also does it after the turn when some of it is still to be played, which
        2.5 models end before that.
        """
        task, self._answering = self._answering, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        answer, self._answer = self._answer, None
        if answer is not None and not (answer.is_over() if heard else answer.complete):
            await answer.cut()

    async def _keep_limit(self) -> None:
        limit = self._settings.session_limit_s or _CONNECTION_LIMIT_S
        warning = min(_WARNING_S, limit / 2)
        await self._settings.clock.sleep(limit - warning)
        await self._line.expire(warning)

    async def _offer_handle(self) -> None:
        seed = self._settings.ids.make("")
        handle = str(uuid.uuid5(uuid.NAMESPACE_OID, seed))
        model = self._model
        self._service.handles.keep(handle, model.setup.model, model.conversation, self._lease)
        await self._send({"sessionResumptionUpdate": {"newHandle": handle, "resumable": True}})

    async def _send(self, message: dict[str, Any]) -> None:
        await self._line.send(render(message))

    def _spawn(self, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guard(work), name="simulated-gemini")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        """Let a failure in any task end the connection."""
        try:
            await work()
        except ConnectionClosed:
            pass
        except Refusal as reason:
            await self._line.close(reason.code, reason.reason)
        except Exception:  # noqa: BLE001 - a bug here must look like one of the service
            _log.exception("a simulated Gemini session failed")
            await self._line.close(1011, _INTERNAL_ERROR)

    async def _release(self) -> None:
        self._lease.ended_at = self._settings.clock.monotonic()
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._stack.aclose()


def _in_chunks(text: str) -> list[str]:
    """Words with a space before each and marks alone, as 2.5 models send what they hear."""
    return re.findall(r"[^\w\s]|\s*\w+(?:['\u2019]\w+)*|\s+", f" {text.strip()}")
