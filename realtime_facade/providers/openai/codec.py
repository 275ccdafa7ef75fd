"""Translates between OpenAI Realtime frames and this package's commands and events, without I/O."""

from collections.abc import Sequence
from typing import Any, Literal, assert_never

from pydantic_core import from_json

from ...commands import (
    AnyCommand,
    AppendAudio,
    CancelResponse,
    ClearAudio,
    CommitAudio,
    DeleteItem,
    EndAudio,
    RequestResponse,
    SendRaw,
    SendText,
    SendToolResult,
    TruncateOutput,
    UpdateSession,
)
from ...config import RealtimeConfig
from ...events import (
    ErrorOccurred,
    Event,
    InputCommitted,
    OutputCancelled,
    RawEvent,
    ResponseDone,
    ResponseStarted,
    ResponseStatus,
    SessionStarted,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequest,
    TurnEnded,
    UsageReported,
)
from ...tools.definition import ToolDefinition
from ..base import NO_PAST, NOTHING, Frame, Output, Past, Profile
from ..limits import LONGEST_ARGUMENTS
from . import faults, past, session_config, wire
from .asides import Asides
from .speech import Speech
from .turns import Turns
from .usage import usage_of

_SECOND_OF_SILENCE = bytes(48_000)
_LEAST_COMMIT_BYTES = 4_800
"""100 ms at 24 kHz: with less, the commit fails, yet the response would answer thin air."""
_STATUS: dict[str, ResponseStatus] = {
    "completed": "completed",
    "cancelled": "cancelled",
    "incomplete": "incomplete",
    "failed": "failed",
}


