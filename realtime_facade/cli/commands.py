"""What the `realtime-facade` command offers; each subcommand loads what it needs when it is run."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from ..errors import AudioFormatError, ConfigurationError, RealtimeError

app = typer.Typer(
    name="realtime-facade",
    help="Talk with speech-to-speech models, or with simulated ones on this computer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Wire(StrEnum):
    """A protocol that the simulated provider speaks."""

    openai = "openai"
    gemini = "gemini"


def _write(text: str) -> None:
    """For programs that read along: a line is out as soon as it is written."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _note(text: str) -> None:
    Console(stderr=True).print(f"[dim]{escape(text)}[/]", highlight=False)


@contextmanager
def _reported() -> Iterator[None]:
    """Turn our errors into a message and an exit code: 2 for the caller's faults, 1 for others."""
    try:
        yield
    except (AudioFormatError, ConfigurationError) as error:
        _fail(error)
        raise typer.Exit(2) from error
    except (RealtimeError, OSError) as error:
        _fail(error)
        raise typer.Exit(1) from error


def _fail(error: Exception) -> None:
    Console(stderr=True).print(f"[red]{escape(str(error))}[/]", highlight=False, soft_wrap=True)


@app.command()
def demo(
    wire: Annotated[Wire, typer.Option(help="Protocol between the two ends.")] = Wire.openai,
    input_: Annotated[
        list[Path] | None,
        typer.Option("--input", help="PCM WAV files to ask instead of the bundled questions."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Record to this WAV file: user left, assistant right.")
    ] = Path("conversation.wav"),
    play: Annotated[
        bool, typer.Option("--play", help="Let it be heard on the sound card (extra `audio`).")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object per event, and last a summary.")
    ] = False,
) -> None:
    """Hold a spoken conversation with the offline provider, and show what happens."""
    with _reported():
        from ..providers.local import LocalProvider
        from . import demo as talk
        from .show import JsonShow, TextShow

        questions = talk.read_questions(input_) if input_ else talk.bundled_questions()
        show = JsonShow(_write) if json else TextShow(Console())
        provider = LocalProvider(wire=wire.value)
        asyncio.run(talk.run(questions, provider, out=out, show=show, aloud=play))


@app.command()
def simulate(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="First of three ports; 0 picks free ones.")] = 0,
    speed: Annotated[
        float, typer.Option(help="Speech is generated this many times faster than it sounds.")
    ] = 6.0,
    scenario: Annotated[
        Path | None, typer.Option(help="A TOML file that says what to answer.")
    ] = None,
    chaos: Annotated[
        int | None,
        typer.Option(metavar="SEED", help="Let things go wrong by chance, as this number has it."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the addresses as one JSON line.")
    ] = False,
    allow_remote: Annotated[
        bool, typer.Option(help="Let other computers in; there is no protection.")
    ] = False,
) -> None:
    """Serve simulated providers on this computer until Ctrl+C."""
    with _reported():
        from .simulate import serve

        asyncio.run(
            serve(
                host=host,
                port=port,
                speed=speed,
                scenario=scenario,
                chaos=chaos,
                as_json=json,
                allow_remote=allow_remote,
                write=_write,
                note=_note,
            )
        )


@app.command()
def replay(
    cassette: Annotated[Path, typer.Argument(help="A file that `record_to=` has written.")],
    speed: Annotated[
        float, typer.Option(help="So many times as fast as it was; 0 is at once.")
    ] = 0.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per event.")] = False,
) -> None:
    """Show what happened in a recorded session, event by event."""
    with _reported():
        from .replay import replay as show

        show(cassette, as_json=json, speed=speed, write=_write)


@app.command()
def providers(
    json: Annotated[bool, typer.Option("--json", help="One JSON object per provider.")] = False,
) -> None:
    """List the providers, whether their keys are set, and their models and voices."""
    with _reported():
        from .providers import list_providers

        list_providers(as_json=json, write=_write, console=Console())
