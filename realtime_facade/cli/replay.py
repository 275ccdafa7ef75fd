"""Shows what happened on a cassette: its frames are run through the codec again."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ..cassette import Cassette
from ..cassette.cassette import Played
from ..errors import ConfigurationError
from ..events import AudioChunk, Event
from ..transport.cassette import Closed, Opened
from .show import fields_of

Write = Callable[[str], None]


def replay(
    path: Path,
    *,
    as_json: bool,
    speed: float,
    write: Write,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Write a line for everything that happened.

    Args:
        path: A file that `record_to=` has written.
        as_json: JSON objects instead of lines for people.
        speed: So many times as fast as it was; 0 is at once.
        write: Takes a line.
        sleep: Waits so many seconds.

    Raises:
        ConfigurationError: If the cassette is broken; names the line.
    """
    if speed < 0:
        raise ConfigurationError("a speed is 0 or more", advice="0 is at once, 1 as it was")
    cassette = Cassette.load(path)
    now = 0.0
    for played in cassette.play() if as_json else _without_gaps(cassette.play()):
        if speed and played.at > now:
            sleep((played.at - now) / speed)
            now = played.at
        write(_json(played) if as_json else _text(played))


def _json(played: Played) -> str:
    what = played.happened
    fields = fields_of(what) if isinstance(what, Event) else what.model_dump(mode="json")
    return json.dumps({**fields, "at": played.at, "connection": played.connection})


def _text(played: Played) -> str:
    what = played.happened
    if isinstance(what, Opened):
        name, told = "connected", f"to {what.provider}, {what.model}"
        told += f", with {len(what.past)} items of before" * bool(what.past)
    elif isinstance(what, Closed):
        name, told = "closed", f"by the {what.by}"
        told += f" with {what.code}" * (what.code is not None) + f": {what.reason}" * bool(
            what.reason
        )
    else:
        name = what.type
        told = ", ".join(
            f"{key}={value!r}"
            for key, value in what.__repr_args__()
            if key is not None and key != "type" and value != type(what).model_fields[key].default
        )
    return f"{played.at:9.3f}  {played.connection}  {name:20} {told}".rstrip()


def _without_gaps(played: Iterator[Played]) -> Iterator[Played]:
    """Chunks of one item that follow each other as one, without its samples: they say nothing."""
    sound: Played | None = None
    for each in played:
        chunk = each.happened
        if type(chunk) is not AudioChunk or chunk.is_final:
            if sound is not None:
                yield sound
            sound = None
            yield each
            continue
        before = sound.happened if sound is not None else None
        if isinstance(before, AudioChunk) and before.item_id == chunk.item_id and sound is not None:
            longer = before.model_copy(
                update={"duration_ms": before.duration_ms + chunk.duration_ms}
            )
            sound = sound._replace(happened=longer)
        else:
            if sound is not None:
                yield sound
            sound = each
    if sound is not None:
        yield sound
