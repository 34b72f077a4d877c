"""Running a command with its memory and time measured.

The command is the child of a small process of its own: what Linux reports as the largest resident
size of a child begins with that of the process which made it, and pytest is large.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

HANG_SECONDS = 30

_RUNNER = """
import json, os, subprocess, sys, threading, time
limit, *command = sys.argv[1:]
began = time.monotonic()
child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
timer = threading.Timer(float(limit), child.kill)
timer.start()
errors = []
reader = threading.Thread(target=lambda: errors.append(child.stderr.read()))
reader.start()
out = child.stdout.read()
reader.join()
_, status, usage = os.wait4(child.pid, 0)
timer.cancel()
seconds = time.monotonic() - began
code = os.waitstatus_to_exitcode(status)
print(json.dumps([code, out, errors[0], usage.ru_maxrss * 1024, seconds]))
"""


@dataclass(frozen=True)
class Measured:
    """What a command did.

    Attributes:
        code: Its exit code; negative if it had to be killed.
        out: Standard output.
        err: Standard error.
        memory: The largest resident size, in bytes.
        seconds: From its start to its end.
    """

    code: int
    out: str
    err: str
    memory: int
    seconds: float


def measured(command: Sequence[str]) -> Measured:
    """Run a command to its end; it is killed if it hangs."""
    arguments = [sys.executable, "-S", "-c", _RUNNER, str(HANG_SECONDS), *command]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return Measured(*json.loads(done.stdout))
