"""A verification worker: `python -m drand.verifying PARENT`. Jobs come on standard input, verdicts go to the output.

It ends when its input does, and on Linux also when the process PARENT is gone while somebody else (a child that was
forked off) still holds the pipe. Ctrl-C is the parent's to answer.
"""

import os
import select
import signal
import sys
import threading
from functools import lru_cache
from queue import Queue

from collective.entropy import SystemEntropy
from collective.errors import CollectiveError
from drand.model.schemes import scheme_named
from drand.model.verification import ChainVerifier
from drand.verifying import frames

_INPUT, _OUTPUT, _ERRORS = 0, 1, 2


@lru_cache(maxsize=16)
def _verifier(scheme: str, public_key: bytes) -> ChainVerifier:
    return ChainVerifier(scheme_named(scheme), public_key)


def verdict(job: bytes) -> bytes:
    """The answer to a job; what is wrong with the job itself, or with the library, is said in the answer."""
    try:
        scheme, public_key, beacons = frames.decode_job(job)
        bad = _verifier(scheme, public_key).bad_rounds(beacons, SystemEntropy())
    except CollectiveError as error:
        return frames.encode_refusal(f"{type(error).__name__}: {error}")
    return frames.encode_verdict(sorted(bad))


def main(parent: int) -> None:
    """Answer jobs in their order, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    output = os.dup(_OUTPUT)
    os.dup2(_ERRORS, _OUTPUT)  # whatever a library prints is no verdict
    jobs: Queue[bytes] = Queue(maxsize=1)
    threading.Thread(target=_take_jobs, args=(jobs,), daemon=True).start()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    frames.send(output, frames.GREETING)
    while True:
        frames.send(output, verdict(jobs.get()))


def _take_jobs(jobs: "Queue[bytes]") -> None:
    """In a thread of its own, so that the end of the input is seen in the middle of a job."""
    try:
        while True:
            jobs.put(frames.receive(_INPUT))
    except EOFError:
        os._exit(0)


def _end_with(parent: int) -> None:
    if sys.platform != "linux":
        return  # the end of the input has to do
    try:
        watched = os.pidfd_open(parent)
    except ProcessLookupError:
        os._exit(0)
    except OSError:
        return  # forbidden in this container: the end of the input has to do
    if os.getppid() == parent:
        select.select([watched], [], [])
    os._exit(0)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except BrokenPipeError:
        os._exit(0)  # the parent has closed its end
