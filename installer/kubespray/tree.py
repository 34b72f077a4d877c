"""Kubespray's tree, unpacked for one run out of the tar that the bundle carries.

It is unpacked anew each time, which takes less than a second: playbooks that lie about on a disk
between runs could be changed there, and would then run as root on every machine.
"""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path
from typing import Final

from bundle.base.digest import digest_of
from bundle.base.errors import FormatError
from bundle.base.limits import MAX_KUBESPRAY_BYTES, MAX_KUBESPRAY_FILES
from bundle.store.atomic import make_directory, storage_errors
from bundle.store.hashing import check_content
from bundle.store.reading import read_bounded
from bundle.store.unpack import unpack_tar
from installer.depot.accepted import AcceptedContent
from installer.depot.directory import DepotDirectory

PLAYBOOK: Final = "cluster.yml"


def unpack_tree(depot: DepotDirectory, bundle: AcceptedContent, digest: str, target: Path) -> Path:
    """Unpack a tree in the place of what is at `target`; return that.

    Args:
        depot: Which has its blob.
        bundle: That names it.
        digest: Of its tar; nothing is read as a tar before its bytes have this digest.
        target: A folder of ours alone.
    Raises:
        IntegrityError: The blob is not what the bundle promised.
        FormatError: It is no tar of a Kubespray, or one with more in it than that has.
        StorageError: The disk refused.
    """
    blob, size = depot.blob_path(digest), bundle.sizes[digest]
    data = read_bounded(blob, min(size, MAX_KUBESPRAY_BYTES))
    check_content(str(blob), size, digest, found_size=len(data), found=digest_of(data))
    partial = target.with_name(f"{target.name}.partial")
    make_directory(target.parent)
    with storage_errors(f"unpack Kubespray into {target}"):
        for old in (partial, target):
            if old.exists():
                shutil.rmtree(old)
        partial.mkdir(mode=0o700)
        _unpack(data, partial)
        partial.rename(target)
    return target


def _unpack(data: bytes, target: Path) -> None:
    advice = "Ask the vendor for another bundle."
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            members = tar.getmembers()
            if len(members) > MAX_KUBESPRAY_FILES:
                raise FormatError(
                    f"Kubespray's tar: expected at most {MAX_KUBESPRAY_FILES} files, found "
                    f"{len(members)}",
                    advice,
                )
            unpack_tar(tar, target)
    except (tarfile.TarError, EOFError, UnicodeError) as error:
        raise FormatError(f"Kubespray's tar cannot be unpacked: {error}", advice) from error
    if not (target / PLAYBOOK).is_file():
        raise FormatError(f"Kubespray's tar: expected {PLAYBOOK} at its top, found none", advice)
