"""Changing JSON as JSON: where only the canonical spelling is read on, changed bytes go nowhere."""

from __future__ import annotations

import json
import random
from typing import Any

_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2**31,
    2**53 - 1,
    2**53,
    2**64,
    10**30,
    1.5,
    "",
    "x",
    "0",
    "../x",
    "a\0b",
    "\u202ex",
    "e\u0301",
    "\ud800",
    "sha256:" + "0" * 64,
    "0" * 64,
    "9999-12-31T23:59:59Z",
    "0000-00-00T00:00:00Z",
    [],
    {},
    [[]],
    {"": {}},
)
_PIECES = (b"", b"\0", b"\xff", b"[", b"{", b'"', b"\\", b"\\u0000", b"00", b"-", b"e9", b"\n")


def mutate_json(data: bytes, max_size: int, seed: int) -> bytes:
    """Change JSON mostly as such, and now and then as bytes, as well as what is no JSON."""
    dice = random.Random(seed)
    # Some targets take their kind from a byte in front.
    head = b"" if data[:1] in b"{[" else data[:1]
    try:
        tree = json.loads(data[len(head) :])
    except (ValueError, RecursionError):
        return _bytes(data, dice)[:max_size]
    if dice.random() < 0.15:
        return _bytes(data, dice)[:max_size]
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        tree = _change(tree, dice)
    if head and dice.random() < 0.1:
        head = bytes([dice.randrange(256)])
    made = head + _write(tree, dice)
    return made if len(made) <= max_size else data


def _bytes(data: bytes, dice: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4))):
        place = dice.randrange(len(made) + 1)
        end = min(len(made), place + dice.choice((0, 1, 1, 4, 64)))
        kind = dice.randrange(4)
        if kind == 0:
            made[place:end] = dice.choice(_PIECES)
        elif kind == 1:
            made[place:end] = dice.randbytes(end - place)
        elif kind == 2:
            made[place:place] = made[place:end] * dice.choice((1, 2, 50))
        elif made:
            made[place % len(made)] ^= 1 << dice.randrange(8)
    return bytes(made)


def _write(tree: Any, dice: random.Random) -> bytes:
    if dice.random() < 0.05:
        return json.dumps(tree).encode()
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=dice.random() < 0.5)
    return text.encode("utf-8", "surrogatepass")


def _change(tree: Any, dice: random.Random) -> Any:
    """Change one place: walk down at random, and there replace, remove, repeat or wrap."""
    if isinstance(tree, dict) and tree and dice.random() < 0.85:
        return _in_object(tree, dice)
    if isinstance(tree, list) and tree and dice.random() < 0.85:
        return _in_list(tree, dice)
    kind = dice.randrange(4)
    if kind == 0 and isinstance(tree, str):
        return _text(tree, dice)
    if kind == 1 and isinstance(tree, int):
        return tree + dice.choice((-1, 1, 2**53, -(2**53)))
    if kind == 2:
        return [tree] if dice.random() < 0.5 else {"x": tree}
    return dice.choice(_VALUES)


def _in_object(tree: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    made = dict(tree)
    key = dice.choice(list(made))
    kind = dice.randrange(10)
    if kind == 0:
        del made[key]
    elif kind == 1:
        made[_text(key, dice)] = made[key]
    elif kind == 2:
        made[key] = made[dice.choice(list(made))]
    else:
        made[key] = _change(made[key], dice)
    return made


def _in_list(tree: list[Any], dice: random.Random) -> list[Any]:
    made = list(tree)
    place = dice.randrange(len(made))
    kind = dice.randrange(8)
    if kind == 0:
        del made[place]
    elif kind == 1:
        made.insert(place, made[place])
    elif kind == 2:
        made[place], made[0] = made[0], made[place]
    else:
        made[place] = _change(made[place], dice)
    return made


def _text(text: str, dice: random.Random) -> str:
    place = dice.randrange(len(text) + 1)
    piece = dice.choice(("", "0", "a", "/", "..", "%2f", "\n", "\0", "@", ":", "\u0301", " ", "é"))
    return text[:place] + piece + text[place + dice.randrange(3) :]
