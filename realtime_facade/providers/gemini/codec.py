"""Translates between Gemini Live frames and this package's commands and events."""

from collections.abc import Sequence
from typing import Any

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
from ...errors import Cause, ConfigurationError
from ...events import (
    ConfigWarning,
    ErrorOccurred,
    Event,
    InputCommitted,
    RawEvent,
    SessionExpiring,
    SessionResumable,
    SessionStarted,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    TurnEnded,
    UsageReported,
)
from ...tools.definition import ToolDefinition
from ..base import NO_PAST, NOTHING, Frame, Output, Past, Profile
from ..limits import LONGEST_ARGUMENTS, LONGEST_ID, MOST_CALLS
from . import past, setup, wire
from .conversation import Conversation
from .families import family_of
from .faults import explain_error
from .usage import usage_of

_SPEECH_STARTS = ("ACTIVITY_START", "VAD_SIGNAL_TYPE_SOS")
_SPEECH_ENDS = ("ACTIVITY_END", "VAD_SIGNAL_TYPE_EOS")
CHANGEABLE = frozenset({"instructions", "tools", "tool_choice"})
_NOT_THE_PROVIDERS = frozenset(
    {"input_rate", "output_rate", "tool_timeout_s", "max_parallel_tools", "setup_timeout_s"}
)
_NO_CONTENT = wire.ServerContent()


