"""A whole assistant: devices, callbacks, a tool, a recording.

    python examples/assistant.py                          # microphone and loudspeaker
    python examples/assistant.py question.wav heard.wav   # from file to file

Needs the extra `audio`. Ctrl+C ends the conversation.
"""

import asyncio
import sys
from datetime import datetime

from realtime_facade import AgentListener, RealtimeAgent
from realtime_facade.devices.file import FileMicrophone, FileSpeaker


def get_current_time() -> str:
    """Get the current local time."""
    return datetime.now().strftime("%H:%M:%S")


class Screen(AgentListener):
    async def on_user_transcript(self, transcript: str) -> None:
        print(f"you: {transcript}", flush=True)

    async def on_assistant_transcript(self, transcript: str) -> None:
        print(f"assistant: {transcript}", flush=True)

    async def on_agent_interrupted(self) -> None:
        print("(interrupted)", flush=True)


async def main(files: list[str]) -> None:
    agent = RealtimeAgent(
        instructions="You are a helpful voice assistant. Be brief.",
        tools=[get_current_time],
        audio_input=FileMicrophone(files[0]) if files else None,
        audio_output=FileSpeaker(files[1]) if files else None,
        recording_path="assistant.wav",
        listener=Screen(),
    )
    result = await agent.run()
    print(f"{len(result.turns)} turns, recorded in {result.recording_path}: {result.reason}")


asyncio.run(main(sys.argv[1:]))
