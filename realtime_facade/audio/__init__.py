"""Sound as bytes: mono s16le in, mono s16le out; files and telephone codes at the edges.

Import from the files below this folder (`from realtime_facade.audio.resample import Resampler`):
each brings only the libraries that it needs.
"""