class GeminiCodec:
    """One connection to the Live API (BidiGenerateContent).

    The wire has no ids but those of tool calls; `turns` makes them up. What this provider means by
    the commands:

    - `CommitAudio` ends a manual turn; under the provider's own detection it closes the open turn,
      as `EndAudio` does.
    - `SendText` of the user cuts a running answer, as speech does, unless `respond` is False. What
      the assistant said is added to the history and never answered.
    - `RequestResponse` waits for the end of a running answer, unless it has to come at once, which
      cuts the answer; several become one; it is forgotten when the user takes the word instead.
      Instructions for one answer, and messages of the role "system", do not exist here and are
      sent as a note among the user's text.
    - `SendToolResult` for a call that was cancelled is dropped: the model must not get it.
    - `UpdateSession` changes instructions and tools where the model can; there is no
      acknowledgement, but later frames are taken after the change, so it counts as done.

    Args:
        config: What was asked for.
        profile: The provider's, for the same configuration.
        tools: The functions the model may ask for.
        before: What the model is told before the session starts.

    Raises:
        ConfigurationError: If the configuration cannot be had.
    """

    def __init__(
        self,
        config: RealtimeConfig,
        profile: Profile,
        tools: Sequence[ToolDefinition] = (),
        before: Past = NO_PAST,
    ) -> None:
        self._model = profile.model
        self._rate = profile.input_rate
        self._updatable = profile.updatable
        self._family = family_of(profile.model)
        body = setup.build(config, profile.model, self._family, tools)
        self._silent_since_seed = setup.add_past(body, before, self._family)
        self._past = before.items
        self._restored_calls = past.OpenCalls(before.items)
        self._setup = wire.encode({"setup": body})
        self._warnings = setup.warnings_about(config, self._family)
        self._manual = setup.has_manual_turns(body)
        # Some models write down the user's speech unasked.
        self._transcribe = "inputAudioTranscription" in body

        self._started = False
        self._speaking = False
        """By hand: between activityStart and activityEnd."""
        self._request: RequestResponse | None = None
        """Waits for the end of the turn."""
        self._talk = Conversation(f"c{before.connections}-" if before.connections else "")

    def open(self) -> Output:
        """The setup message; nothing else may be sent before `SessionStarted`."""
        return Output((self._setup,))

    # Commands

    def send(self, command: AnyCommand) -> Output:
        """Translate a command.

        Raises:
            ConfigurationError: If this provider or model has no such thing.
        """
        match command:
            case AppendAudio():
                return self._append(command.data)
            case CommitAudio():
                return self._commit()
            case EndAudio():
                return NOTHING if self._manual else Output((wire.AUDIO_STREAM_END,))
            case SendText():
                return Output((self._text(command),))
            case RequestResponse():
                if self._talk.answering and not command.at_once:
                    # Sent now, it would cut the running answer.
                    if command.instructions or self._request is None:
                        self._request = command
                    return NOTHING
                return Output((self._answer_now(command),))
            case SendToolResult():
                return self._tool_result(command)
            case UpdateSession():
                return self._update(command)
            case SendRaw():
                return Output((wire.encode(command.data),))
            case ClearAudio():
                raise _impossible(
                    "audio cannot be taken back: the model hears it as it is sent",
                    "hold audio back until it is wanted",
                )
            case CancelResponse():
                raise _impossible(
                    "an answer cannot be stopped on request",
                    "stop playing it; speech and text of the user do cut it",
                )
            case TruncateOutput() | DeleteItem():
                raise _impossible(
                    "the model cannot be told what was not heard",
                    "ask profile.supports_truncation before",
                )

    def _append(self, pcm: bytes) -> Output:
        if not pcm:
            return NOTHING
        frame = wire.audio(pcm, self._rate)
        if not self._manual or self._speaking:
            return Output((frame,))
        self._speaking = True
        return Output((wire.ACTIVITY_START, frame), tuple(self._talk.user.begin()))

    def _commit(self) -> Output:
        if not self._manual:
            return Output((wire.AUDIO_STREAM_END,))
        if not self._speaking:
            raise _impossible(
                "there is no audio to commit", "append audio first", cause="application"
            )
        self._speaking = False
        return Output((wire.ACTIVITY_END,), (InputCommitted(item_id=self._talk.user.item_id),))

    def _text(self, command: SendText) -> Frame:
        if command.role == "assistant":
            return wire.content("model", command.text, turn_complete=False)
        text = past.note(command.text) if command.role == "system" else command.text
        if not command.respond:
            return wire.content("user", text, turn_complete=False)
        return self._ask(text)

    def _ask(self, text: str) -> Frame:
        if self._family.text_now:
            return wire.text_now(text)
        return wire.content("user", text, turn_complete=True)

    def _answer_now(self, request: RequestResponse) -> Frame:
        if request.instructions:
            return self._ask(past.note(request.instructions))
        if self._silent_since_seed:
            return self._ask(past.note("Answer now."))
        return wire.ANSWER_NOW

    def _tool_result(self, result: SendToolResult) -> Output:
        if result.call_id in self._restored_calls:
            self._restored_calls.answer(result)
            if self._talk.answering:
                return NOTHING
            told, answered = self._told_results()
            return Output(told, (TurnEnded(),) if told and not answered else ())
        if result.call_id in self._talk.cancelled_calls:
            self._talk.cancelled_calls.remove(result.call_id)
            return NOTHING
        if result.call_id not in self._talk.calls:
            raise _impossible(
                f"the call {result.call_id!r} is not open on this connection",
                "send exactly one result for each ToolCallRequest",
                cause="application",
            )
        self._talk.calls.remove(result.call_id)
        silent = not result.respond and self._family.scheduling
        frames: tuple[Frame, ...] = (wire.tool_response(result, silent=silent),)
        events: list[Event] = []
        if not silent and not self._family.calls_block:
            self._talk.result_is_due_an_answer()
        if silent and self._talk.waiting:
            frames += self._end_turn(events)
        elif not result.respond and not silent:
            events.append(
                ConfigWarning(
                    setting="respond", message="this model speaks about every result of a tool"
                )
            )
        return Output(frames, tuple(events))

    def _told_results(self) -> tuple[tuple[Frame, ...], bool]:
        """Tell the results of an earlier connection's calls, if all are there.

        Returns:
            What to send, and whether an answer follows.
        """
        told = self._restored_calls.take()
        if told is None:
            return (), False
        text, respond = told
        frame = self._ask(text) if respond else wire.content("user", text, turn_complete=False)
        return (frame,), respond

    def _update(self, command: UpdateSession) -> Output:
        changed = command.changed - _NOT_THE_PROVIDERS
        if fixed := changed - self._updatable:
            raise _impossible(
                f"{self._model} cannot change {', '.join(sorted(fixed))} in a running session",
                "start a new session with the new configuration",
            )
        update: dict[str, Any] = {}
        if "instructions" in changed:
            update["systemInstruction"] = setup.system_instruction(command.config)
        if changed & {"tools", "tool_choice"}:
            update["tools"] = {"tools": setup.tool_list(command.config, command.tools)}
        frames = (wire.encode({"contextUpdate": update}),) if update else ()
        return Output(frames, (SessionUpdated(),))

    # Messages

    def receive(self, frame: Frame) -> Output:
        """Translate a frame; all its keys count, in the order in which they make sense.

        Keys that have no common meaning come as one `RawEvent` after the others.

        Raises:
            ProtocolError: If the frame is malformed. The codec stays as it was.
        """
        message = wire.parse(frame)
        content = message.server_content or _NO_CONTENT
        talk = self._talk
        events: list[Event] = []
        frames: tuple[Frame, ...] = ()
        untranslated = _untranslated(message, content)

        if message.setup_complete is not None:
            if self._started:
                untranslated.append("setupComplete")
            else:
                frames = self._start(message.setup_complete, events)
        self._housekeeping(message, events)
        if content.input_transcription is not None:
            self._heard(content.input_transcription.text, events)
        if message.tool_call_cancellation is not None:
            talk.cancel_calls(message.tool_call_cancellation.ids, events)
        if content.interrupted:
            # Whatever cut the answer is answered next, so a waiting request is granted.
            self._request = None
            talk.interrupt(events)
        if content.output_transcription is not None and content.output_transcription.text:
            talk.write(content.output_transcription.text, events)
        if content.model_turn is not None:
            for part in content.model_turn.parts:
                self._produced(part, events)
        if message.tool_call is not None:
            for call in message.tool_call.function_calls:
                if len(frame) > LONGEST_ARGUMENTS or len(talk.calls) >= MOST_CALLS:
                    frames += self._refuse(call, events)
                else:
                    talk.call(call, events)
        if content.generation_complete:
            talk.generated(events)
        if message.usage_metadata is not None:
            if talk.answering:
                talk.usage = message.usage_metadata
            else:
                events.append(UsageReported(usage=usage_of(message.usage_metadata)))
        if talk.answering:
            self._silent_since_seed = False
        if content.turn_complete:
            if talk.complete(content.turn_complete_reason, content.interaction_status, events):
                frames += self._end_turn(events)
        elif content.interaction_status == "IDLE" and talk.waiting:
            frames += self._end_turn(events)
        if untranslated:
            name = ",".join(untranslated)[:LONGEST_ID]
            events.append(RawEvent(name=name, data=wire.untyped(frame)))
        return Output(frames, tuple(events))

    def _refuse(self, call: wire.FunctionCall, events: list[Event]) -> tuple[Frame, ...]:
        told = "too many calls at once, or too long arguments; call again with less"
        result = SendToolResult(
            call_id=call.id, function_name=call.name, output=told, is_error=True
        )
        events.append(
            ErrorOccurred(
                message=f"a call of {call.name!r} was refused: {told}",
                code="invalid_tool_arguments",
                provider="gemini",
                cause="provider",
                advice="nothing needs to be done: the model was told and may call again",
            )
        )
        return (wire.tool_response(result, silent=False),)

    def _start(self, setup_complete: wire.SetupComplete, events: list[Event]) -> tuple[Frame, ...]:
        self._started = True
        events.append(SessionStarted(session_id=setup_complete.session_id, model=self._model))
        events += self._warnings
        items, self._past = self._past, ()
        return (past.content(items, turn_complete=self._silent_since_seed),) if items else ()

    def _housekeeping(self, message: wire.ServerMessage, events: list[Event]) -> None:
        error = message.error
        if error is None and (message.code or message.status or message.message):
            error = message
        if error is not None:
            fatal = not self._started
            events.append(explain_error(error.code, error.status, error.message, fatal=fatal))
        update = message.session_resumption_update
        if update is not None and update.resumable and update.new_handle:
            events.append(SessionResumable(handle=update.new_handle))
        if message.go_away is not None:
            left = message.go_away.time_left
            events.append(SessionExpiring(time_left_s=wire.seconds(left) if left else None))
        if message.voice_activity is not None:
            self._voice(message.voice_activity.type, message.voice_activity.audio_offset, events)
        if message.voice_activity_detection_signal is not None:
            self._voice(message.voice_activity_detection_signal.vad_signal_type, None, events)

    def _voice(self, kind: str, offset: str | None, events: list[Event]) -> None:
        at = None if offset is None else wire.seconds(offset) * 1000
        if kind in _SPEECH_STARTS:
            events += self._talk.user.begin()
            events.append(SpeechStarted(item_id=self._talk.user.item_id, audio_ms=at))
        elif kind in _SPEECH_ENDS:
            events.append(SpeechStopped(item_id=self._talk.user.item_id, audio_ms=at))
            events += self._talk.user.close()

    def _heard(self, text: str, events: list[Event]) -> None:
        if text and self._transcribe:
            events.append(self._talk.user.hear(text))

    def _produced(self, part: wire.Part, events: list[Event]) -> None:
        blob = part.inline_data
        if blob is not None and blob.data:
            rate = wire.pcm_rate(blob.mime_type)
            if rate is not None:
                self._talk.speak(blob.data, rate, events)
        if part.text:
            (self._talk.think if part.thought else self._talk.write)(part.text, events)

    def _end_turn(self, events: list[Event]) -> tuple[Frame, ...]:
        told, answered = self._told_results()
        if answered:
            return told
        if self._request is not None:
            frame = self._answer_now(self._request)
            self._request = None
            return (*told, frame)
        events.append(TurnEnded(response_id=self._talk.end()))
        return told


def _impossible(message: str, advice: str, cause: Cause = "configuration") -> ConfigurationError:
    return ConfigurationError(message, provider="gemini", cause=cause, advice=advice)


def _untranslated(message: wire.ServerMessage, content: wire.ServerContent) -> list[str]:
    names = [*message.model_extra] if message.model_extra else []
    if content.model_extra:
        names += [f"serverContent.{key}" for key in content.model_extra]
    if content.model_turn is not None:
        for part in content.model_turn.parts:
            blob = part.inline_data
            if part.text is None if blob is None else wire.pcm_rate(blob.mime_type) is None:
                names.append("serverContent.modelTurn")
                break
    return names
