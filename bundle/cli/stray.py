"""What libraries print by themselves (logging, warnings, thread errors), as lines of ours.

Left alone, they write untrusted text to standard error unchanged.
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
    """From now on, write everything that libraries print as lines."""
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
