"""The root of all errors, and advice that speaks to who reads it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Self

from bundle.base.problem import Problem

MAX_MESSAGE: Final = 2000
"""Characters: a message is a line for a person."""


class Advice(str):
    """A hint for a site, where the vendor's side must do something else about the same error.

    A site has a medium, and whoever made it far away; the vendor has the sources that it is made
    of. Code that both sides run raises its errors with both.
    """

    __slots__ = ("vendor",)

    vendor: str

    def __new__(cls, site: str, *, vendor: str) -> Self:
        """Take both."""
        made = super().__new__(cls, site)
        made.vendor = vendor
        return made


class IsowardError(Exception):
    """The root of all errors that a user may meet.

    Args:
        message: One line: the thing, the expected, the found.
        hint: One line: what to do next.
        context: Machine-readable facts for `--json`; never a secret.
        details: Lines that follow the message, where it is about many things.
    """

    exit_code: ClassVar[int] = 70
    id: ClassVar[str] = "bug"
    problems: tuple[Problem, ...] = ()
    """All that is wrong with a document, where several things are; the message has the first."""

    def __init__(
        self,
        message: str,
        hint: str = "",
        context: Mapping[str, str | int] | None = None,
        *,
        details: Sequence[str] = (),
    ) -> None:
        # Much of it is quoted from outside, some by libraries that quote without end.
        shown = message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]}..."
        super().__init__(shown)
        self.message = shown
        self.hint = hint
        self.context = dict(context or {})
        self.details = tuple(details)

    def reworded(self, message: str, hint: str = "") -> Self:
        """Return the same error in words that name more, such as what it was wanted for.

        Args:
            message: Instead of its own.
            hint: Instead of its own; that stays when this is left out.
        """
        made = copy.copy(self)
        IsowardError.__init__(made, message, hint or self.hint, self.context, details=self.details)
        return made
