"""One conversation: its tasks, its order of effects, its public handle."""
