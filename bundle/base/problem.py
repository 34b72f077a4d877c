"""One thing that is wrong with a document, and where."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong.

    Attributes:
        path: Of the field, such as `nodes[0].address`; empty for the document as a whole.
        message: What was expected and what was found.
        hint: What to do.
        line: Of the file, from 1; 0 where it is not known.
    """

    path: str
    message: str
    hint: str
    line: int = 0

    @property
    def text(self) -> str:
        """The field and the message."""
        return f"{self.path}: {self.message}" if self.path else self.message

    @property
    def placed(self) -> str:
        """The line, the field and the message."""
        return f"line {self.line}: {self.text}" if self.line else self.text

    def at(self, lines: dict[str, int]) -> Problem:
        """Return it with its line: that of the field, or of the nearest thing around it."""
        path = self.path
        while path and path not in lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return Problem(self.path, self.message, self.hint, lines.get(path, 0))

    def data(self) -> dict[str, str | int]:
        """Return it for `--json`."""
        return {
            "line": self.line,
            "field": self.path,
            "message": self.message,
            "hint": self.hint,
        }
