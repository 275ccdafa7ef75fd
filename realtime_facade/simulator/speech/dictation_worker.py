"""The process that writes down free speech; run with `python -m`, talks over its pipes.

Each request is a header (`HEADER`: number and length in bytes) and mono s16le at 16 kHz; each
reply one line of JSON, `{"number": 1, "text": "hello"}`. It ends when its input does.
"""

import json
import signal
import struct
import sys

HEADER = struct.Struct("<II")


def main() -> None:
    """Answer requests until the input ends."""
    from pocketsphinx import Decoder  # type: ignore[import-untyped]

    # A Ctrl-C in the terminal is meant for the parent, which then closes our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    decoder = Decoder(samprate=16_000, loglevel="FATAL")
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while len(header := source.read(HEADER.size)) == HEADER.size:
        number, size = HEADER.unpack(header)
        pcm = source.read(size)
        text = ""
        if pcm:
            decoder.start_utt()
            decoder.process_raw(pcm, False, True)
            decoder.end_utt()
            hypothesis = decoder.hyp()
            text = hypothesis.hypstr if hypothesis else ""
        sink.write(json.dumps({"number": number, "text": text}).encode() + b"\n")
        sink.flush()


if __name__ == "__main__":
    main()
