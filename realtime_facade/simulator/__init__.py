"""The providers' side of the conversation, on this computer: for tests, demos and offline work."""
