"""The providers: each a profile, a pure codec, and an address to dial."""
