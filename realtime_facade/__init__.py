"""Talk with speech-to-speech models, whichever provider they live at."""

__version__ = "0.1.0"
