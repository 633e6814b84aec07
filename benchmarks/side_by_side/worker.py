"""A worker process: one contestant of one case. Between slices it waits for a line of its parent's and uses no core.

    python -m benchmarks.side_by_side.worker CONTESTANT NETWORK MODE DTYPE kept|returned

Answers are lines of JSON: one after the first call, and one for each number of calls that it reads, with the seconds
of wall clock and processor time that they took, and the largest resident memory so far; or the last one, why it failed.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

from benchmarks.side_by_side.cases import Case
from benchmarks.side_by_side.contestant import Contestant
from convnets.cli.runtime import keep_memory


def main(arguments: list[str]) -> None:
    """Serves the parent until it closes the pipe."""
    contestant, network, mode, dtype, memory = arguments
    # Whatever libraries print goes where errors go.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if memory == "kept":
        # Before there are threads and large buffers.
        keep_memory()
    try:
        made = make(contestant, Case(network, mode, dtype))
        loss = made.loss(run(made, 1, answers))
        answer(answers, {"loss": loss})
        for line in sys.stdin:
            run(made, int(line), answers)
    except Exception as error:
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        answer(answers, {"failure": ": ".join([type(error).__name__, *said[:1]])})
        raise


def make(contestant: str, case: Case) -> Contestant:
    """The contestant of that name, on the library that it is made of."""
    if contestant in ("eager", "torch.compile"):
        from benchmarks.side_by_side import pytorch

        return pytorch.make(case, compiled=contestant == "torch.compile")
    from benchmarks.side_by_side import ours

    return ours.make(case)


def run(contestant: Contestant, calls: int, answers: TextIO) -> Any:
    """Calls it so often, without waiting in between, and answers how long it took until the last was there."""
    result = None
    began, processor = time.perf_counter(), time.process_time()
    for _ in range(calls):
        result = contestant.call()
    contestant.wait(result)
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    # In kilobytes, but on macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    answer(answers, {"seconds": seconds, "processor": processor, "peak": peak})
    return result


def answer(answers: TextIO, what: Mapping[str, float | str]) -> None:
    """One line to the parent."""
    print(json.dumps(what), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
