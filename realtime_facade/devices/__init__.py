"""Where speech comes from and goes to: sound cards, files, nothing at all, and your own classes.

Import from the files below this folder (`from realtime_facade.devices.soundcard import Speaker`):
each brings only the libraries that it needs.
"""
