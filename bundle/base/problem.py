"""One problem in a document, and where it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem in a document.

    Attributes:
        path: Of the field, such as `nodes[0].address`; empty for the whole document.
        message: What was expected and what was found.
        hint: What to do about it.
        line: In the file, from 1; 0 if unknown.
    """

    path: str
    message: str
    hint: str
    line: int = 0

    @property
    def text(self) -> str:
        """The field and the message, without the line."""
        return f"{self.path}: {self.message}" if self.path else self.message

    @property
    def placed(self) -> str:
        """The line, the field and the message."""
        return f"line {self.line}: {self.text}" if self.line else self.text

    def at(self, lines: dict[str, int]) -> Problem:
        """Return a copy with its line: that of the field, or of its nearest parent."""
        path = self.path
        while path and path not in lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return Problem(self.path, self.message, self.hint, lines.get(path, 0))

    def data(self) -> dict[str, str | int]:
        """Return the JSON object for `--json`."""
        return {
            "line": self.line,
            "field": self.path,
            "message": self.message,
            "hint": self.hint,
        }
