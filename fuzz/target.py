"""What a fuzz target is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Mutation = Literal["bytes", "json"]


@dataclass(frozen=True)
class Target:
    """A parser, and how to make input for it.

    Attributes:
        name: Of the target, and of its folder in fuzz/corpus.
        parse: Does with bytes what the product does with them; it checks what must hold of what was
            accepted, and lets nothing out but what the product lets out.
        mutate: As what the input is changed: a parser that wants canonical JSON sees little else.
        max_length: Bytes of an input.
    """

    name: str
    parse: Callable[[bytes], None]
    mutate: Mutation = "bytes"
    max_length: int = 4096
