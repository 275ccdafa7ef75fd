"""How frames travel."""