class OpenAICodec:
    """One connection's codec for the Realtime API; see `Codec` for the contract.

    Rules it keeps: one response at a time, one output for every tool call, audio in whole
    samples. Everything of an out-of-band response (`conversation: "none"`, asked for with
    `SendRaw`) arrives as `RawEvent`.
    """

    def __init__(
        self,
        config: RealtimeConfig,
        profile: Profile,
        tools: Sequence[ToolDefinition] = (),
        before: Past = NO_PAST,
    ) -> None:
        """Raises `ConfigurationError` if the configuration cannot be had."""
        self._profile = profile
        self._plan = session_config.plan(config, profile, tools)
        # Written now, so that what JSON cannot express is refused before dialling.
        self._setup = wire.write({"type": "session.update", "session": self._plan.session})
        self._turn_detection = self._plan.turn_detection
        self._recognizer = self._plan.recognizer
        self._instructions = config.instructions
        self._phase: Literal["connecting", "configuring", "running"] = "connecting"
        self._past = past.frames(before.items)
        self._restored_calls = past.open_calls(before.items)
        self._turns = Turns(self._restored_calls)
        self._speech = Speech(profile.provider)
        self._uncommitted_bytes = 0
        self._asides = Asides()

    def open(self) -> Output:
        """Nothing: the server speaks first, with `session.created`."""
        return NOTHING

    # -- commands ------------------------------------------------------------------------------

    def send(self, command: AnyCommand) -> Output:
        """Translate a command.

        Raises:
            ConfigurationError: If a tool result belongs to no open call, a session update
                cannot be had, or raw data cannot be written as JSON. Nothing changed then.
        """
        match command:
            case AppendAudio(data=pcm):
                self._uncommitted_bytes += len(pcm)
                return Output((wire.append_audio(pcm),)) if pcm else NOTHING
            case CommitAudio():
                return self._commit()
            case ClearAudio():
                self._uncommitted_bytes = 0
                return _frame("input_audio_buffer.clear")
            case EndAudio():
                return self._end_audio()
            case SendText():
                return self._send_text(command)
            case RequestResponse():
                self._turns.request(command)
                return Output(self._requests())
            case CancelResponse(response_id=response_id):
                return self._cancel(response_id)
            case TruncateOutput(item_id=item_id, audio_end_ms=end):
                return _frame(
                    "conversation.item.truncate",
                    item_id=item_id,
                    content_index=0,
                    audio_end_ms=end,
                )
            case DeleteItem(item_id=item_id):
                return _frame("conversation.item.delete", item_id=item_id)
            case SendToolResult():
                return self._answer_call(command.call_id, command.output, command.respond)
            case UpdateSession():
                return self._update(command)
            case SendRaw(data=data):
                frame = wire.write(data)
                self._asides.note(data)
                return Output((frame,))
            case _:
                assert_never(command)

    def _commit(self) -> Output:
        if self._turn_detection is None and self._uncommitted_bytes < _LEAST_COMMIT_BYTES:
            empty = wire.Fault(
                code="input_audio_buffer_commit_empty",
                message=f"{self._uncommitted_bytes // 48} ms of audio are too little to commit",
            )
            return _event(self._failure(empty))
        self._uncommitted_bytes = 0
        self._turns.speech_withdrawn()
        self._turns.request(RequestResponse())
        return Output((wire.write({"type": "input_audio_buffer.commit"}), *self._requests()))

    def _end_audio(self) -> Output:
        # The protocol has no "microphone off"; its VAD ends a turn only by hearing silence.
        seconds, ms = divmod(session_config.closing_silence_ms(self._turn_detection), 1_000)
        pieces = [_SECOND_OF_SILENCE] * seconds + [_SECOND_OF_SILENCE[: ms * 48]] * (ms > 0)
        return Output(tuple(wire.append_audio(piece) for piece in pieces))

    def _send_text(self, command: SendText) -> Output:
        kind = "output_text" if command.role == "assistant" else "input_text"
        item = {
            "type": "message",
            "role": command.role,
            "content": [{"type": kind, "text": command.text}],
        }
        if command.respond:
            self._turns.request(RequestResponse())
        return Output((self._item_frame(item), *self._requests()))

    def _cancel(self, response_id: str | None) -> Output:
        # Without an id, a cancel that comes late would hit the next answer.
        target = response_id or self._turns.active
        return _frame("response.cancel", **({"response_id": target} if target else {}))

    def _answer_call(self, call_id: str, output: str, respond: bool) -> Output:
        batch = self._turns.answer(call_id, respond)
        wire_id = self._restored_calls.pop(call_id, call_id)
        item = {"type": "function_call_output", "call_id": wire_id, "output": output}
        frames = (self._item_frame(item), *self._requests())
        if batch.closed and self._turns.quiet:
            return Output(frames, (TurnEnded(response_id=batch.response_id),))
        return Output(frames)

    def _item_frame(self, item: dict[str, Any]) -> Frame:
        return wire.write(
            {"type": "conversation.item.create", "item": {"id": self._turns.tell(), **item}}
        )

    def _update(self, command: UpdateSession) -> Output:
        plan = session_config.plan_update(
            command, self._profile, has_spoken=self._speech.assistant_was_heard
        )
        if not plan.session:
            return Output((), plan.warnings)
        frame = wire.write({"type": "session.update", "session": plan.session})
        self._recognizer = plan.recognizer or self._recognizer
        self._instructions = command.config.instructions
        if plan.changes_turns:
            self._turn_detection = plan.turn_detection
            if not self._vad_answers:
                self._turns.vad_off()
        return Output((frame, *self._requests()), plan.warnings)

    def _requests(self) -> tuple[Frame, ...]:
        request = self._turns.next()
        if request is None:
            return ()
        message: dict[str, Any] = {"type": "response.create", "event_id": self._request_id}
        response: dict[str, Any] = {}
        if request.instructions is not None:
            # They take the place of the session's, and the answer would fall out of its role.
            told = (self._instructions, request.instructions)
            response["instructions"] = "\n\n".join(text for text in told if text)
        if request.interim:
            # Else the model could call the same tool again, and so on for ever.
            response["tool_choice"] = "none"
        if response:
            message["response"] = response
        return (wire.write(message),)

    @property
    def _request_id(self) -> str:
        """Event id of the request sent last, by which an error can be matched to it."""
        return f"request_{self._turns.sent}"

    @property
    def _vad_answers(self) -> bool:
        turns = self._turn_detection
        return turns is not None and turns.get("create_response") is not False

    # -- frames --------------------------------------------------------------------------------

    def receive(self, frame: Frame) -> Output:
        """Translate a frame; what has no common meaning becomes `RawEvent`.

        Raises:
            ProtocolError: If the frame is malformed. The codec is as it was before.
        """
        message = wire.parse(frame)
        if self._asides.owns(message):
            return _event(_raw(message, frame))
        match message:
            case wire.AudioDelta():
                return Output((), self._speech.audio(message))
            case wire.TextDelta():
                return _event(self._speech.words(message))
            case wire.Unknown(type=name, data=data):
                return _event(RawEvent(name=name, data=data))
            case wire.AudioDone():
                return Output((), self._speech.audio_done(message))
            case wire.TextDone():
                return _event(self._speech.words_done(message))
            case wire.UserTextDelta():
                return _event(self._speech.user_words(message))
            case wire.UserTextDone():
                return self._written_down(message)
            case wire.UserTextFailed():
                ended = self._speech.user_words_failed(message.item_id)
                return Output((), (self._failure(message.error), ended))
            case wire.SpeechStarted():
                if self._vad_answers:
                    self._turns.speech_started()
                return _event(
                    SpeechStarted(item_id=message.item_id, audio_ms=message.audio_start_ms)
                )
            case wire.SpeechStopped():
                return _event(SpeechStopped(item_id=message.item_id, audio_ms=message.audio_end_ms))
            case wire.Committed():
                self._turns.speech_committed()
                return _event(InputCommitted(item_id=message.item_id))
            case wire.Cleared():
                self._turns.speech_withdrawn()
                return Output(self._requests(), (_raw(message, frame),))
            case wire.ItemAdded():
                self._turns.read(message.item.id)
                return _event(_raw(message, frame))
            case wire.ResponseCreated():
                self._turns.created(message.response.id)
                return _event(ResponseStarted(response_id=message.response.id))
            case wire.ResponseDone():
                return self._response_done(message.response)
            case wire.ArgumentsDone() | wire.OutputItemDone():
                return self._call(message) or _event(_raw(message, frame))
            case wire.SessionCreated():
                if self._phase != "connecting":
                    return _event(_raw(message, frame))
                self._phase = "configuring"
                return Output((self._setup,))
            case wire.SessionUpdated():
                return self._session_updated(message.session)
            case wire.Error():
                return self._error(message, frame)
            case _:
                assert_never(message)

    def _written_down(self, message: wire.UserTextDone) -> Output:
        words = self._speech.user_words_done(message)
        if message.usage is None:
            return _event(words)
        # A recognizer beside the model, with a bill of its own.
        billed = UsageReported(usage=usage_of(message.usage), model=self._recognizer)
        return Output((), (words, billed))

    def _call(self, message: wire.ArgumentsDone | wire.OutputItemDone) -> Output | None:
        """The tool call that a frame completes; None if it completes none, or none that is new.

        The item repeats the call, and is the only one to name it in the beta protocol.
        """
        call = message.item if isinstance(message, wire.OutputItemDone) else message
        if isinstance(call, wire.Item) and (
            # An item that was cut has no whole arguments, and nobody waits for its output.
            call.type != "function_call" or call.status == "incomplete"
        ):
            return None
        call_id, name, response_id = call.call_id, call.name, message.response_id
        if not call_id or not name or not self._turns.call(call_id, response_id):
            return None
        parsed = _arguments(call.arguments or "")
        if parsed is not None:
            return _event(
                ToolCallRequest(
                    call_id=call_id,
                    function_name=name,
                    arguments=parsed,
                    response_id=response_id,
                )
            )
        told = "error: the arguments were not a JSON object, or too long; call again with others"
        answered = self._answer_call(call_id, told, respond=True)
        error = ErrorOccurred(
            message=f"the model called {name!r} with arguments that are no JSON object or too long",
            code="invalid_tool_arguments",
            provider=self._profile.provider,
            cause="provider",
            advice="nothing needs to be done: the model was told and may call again",
        )
        return Output(answered.frames, (error, *answered.events))

    def _response_done(self, response: wire.Response) -> Output:
        details = response.status_details or wire.StatusDetails()
        fault = details.error or wire.Fault(message="the answer failed")
        status = _STATUS.get(response.status, "incomplete")
        events: list[Event] = []
        if self._turns.requested and self._turns.active is None:
            # Its beginning got lost on the way; the request would be waited for for ever.
            self._turns.created(response.id)
            events.append(ResponseStarted(response_id=response.id))
        events += self._speech.end_of(response.id)
        if status == "cancelled":
            by_speech = details.reason == "turn_detected"
            events.append(
                OutputCancelled(
                    response_id=response.id, reason="speech" if by_speech else "request"
                )
            )
        if status == "failed":
            events.append(self._failure(fault))
        events.append(
            ResponseDone(
                response_id=response.id,
                status=status,
                reason=details.reason or fault.code or fault.type,
                usage=None if response.usage is None else usage_of(response.usage),
            )
        )
        cancelled = status == "cancelled"
        calls_answered = self._turns.done(response.id, cancelled=cancelled)
        frames = self._requests()
        # What was queued behind a cancelled answer is another turn, behind a complete one the same.
        if calls_answered and (cancelled or self._turns.quiet):
            events.append(TurnEnded(response_id=response.id))
        return Output(frames, tuple(events))

    def _failure(self, fault: wire.Fault) -> ErrorOccurred:
        """The event for what failed while the session goes on, whatever the reason."""
        return faults.error_event(fault, self._profile.provider, fatal=False)

    def _session_updated(self, session: wire.Session) -> Output:
        if self._phase == "running":
            return _event(SessionUpdated())
        self._phase = "running"
        frames, self._past = self._past, ()
        started = SessionStarted(
            session_id=session.id,
            model=session.model or self._profile.model,
            expires_at=session.expires_at,
        )
        return Output(frames, (started, *self._plan.warnings))

    def _error(self, message: wire.Error, frame: Frame) -> Output:
        """Errors that belong to the rules of turns are settled here; the rest is reported."""
        fault = message.error
        starting = self._phase != "running"
        ours = fault.event_id in (None, self._request_id)
        if fault.code == "conversation_already_has_active_response" and ours:
            self._turns.busy()
            return _event(_raw(message, frame))
        if fault.code == "response_cancel_not_active":
            return _event(_raw(message, frame))
        error = faults.error_event(fault, self._profile.provider, fatal=starting or None)
        # Many refusals do not name the message they answer. To take one for the request's is
        # safe, since a second request is refused and waits; to miss one would block all others.
        if error.fatal or not (ours and self._turns.refused()):
            return _event(error)
        frames = self._requests()
        return Output(frames, (error, TurnEnded()) if self._turns.quiet else (error,))


def _event(event: Event) -> Output:
    return Output((), (event,))


def _frame(name: str, **fields: object) -> Output:
    return Output((wire.write({"type": name, **fields}),))


def _raw(message: wire.Message, frame: Frame) -> RawEvent:
    return RawEvent(name=message.type, data=wire.parse_object(frame))


def _arguments(text: str) -> dict[str, Any] | None:
    """The arguments of a call, or None if they cannot be used. Nothing means no arguments."""
    if len(text) > LONGEST_ARGUMENTS:
        return None
    try:
        parsed: object = from_json(text.strip() or "{}", allow_inf_nan=False)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
