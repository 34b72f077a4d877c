"""What a check found out: one form for preflight, proofs, and the checks and gates of a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final


class Verdict(StrEnum):
    """What a finding means. Each kind of check uses the verdicts of one of the two sets below."""

    OK = "ok"
    WARN = "warn"
    NEED = "would need"
    """A failure in a rehearsal, where nothing is going to be changed."""
    FAIL = "fail"
    PROVEN = "proven"
    FAILED = "failed"
    NOT_PROVEN = "not proven"
    """It was not looked at, which is never a pass."""

    @property
    def blocks(self) -> bool:
        """Whether it forbids to go on."""
        return self in {Verdict.FAIL, Verdict.FAILED}


READINESS: Final = (Verdict.OK, Verdict.WARN, Verdict.NEED, Verdict.FAIL)
"""Of checks before something is done."""

PROOF: Final = (Verdict.PROVEN, Verdict.FAILED, Verdict.NOT_PROVEN)
"""Of proofs afterwards."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found out.

    Attributes:
        expected: What should be.
        found: What is.
        verdict: What that means.
        advice: What to do about it; empty where there is nothing to do.
        id: Of the check; stable, for machines. `under` gives it, and what follows.
        about: The question or the promise, for a person.
        where: The node, or whatever was looked at; empty where there is only one.
    """

    expected: str
    found: str
    verdict: Verdict
    advice: str = ""
    id: str = ""
    about: str = ""
    where: str = ""

    def under(self, id_: str, about: str, where: str = "") -> Finding:
        """Return it with the check that it belongs to."""
        return replace(self, id=id_, about=about, where=where)

    @property
    def line(self) -> str:
        """All of it but the advice, for an error's message."""
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.id}: expected {self.expected}, found {self.found}"

    def data(self, about: str) -> dict[str, Any]:
        """Return plain data; `about` is the key of the question or promise."""
        return {
            "id": self.id,
            about: self.about,
            "expected": self.expected,
            "found": self.found,
            "verdict": self.verdict.value,
            "advice": self.advice,
        }


def ok(expected: str, found: str) -> Finding:
    """Say that it is as it should be."""
    return Finding(expected, found, Verdict.OK)


def warn(expected: str, found: str, advice: str) -> Finding:
    """Say that we may go on, but somebody should know."""
    return Finding(expected, found, Verdict.WARN, advice)


def fail(expected: str, found: str, advice: str) -> Finding:
    """Say that we may not go on."""
    return Finding(expected, found, Verdict.FAIL, advice)


def proven(expected: str, found: str) -> Finding:
    """Say that it holds."""
    return Finding(expected, found, Verdict.PROVEN)


def failed(expected: str, found: str, advice: str) -> Finding:
    """Say that it does not hold."""
    return Finding(expected, found, Verdict.FAILED, advice)


def not_proven(expected: str, found: str, advice: str) -> Finding:
    """Say that it could not be looked at, or does not hold always, and why."""
    return Finding(expected, found, Verdict.NOT_PROVEN, advice)


def lines_of(findings: Sequence[Finding]) -> str:
    """Return findings as one text, for an error's message."""
    return "; ".join(finding.line for finding in findings)


def advice_of(findings: Sequence[Finding], otherwise: str) -> str:
    """Return the advice of a finding that is the only one, and of several `otherwise`."""
    return findings[0].advice if len(findings) == 1 else otherwise
