"""How much of what a provider sends is taken. What exceeds this is broken or hostile.

Nothing here is reached in a conversation between people: an hour of speech is 60 000 characters.
"""

from typing import Annotated

from pydantic import Field

LONGEST_ID = 512
"""Characters of an identifier, a name or a code."""
LONGEST_TEXT = 250_000
"""Characters of one item's transcript; what is said beyond it is not written down."""
LONGEST_ARGUMENTS = 250_000
"""Bytes of a tool call's arguments; a longer call is refused in words."""
MOST_ITEMS = 256
"""Items without an end that are remembered; the oldest is forgotten first."""
MOST_CALLS = 1_024
"""Tool calls that are remembered, answered or not; the oldest is forgotten first."""
MOST_PARTS = 1_024
"""Parts of one message."""

Id = Annotated[str, Field(max_length=LONGEST_ID)]
