"""Fixtures for tests of voice applications: a simulated provider, or a recorded one, in one line.

A pytest plugin, there as soon as the package is installed. It works with every way of running
async tests, and for tests that are not async: the simulator has an event loop and a thread of its
own. Nothing else is imported before a fixture is used.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pytest

if TYPE_CHECKING:
    from .cassette import CassetteProvider
    from .config import RealtimeConfig
    from .simulator.faults import AnyFault
    from .simulator.scenario import Scenario
    from .simulator.server import Simulator, Wire
    from .voice import RealtimeVoice

START_TIMEOUT_S = 10.0
_KEYS = {
    "openai": ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"),
}

T = TypeVar("T")


class StartSimulator(Protocol):
    """What the fixture `simulator` is."""

    def __call__(
        self,
        scenario: "str | Path | Scenario | None" = None,
        *,
        wires: "Sequence[Wire]" = ("openai", "gemini"),
        faults: "Sequence[AnyFault]" = (),
        **settings: Any,
    ) -> "Simulator":
        """Start a simulator, and lead the environment to it until the test ends.

        Args:
            scenario: TOML text, the path of a `.toml` file (beside the test's own file if it is
                relative), a `Scenario`, or None for the same answer to everything.
            wires: Which providers to simulate. With one of them `RealtimeVoice()` chooses it.
            faults: What goes wrong, in addition to the scenario's.
            settings: As for `Simulator`; `speed` is 0, at once, unless given.
        """
        ...


class MakeVoice(Protocol):
    """What the fixture `realtime_voice` is."""

    def __call__(
        self,
        scenario: "str | Path | Scenario | None" = None,
        config: "RealtimeConfig | None" = None,
        *,
        faults: "Sequence[AnyFault]" = (),
        **settings: Any,
    ) -> "RealtimeVoice":
        """A `RealtimeVoice` whose conversations are simulated.

        Args:
            scenario: As for `simulator`.
            config: As for `RealtimeVoice`, as are `settings`.
            faults: As for `simulator`.
            settings: Further arguments of `RealtimeVoice`.
        """
        ...


class LoadCassette(Protocol):
    """What the fixture `cassette` is."""

    def __call__(
        self,
        path: str | Path,
        config: "RealtimeConfig | None" = None,
        *,
        patience_s: float = 5.0,
        **settings: Any,
    ) -> "RealtimeVoice":
        """A `RealtimeVoice` whose next conversation is answered as it was recorded.

        The test fails if the application does something else than was recorded.

        Args:
            path: Beside the test's own file if it is relative.
            config: None takes the recorded one.
            patience_s: How long the application may take for its next frame.
            settings: Further arguments of `RealtimeVoice`.
        """
        ...


@pytest.fixture
def realtime_provider() -> str:
    """The provider that `realtime_voice` simulates: "openai", unless the test is parametrized.

    `@pytest.mark.parametrize("realtime_provider", ["openai", "gemini"])`
    """
    return "openai"


@pytest.fixture
def simulator(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StartSimulator]:
    """Starts simulated providers: `simulator("weather.toml")`."""
    with _Simulators() as simulators:

        def start(
            scenario: "str | Path | Scenario | None" = None,
            *,
            wires: "Sequence[Wire]" = ("openai", "gemini"),
            faults: "Sequence[AnyFault]" = (),
            **settings: Any,
        ) -> "Simulator":
            from .simulator.server import Simulator

            plan = _scenario(scenario, request.path.parent)
            made = Simulator(
                scenario=plan, wires=wires, faults=faults, **{"speed": 0, "seed": 1, **settings}
            )
            simulators.start(made)
            _lead_to(made, wires, monkeypatch)
            return made

        yield start


@pytest.fixture
def realtime_voice(simulator: StartSimulator, realtime_provider: str) -> MakeVoice:
    """Makes a `RealtimeVoice` that talks with a simulator: `realtime_voice("weather.toml")`."""

    def make(
        scenario: "str | Path | Scenario | None" = None,
        config: "RealtimeConfig | None" = None,
        *,
        faults: "Sequence[AnyFault]" = (),
        **settings: Any,
    ) -> "RealtimeVoice":
        from .voice import RealtimeVoice

        wire: Any = realtime_provider
        simulator(scenario, wires=(wire,), faults=faults)
        return RealtimeVoice(realtime_provider, config, **settings)

    return make


@pytest.fixture
def cassette(request: pytest.FixtureRequest) -> Iterator[LoadCassette]:
    """Makes a `RealtimeVoice` that talks with a recorded session: `cassette("talk.jsonl")`."""
    loaded: list[CassetteProvider] = []

    def load(
        path: str | Path,
        config: "RealtimeConfig | None" = None,
        *,
        patience_s: float = 5.0,
        **settings: Any,
    ) -> "RealtimeVoice":
        from .cassette import Cassette
        from .voice import RealtimeVoice

        recorded = Cassette.load(request.path.parent / path)
        provider = recorded.provider(patience_s=patience_s)
        loaded.append(provider)
        return RealtimeVoice(provider, config or recorded.config, **settings)

    yield load
    if mismatches := [text for provider in loaded for text in provider.mismatches]:
        pytest.fail("\n".join(mismatches), pytrace=False)


class _Simulators:
    """Simulators on an event loop in a thread of their own, which begins with the first."""

    def __init__(self) -> None:
        self._running: list[Simulator] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "_Simulators":
        return self

    def start(self, simulator: "Simulator") -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="simulator", daemon=True
            )
            self._thread.start()
        self._call(simulator.__aenter__())
        self._running.append(simulator)

    def __exit__(self, *exc_info: object) -> None:
        if self._loop is None or self._thread is None:
            return
        try:
            for simulator in reversed(self._running):
                self._call(simulator.__aexit__(None, None, None))
            self._call(self._loop.shutdown_default_executor())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(START_TIMEOUT_S)
            self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None  # noqa: S101 - `start` made it
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_TIMEOUT_S)


def _scenario(scenario: "str | Path | Scenario | None", folder: Path) -> "Scenario | None":
    from .simulator.scenario import Scenario

    if isinstance(scenario, str) and not scenario.endswith(".toml"):
        return Scenario.parse(scenario)
    if isinstance(scenario, str | Path):
        return Scenario.load(folder / scenario)
    return scenario


def _lead_to(
    simulator: "Simulator", wires: "Sequence[Wire]", monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = {
        wire: simulator.openai_url if wire == "openai" else simulator.gemini_plain_url
        for wire in _KEYS
        if wire in wires
    }
    for wire, url in urls.items():
        key, address = _KEYS[wire]
        monkeypatch.setenv(key, "simulated")
        monkeypatch.setenv(address, url)
    # What a developer has set must not decide who is tested.
    if len(urls) == 1:
        monkeypatch.setenv("REALTIME_VOICE_PROVIDER", *urls)
    else:
        monkeypatch.delenv("REALTIME_VOICE_PROVIDER", raising=False)
