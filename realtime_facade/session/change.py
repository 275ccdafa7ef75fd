"""Makes the command that changes a running session."""

from collections.abc import Iterable

from ..commands import UpdateSession
from ..config import RealtimeConfig
from ..providers.base import Profile
from ..tools.registry import Tools


def update_of(config: RealtimeConfig, changed: Iterable[str], profile: Profile) -> UpdateSession:
    """The change to `config`, in which the fields `changed` differ from before.

    Raises:
        ConfigurationError: If a model could not use one of the tools.
    """
    return UpdateSession(
        config=config,
        changed=frozenset(changed),
        tools=Tools(config.tools).definitions(
            speaks_while_running=profile.supports_answers_during_tools
        ),
    )
