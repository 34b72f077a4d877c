"""Run one target under atheris: `python -m fuzz.run TARGET [libFuzzer's options and folders]`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(
    include=["bundle", "bundler", "installer", "tuf", "securesystemslib"],
    enable_loader_override=False,
):
    from fuzz.registry import TARGETS, check

from fuzz.mutate import mutate_json
from fuzz.network import forget_depot


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    name, *options = sys.argv[1:]
    target = TARGETS[name]

    def one_input(data: bytes) -> None:
        check(target, data)

    arguments = [sys.argv[0], f"-max_len={target.max_length}", *options]
    if target.mutate == "json":
        atheris.Setup(arguments, one_input, custom_mutator=mutate_json)
    else:
        atheris.Setup(arguments, one_input)
    try:
        atheris.Fuzz()
    finally:
        forget_depot()


if __name__ == "__main__":
    main()
