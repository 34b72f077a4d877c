"""Whose signature is valid, and in which role."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signer:
    """A holder whose signature is valid, in one role."""

    name: str
    key_id: str
    role: str
