"""Holds very many chaotic conversations in parallel processes and prints the seeds that fail.

python tests/chaos/run.py                  10 000 of them
python tests/chaos/run.py --seeds 0-200    what the tests do
python tests/chaos/run.py --seed 4711      this one, and what happened in it
"""

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed

from conversation import DEADLINE_S, Report, talks

BATCH = 40
AT_ONCE = 8


def batch(seeds: list[int], deadline_s: float) -> list[Report]:
    return asyncio.run(talks(seeds, AT_ONCE, deadline_s))


def run(seeds: list[int], processes: int, deadline_s: float) -> list[Report]:
    """All reports. What a batch leaves behind is reported with its first seed."""
    batches = [seeds[start : start + BATCH] for start in range(0, len(seeds), BATCH)]
    reports: list[Report] = []
    with ProcessPoolExecutor(processes) as pool:
        for future in as_completed([pool.submit(batch, some, deadline_s) for some in batches]):
            reports += future.result()
            failed = [report for report in reports if report.problems]
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{len(reports)} held, {len(failed)} failed")
    return reports


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0-10000", help="first-end")
    parser.add_argument("--seed", type=int, nargs="+", help="these alone, and what happened")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--deadline", type=float, default=DEADLINE_S, help="seconds for each")
    options = parser.parse_args()
    if options.seed is not None:
        seeds = options.seed
    else:
        first, end = map(int, options.seeds.split("-"))
        seeds = list(range(first, end))
    start = time.monotonic()
    reports = run(seeds, options.processes, options.deadline)
    failed = [report for report in reports if report.problems]
    for report in sorted(failed, key=lambda report: report.seed):
        print(report)  # noqa: T201
    if options.seed is not None:
        for report in reports:
            print(*report.trace, sep="\n")  # noqa: T201
    faults: Counter[str] = sum((report.faults for report in reports), Counter())
    times = sorted(report.seconds for report in reports)
    print(  # noqa: T201
        f"{len(reports)} conversations over {sum(r.sessions for r in reports)} connections in "
        f"{time.monotonic() - start:.0f} s; one took {times[len(times) // 2]:.1f} s, at most "
        f"{times[-1]:.1f} s; {len(failed)} failed"
    )
    print("what happened:", *(f"{n} {kind}," for kind, n in faults.most_common()))  # noqa: T201
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
