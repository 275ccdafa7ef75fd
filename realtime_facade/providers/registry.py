"""Which providers there are, and which one to take when nobody says.

Built-in ones come first, others join by the entry point group `realtime_facade.providers` or by
`register`. A provider's code is imported on first use.
"""

import os
from importlib import import_module
from importlib.metadata import entry_points

from ..errors import ConfigurationError
from .base import Provider

ENTRY_POINT_GROUP = "realtime_facade.providers"
PROVIDER_VARIABLE = "REALTIME_VOICE_PROVIDER"

_BUILT_IN = {
    "openai": "realtime_facade.providers.openai:OpenAIProvider",
    "gemini": "realtime_facade.providers.gemini:GeminiProvider",
    "azure": "realtime_facade.providers.azure:AzureOpenAIProvider",
    "local": "realtime_facade.providers.local:LocalProvider",
}
_registered: dict[str, type[Provider]] = {}


def register(name: str, provider: type[Provider]) -> None:
    """Make a provider known under `name`; a later one replaces an earlier one."""
    _registered[name] = provider


def available_providers() -> list[str]:
    """Names of all registered providers, in the order in which they are tried."""
    installed = sorted(point.name for point in entry_points(group=ENTRY_POINT_GROUP))
    return list(dict.fromkeys([*_BUILT_IN, *_registered, *installed]))


def configured_providers() -> list[str]:
    """Names of the providers whose key the environment holds, in the order of preference."""
    return [name for name in available_providers() if provider_class(name).is_configured()]


def provider_class(name: str) -> type[Provider]:
    """The provider registered under `name`.

    Raises:
        ConfigurationError: If there is none, or its package cannot be imported.
    """
    if name in _registered:
        return _registered[name]
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        loaded = getattr(import_module(module), attribute)
    else:
        points = entry_points(group=ENTRY_POINT_GROUP, name=name)
        if not points:
            raise ConfigurationError(
                f"unknown provider {name!r}",
                advice=f"there are: {', '.join(available_providers())}",
            )
        loaded = next(iter(points)).load()
    if not (isinstance(loaded, type) and issubclass(loaded, Provider)):
        raise ConfigurationError(
            f"{name!r} is registered as a provider but is {loaded!r}",
            advice="register a subclass of realtime_facade.Provider",
        )
    return loaded


def provider_named(name: str | Provider) -> Provider:
    """A provider with the environment's key, or the very provider that was given.

    Raises:
        ConfigurationError: If there is none of this name.
    """
    return name if isinstance(name, Provider) else provider_class(name)()


def choose_provider() -> str:
    """The provider for an application that names none.

    `REALTIME_VOICE_PROVIDER`, else the first configured one: OpenAI, Gemini, then others.

    Raises:
        ConfigurationError: If nothing is configured, or the variable names an unknown provider.
    """
    if named := os.environ.get(PROVIDER_VARIABLE):
        provider_class(named)
        return named
    for name in available_providers():
        if provider_class(name).is_configured():
            return name
    variables = [v for n in available_providers() for v in provider_class(n).env_keys]
    raise ConfigurationError(
        "no provider is configured",
        cause="authentication",
        advice=f"set {' or '.join(variables)}, or use provider='local' to try it offline",
    )
