import pytest

from realtime_facade import errors
from realtime_facade.errors import ConfigurationError, MissingExtra, RealtimeError

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, RealtimeError)
]


@pytest.mark.parametrize("kind", [k for k in KINDS if k is not MissingExtra])
def test_every_error_says_who_has_to_act(kind):
    error = kind("what", advice="do this")
    assert str(error) == "what (do this)"
    assert (error.message, error.retryable) == ("what", False)
    assert error.cause == kind.default_cause


def test_the_tree_is_drawn_completely():
    for kind in KINDS:
        assert kind.__name__ in errors.__doc__


def test_builtin_families_are_kept():
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(MissingExtra, ImportError)


def test_a_missing_extra_names_the_command_that_brings_it():
    error = MissingExtra("Playing aloud", "audio", "sounddevice")
    assert 'pip install "realtime-facade[audio]"' in str(error)
    assert "'sounddevice'" in str(error)
