"""What libraries say on their own, by logging, warnings or a thread's end: lines of ours as well.

Left alone, each of them writes what came from elsewhere to standard error as it is.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from typing import Any

from bundle.cli.writer import write_lines, write_traceback


class _LineHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Write a record as one line."""
        level = record.levelname.lower()
        write_lines([f"isoward: {level}: {record.name}: {record.getMessage()}"], err=True)


def tame_libraries() -> None:
    """Have all that libraries say on their own written as lines, from now on."""
    logging.lastResort = _LineHandler(logging.WARNING)
    warnings.showwarning = _show_warning
    threading.excepthook = _show_end_of_thread


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **_: Any) -> None:
    place = ":".join(str(part) for part in where[:2])
    write_lines([f"isoward: {category.__name__}: {message} ({place})"], err=True)


def _show_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_type is SystemExit or ended.exc_value is None:
        return
    # At the very end of a process its streams may be gone.
    if sys.stderr is not None:
        write_traceback(ended.exc_value)
