"""The root of all errors, and advice that depends on the reader's role."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Self

from bundle.base.problem import Problem

MAX_MESSAGE: Final = 2000
"""Characters: a message must fit a line."""


class Advice(str):
    """A hint for a site, with another one for the vendor, who has to act differently.

    A site has a medium, and its maker is far away; the vendor has the sources it was made from.
    Code that both sides run raises its errors with both.
    """

    __slots__ = ("vendor",)

    vendor: str

    def __new__(cls, site: str, *, vendor: str) -> Self:
        """Create from the site's hint and the vendor's."""
        made = super().__new__(cls, site)
        made.vendor = vendor
        return made


class IsowardError(Exception):
    """The root of all errors that a user may see.

    Args:
        message: One line: the thing, what was expected, what was found.
        hint: One line: what to do next.
        context: Machine-readable facts for `--json`; never a secret.
        details: Lines printed below the message, where it concerns several things.
    """

    exit_code: ClassVar[int] = 70
    id: ClassVar[str] = "bug"
    problems: tuple[Problem, ...] = ()
    """All problems of a document, if there are several; the message has the first."""

    def __init__(
        self,
        message: str,
        hint: str = "",
        context: Mapping[str, str | int] | None = None,
        *,
        details: Sequence[str] = (),
    ) -> None:
        # Much of it is quoted from outside, some by libraries that never truncate.
        shown = message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]}..."
        super().__init__(shown)
        self.message = shown
        self.hint = hint
        self.context = dict(context or {})
        self.details = tuple(details)

    def reworded(self, message: str, hint: str = "") -> Self:
        """Return the same error with a message that adds context, such as what needed the file.

        Args:
            message: Replaces the current one.
            hint: Replaces the current one, unless left out.
        """
        made = copy.copy(self)
        IsowardError.__init__(made, message, hint or self.hint, self.context, details=self.details)
        return made
