"""Keyrings that a definition names for its charts: from files into the definition itself."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec.structs import replace

from bundle.base.errors import DefinitionError
from bundle.base.limits import KIB
from bundle.base.paths import check_inner_path
from bundle.kinds.chart_source import ChartSource, ProvenanceRule
from bundle.kinds.openpgp import armoured_keyring
from bundler.sources.files.local import read_local

MAX_KEYRING_BYTES: Final = 128 * KIB
"""One publisher's keys; its text must fit where a signature rule's key does."""


def inline_keyrings(
    charts: tuple[ChartSource, ...], folder: Path, where: str
) -> tuple[ChartSource, ...]:
    """Return charts with the text of the keyrings that they name.

    Args:
        charts: As a person wrote them; a keyring that is text already stays.
        folder: That relative paths are from.
        where: The document, for messages.
    Raises:
        DefinitionError: There is no such file, or it holds something else, or a private key.
        StorageError: A blob cannot be read.
    """
    return tuple(
        _inline(chart, chart.provenance, folder, f"{where}: charts[{i}].provenance.keyring")
        if chart.provenance is not None
        else chart
        for i, chart in enumerate(charts)
    )


def _inline(chart: ChartSource, rule: ProvenanceRule, folder: Path, where: str) -> ChartSource:
    given = rule.keyring
    if given.lstrip().startswith("-----BEGIN"):
        text = armoured_keyring(given.encode(), where)
    else:
        check_inner_path(given, where)
        shown = f"{where}: {given[:300]!r}"
        data = read_local(folder, given, MAX_KEYRING_BYTES, shown)
        if len(data) > MAX_KEYRING_BYTES:
            raise DefinitionError(
                f"{shown}: expected at most {MAX_KEYRING_BYTES} bytes, found more",
                "Name the keys of this chart's publisher alone.",
            )
        text = armoured_keyring(data, shown)
    return replace(chart, provenance=replace(rule, keyring=text))
