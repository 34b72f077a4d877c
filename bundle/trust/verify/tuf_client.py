"""Runs python-tuf's client over the files of one bundle.

This is where trust is decided. The client works in a private temporary directory of metadata only,
which starts with what the site has seen.

Source: TUF specification 1.0, section 5 "Detailed client workflow".
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    ExpiredMetadataError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import TargetFile
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface

from bundle.base.errors import (
    CouldNotVerifyError,
    ExpiredError,
    MixedMetadataError,
    RollbackError,
    SignatureError,
    ThresholdError,
    TrustError,
)
from bundle.base.limits import MAX_TRUST_FILE_BYTES
from bundle.store.atomic import storage_errors
from bundle.trust.keys.terms import MAX_ROOTS, TARGET_NAME
from bundle.trust.metadata.release_chain import SNAPSHOT, TARGETS, TIMESTAMP
from bundle.trust.metadata.root import PREFIX
from bundle.trust.site.state import TrustState

_BASE: Final = "bundle:trust/"
_NOT_FOUND: Final = 404
_ADVICE: Final = "Do not use this bundle; ask the vendor."


class _BundleFetcher(FetcherInterface):
    """Answers from memory: what is verified is what was read, and it was read once."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def _fetch(self, url: str) -> Iterator[bytes]:
        name = url.removeprefix(_BASE)
        if name not in self._files:
            raise DownloadHTTPError(f"{PREFIX}{name} is not there", _NOT_FOUND)
        return iter((self._files[name],))


def run_client(
    files: Mapping[str, bytes],
    state: TrustState,
    first_version: int,
    waived_at: datetime | None = None,
) -> TargetFile:
    """Let python-tuf verify the bundle's metadata on top of what the site has seen.

    Args:
        files: The bundle's metadata by name.
        state: What the site has seen.
        first_version: The version of state.roots[0].
        waived_at: With a waiver, a time before the expiry that is waived, which python-tuf then
            takes for now. Everything but expiry is checked as ever.
    Returns:
        The target bundle.json.
    Raises:
        TrustError: python-tuf refused, or ended with other files than these.
    """
    limit = MAX_TRUST_FILE_BYTES
    config = UpdaterConfig(
        max_root_rotations=MAX_ROOTS,
        max_delegations=0,
        root_max_length=limit,
        timestamp_max_length=limit,
        snapshot_max_length=limit,
        targets_max_length=limit,
    )
    with (
        storage_errors("use the temporary directory"),
        tempfile.TemporaryDirectory(prefix="isoward-trust-") as name,
    ):
        directory = Path(name)
        _lay_out(directory, state, first_version)
        try:
            updater = Updater(
                name,
                _BASE,
                fetcher=_BundleFetcher(files),
                config=config,
                bootstrap=state.roots[0].encode(),
            )
            if waived_at is not None:
                # python-tuf offers no way to say what time it is; this attribute is its clock,
                # which tests/unit/bundle/trust/site/test_waiver.py pins.
                updater._trusted_set.reference_time = waived_at  # noqa: SLF001
            updater.refresh()
            target = updater.get_targetinfo(TARGET_NAME)
        except (RepositoryError, DownloadError) as error:
            raise _translate(error) from error
        _check_outcome(directory, files)
    if target is None:
        raise SignatureError(f"{PREFIX}{TARGETS}: it does not name {TARGET_NAME}", _ADVICE)
    return target


def _lay_out(directory: Path, state: TrustState, first_version: int) -> None:
    """Give the client what the site has seen; targets.json always comes from the bundle."""
    history = directory / "root_history"
    history.mkdir()
    for offset, root in enumerate(state.roots):
        (history / f"{first_version + offset}.root.json").write_text(root, encoding="ascii")
    for name, text in ((TIMESTAMP, state.timestamp), (SNAPSHOT, state.snapshot)):
        if text:
            (directory / name).write_text(text, encoding="ascii")


def _check_outcome(directory: Path, files: Mapping[str, bytes]) -> None:
    """Check that the client ended with the bundle's files, and not with others of those versions.

    Where the site has seen a file under the same version, the client keeps that one.
    """
    for name in (TIMESTAMP, SNAPSHOT, TARGETS):
        if (directory / name).read_bytes() != files[name]:
            raise MixedMetadataError(
                f"{PREFIX}{name}: this site has seen another file under the same version",
                _ADVICE,
            )


def _translate(error: Exception) -> TrustError:
    """Turn python-tuf's error into ours; the checks before it have given the better message."""
    if isinstance(error, ExpiredMetadataError):
        return ExpiredError(
            f"trust metadata: {error}",
            "Check this machine's clock, or ask the vendor for a release with fresh metadata.",
        )
    if isinstance(error, BadVersionNumberError):
        return RollbackError(
            f"the bundle is older than what this site has seen: {error}",
            "Use the newest release that was imported here, or a newer one.",
        )
    if isinstance(error, UnsignedMetadataError):
        return ThresholdError(f"trust metadata: {error}", "Ask the vendor for a complete bundle.")
    if isinstance(error, RepositoryError):
        return SignatureError(f"trust metadata: {error}", _ADVICE)
    return CouldNotVerifyError(f"trust metadata cannot be read: {error}", _ADVICE)
