"""One OpenAI Realtime session from the provider's side: hears, keeps the conversation, answers."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterator
from functools import partial
from typing import Any, assert_never
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed

from ..hearing import SpeechStart, Transcriber
from ..line import Line
from ..outbox import Outbox
from ..parts import Parts
from ..record import OutputGiven
from ..settings import SessionSettings
from .config import (
    BETA_FIELDS,
    DEFAULT_MODEL,
    Configuration,
    ResponseOptions,
    parse_options,
)
from .dialect import SESSION_LIMIT_S
from .ears import Ears, rate_of, to_wire
from .items import Conversation, Item, known_entries, user_audio
from .plan import Plan, context
from .response import Response
from .transcription import transcription_events
from .wire import (
    AnyClientEvent,
    AudioAppend,
    AudioClear,
    AudioCommit,
    FunctionCallOutputItem,
    ItemCreate,
    ItemDelete,
    ItemRetrieve,
    ItemTruncate,
    OutputClear,
    ResponseCancel,
    ResponseCreate,
    SessionUpdate,
    WireError,
    decode,
    error_message,
    parse,
)

_log = logging.getLogger(__name__)
_BREATH = 48_000
"""Bytes of audio, 1 s or more, that are heard in one go."""
_BETA_REASON = "invalid_request_error.beta_api_shape_disabled"
_NOBODY_SPOKE = "No user speech was detected. Ask whether the user is still there."


class OpenAISession:
    """Speaks the GA protocol over one connection. `run` returns when the connection is over."""

    def __init__(self, line: Line, parts: Parts, settings: SessionSettings) -> None:
        self._line = line
        self._parts = parts
        self._settings = settings
        self._ids = settings.ids
        self._outbox = Outbox(line)
        self._conversation = Conversation(settings.ids)
        url = urlsplit(line.request.path if line.request else "")
        query = parse_qs(url.query)
        model = next(iter(query.get("model") or query.get("deployment") or []), DEFAULT_MODEL)
        self._azure = url.path.startswith("/openai/")
        self._limit_s = settings.session_limit_s or SESSION_LIMIT_S
        expires_at = int(settings.clock.time() + self._limit_s)
        self._configuration = Configuration(self._ids.make("sess_"), model, expires_at)
        self._mind = parts.mind()
        self._ears: Ears
        self._turn = 0
        self._spoken = False
        self._running: dict[Response, asyncio.Task[None]] = {}
        self._held: list[ItemCreate] = []
        self._open_item_id: str | None = None
        self._quiet_from_ms: int | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._retired: set[Ears | Transcriber] = set()

    async def run(self) -> None:
        """Serve the connection until it ends; leaves no task."""
        headers = self._line.request.headers if self._line.request else {}
        if headers.get("OpenAI-Beta"):
            return await self._line.close(4000, _BETA_REASON)
        self._ears = self._new_ears(0)
        self._line.record.known = lambda: known_entries(self._conversation.items)
        self._emit("session.created", session=self._configuration.echo)
        reader = self._start(self._read())
        writer = self._start(self._outbox.run())
        self._start(self._expire())
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for heard in (self._ears, *self._retired):
                await heard.close()

    # -- what the client says ----------------------------------------------------------------

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for frame in self._line:
                with self._answering_errors(None):
                    message = decode(frame)
                    event_id = message.get("event_id")
                    with self._answering_errors(event_id if isinstance(event_id, str) else None):
                        await self._obey(parse(message))
                await self._outbox.room()

    async def _obey(self, event: AnyClientEvent) -> None:
        match event:
            case AudioAppend():
                await self._hear(self._ears.decode(event.audio))
            case AudioCommit():
                self._ears.require_audio()
                self._commit()
            case AudioClear():
                self._ears.clear()
                self._open_item_id = None
                self._emit("input_audio_buffer.cleared")
            case OutputClear():
                raise WireError(
                    "invalid_event", "output_audio_buffer.clear is for WebRTC and SIP only.", "type"
                )
            case ItemCreate():
                self._create(event)
            case ItemRetrieve():
                item = self._conversation.find(event.item_id, "retrieve")
                self._emit("conversation.item.retrieved", item=item.view(whole=True))
            case ItemDelete():
                item = self._conversation.find(event.item_id, "delete")
                self._conversation.items.remove(item)
                self._emit("conversation.item.deleted", item_id=item.id)
            case ItemTruncate():
                self._truncate(event)
            case ResponseCreate():
                self._answer(parse_options(event.response))
            case ResponseCancel():
                self._cancel(event.response_id)
            case SessionUpdate():
                self._update(event.session)
            case _:
                assert_never(event)

    def _update(self, change: dict[str, Any]) -> None:
        if "type" not in change and BETA_FIELDS & change.keys():
            self._outbox.close(4000, _BETA_REASON)
            return
        before = self._configuration.session
        spoken = self._spoken or any(response.spoken for response in self._running)
        self._configuration.update(change, spoken=spoken)
        session = self._configuration.session
        sound = session.audio.input
        if sound.format != before.audio.input.format:
            old, self._ears = self._ears, self._new_ears(self._ears.position_ms)
            self._start(self._retire(old))
        elif session.tools != before.tools:
            recognizer = self._parts.recognizer(self._configuration.tools)
            self._start(self._retire(self._ears.replace(recognizer)))
        self._ears.configure(sound.turn_detection)
        self._emit("session.updated", session=self._configuration.echo)
        self._outbox.mark(self._line.configured)

    def _retire(self, old: Ears | Transcriber) -> Coroutine[Any, Any, None]:
        """Let something end after the words that it owes, at the latest with the session."""
        self._retired.add(old)

        async def finish() -> None:
            await old.finish()
            self._retired.discard(old)

        return finish()

    def _create(self, event: ItemCreate) -> None:
        # Recorded: the output of a call whose response still runs waits for that response's end.
        if event.item.type == "function_call_output" and event.item.call_id in self._open_calls():
            self._held.append(event)
            return
        self._add_clients(event)

    def _add_clients(self, event: ItemCreate) -> None:
        item = self._conversation.build(event.item)
        self._add(item, event.previous_item_id)
        if isinstance(event.item, FunctionCallOutputItem):
            self._line.record.outputs.append(OutputGiven(event.item.call_id, event.item.output))
        for entry in known_entries([item], calls=self._conversation.items):
            self._parts.told(entry)

    def _open_calls(self) -> set[str]:
        return {call_id for response in self._running for call_id in response.call_ids}

    def _truncate(self, event: ItemTruncate) -> None:
        item = self._conversation.find(event.item_id, "truncate")
        if event.content_index != 0:
            raise WireError("invalid_value", "The content index must be 0.", "content_index")
        item.truncate(event.audio_end_ms)
        self._emit(
            "conversation.item.truncated",
            item_id=item.id,
            content_index=0,
            audio_end_ms=event.audio_end_ms,
        )

    # -- hearing -----------------------------------------------------------------------------

    async def _hear(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), _BREATH):
            if start:  # A recording in one event must not keep everybody else waiting.
                await asyncio.sleep(0)
            for event in self._ears.hear(pcm[start : start + _BREATH]):
                if isinstance(event, SpeechStart):
                    self._user_began(event.at_ms)
                else:
                    self._user_ended(event.at_ms)
            self._check_idle()

    def _user_began(self, at_ms: int) -> None:
        self._quiet_from_ms = None
        self._open_item_id = self._ids.make("item_")
        self._emit(
            "input_audio_buffer.speech_started",
            audio_start_ms=at_ms,
            item_id=self._open_item_id,
        )
        self._outbox.mark(partial(self._line.begin, "speaking"))
        turns = self._configuration.session.audio.input.turn_detection
        active = self._active()
        if active and turns and turns.interrupt_response:
            self._stop(active, "turn_detected")

    def _user_ended(self, at_ms: int) -> None:
        self._emit(
            "input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=self._open_item_id
        )
        self._commit()
        turns = self._configuration.session.audio.input.turn_detection
        if turns and turns.create_response:
            with self._answering_errors(None):
                self._answer(ResponseOptions())

    def _commit(self) -> None:
        pcm, words = self._ears.take()
        item = user_audio(self._ids, pcm, words)
        if self._open_item_id is not None:
            item.data["id"] = self._open_item_id
            self._open_item_id = None
        items = self._conversation.items
        self._emit(
            "input_audio_buffer.committed",
            previous_item_id=items[-1].id if items else None,
            item_id=item.id,
        )
        self._add(item)
        wire_format = self._configuration.session.audio.input.format
        seconds = len(pcm) / len(to_wire(bytes(2 * rate_of(wire_format)), wire_format))
        self._start(self._transcribe(item.id, words, seconds))

    async def _transcribe(self, item_id: str, words: asyncio.Future[str], seconds: float) -> None:
        await asyncio.wait([words])
        transcription = self._configuration.session.audio.input.transcription
        for kind, fields in transcription_events(words, transcription, seconds, self._ids):
            name = f"conversation.item.input_audio_transcription.{kind}"
            self._emit(name, item_id=item_id, content_index=0, **fields)
            await self._outbox.room()

    def _check_idle(self) -> None:
        turns = self._configuration.session.audio.input.turn_detection
        limit_ms = turns.idle_timeout_ms if turns else None
        if limit_ms is None or self._quiet_from_ms is None or self._ears.speaking:
            return
        now_ms = self._ears.position_ms
        if self._active() or now_ms < self._quiet_from_ms + limit_ms:
            return
        words: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        words.set_result("")
        user = user_audio(self._ids, b"", words)
        self._emit(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=self._quiet_from_ms,
            audio_end_ms=now_ms,
            item_id=user.id,
        )
        self._quiet_from_ms = None
        content = [{"type": "input_text", "text": _NOBODY_SPOKE}]
        self._add(
            Item(
                {
                    "id": self._ids.make("item_"),
                    "type": "message",
                    "status": "completed",
                    "role": "system",
                    "content": content,
                }
            )
        )
        self._emit(
            "input_audio_buffer.committed",
            previous_item_id=self._conversation.items[-1].id,
            item_id=user.id,
        )
        self._add(user)
        self._answer(ResponseOptions())
        self._start(self._transcribe(user.id, words, 0))

    # -- answering ---------------------------------------------------------------------------

    def _answer(self, options: ResponseOptions) -> None:
        in_conversation = options.conversation == "auto"
        active = self._active()
        if in_conversation and active:
            raise WireError(
                "conversation_already_has_active_response",
                f"Conversation already has an active response in progress: {active.id}. "
                "Wait until the response is finished before creating a new one.",
            )
        plan = Plan.of(self._configuration, options, context(self._conversation, options))
        self._turn += 1
        response = Response(
            plan,
            turn=self._turn,
            mind=self._mind,
            voice=self._parts.voice,
            conversation=self._conversation,
            outbox=self._outbox,
            line=self._line,
            settings=self._settings,
            emit=self._emit,
            azure=self._azure,
            model=self._configuration.session.model,
        )
        response.start()
        self._running[response] = self._start(self._generate(response))

    async def _generate(self, response: Response) -> None:
        started_ms = self._ears.position_ms
        await response.run()
        self._ended(response, started_ms)

    def _ended(self, response: Response, started_ms: int) -> None:
        del self._running[response]
        self._spoken = self._spoken or response.spoken
        if response.plan.in_conversation:
            self._quiet_from_ms = max(self._ears.position_ms, started_ms + round(response.audio_ms))
        held, self._held = self._held, []
        for event in held:
            with self._answering_errors(event.event_id):
                self._add_clients(event)

    def _active(self) -> Response | None:
        """The one response that writes to the conversation."""
        return next((r for r in self._running if r.plan.in_conversation), None)

    def _cancel(self, response_id: str | None) -> None:
        wanted = self._active()
        if response_id is not None:
            wanted = next((r for r in self._running if r.id == response_id), None)
        if wanted is None:
            raise WireError(
                "response_cancel_not_active", "Cancellation failed: no active response found"
            )
        self._stop(wanted, "client_cancelled")

    def _stop(self, response: Response, reason: Any) -> None:
        self._running[response].cancel()
        response.cancel(reason)
        self._ended(response, self._ears.position_ms)
        if reason == "turn_detected":
            self._quiet_from_ms = None

    # -- shared ------------------------------------------------------------------------------

    def _add(self, item: Item, previous_item_id: str | None = None) -> None:
        previous = self._conversation.insert(item, previous_item_id)
        view = item.view()
        self._emit("conversation.item.added", previous_item_id=previous, item=view)
        self._emit("conversation.item.done", previous_item_id=previous, item=view)

    @contextlib.contextmanager
    def _answering_errors(self, event_id: str | None) -> Iterator[None]:
        """Tell the client what it did wrong, in which event."""
        try:
            yield
        except WireError as error:
            self._outbox.put(error_message(self._ids, error, event_id))

    def _emit(self, kind: str, **fields: Any) -> None:
        self._outbox.put({"type": kind, "event_id": self._ids.make("event_"), **fields})

    def _new_ears(self, start_ms: int) -> Ears:
        sound = self._configuration.session.audio.input
        return Ears(
            self._parts.vad(),
            self._parts.recognizer(self._configuration.tools),
            sound.format,
            sound.turn_detection,
            start_ms=start_ms,
        )

    async def _expire(self) -> None:
        await self._settings.clock.sleep(self._limit_s)
        self._outbox.then(partial(self._line.expire, 0))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("the simulated session broke", exc_info=error)
            self._outbox.close(1011, "internal error")
