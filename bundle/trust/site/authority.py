"""The site's own keys: who may waive an expiry and recover a lost state, at least two people.

They are named when the first root is enrolled, before anything is accepted, and never changed
afterwards: whoever could change them alone could do alone what requires two.

Source: docs/FORMAT.md, "The depot".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from securesystemslib.signer import Key
from tuf.api.metadata import Root

from bundle.base.canonical import canonical_digest, canonical_json, decode_canonical
from bundle.base.digest import Digest, Hex64
from bundle.base.documents import API_VERSION, Document, Name, Text, block
from bundle.base.errors import DamagedAuthorityError, IsowardError, UsageError
from bundle.base.limits import MIB
from bundle.model.people import folded
from bundle.store.atomic import make_directory, write_atomic
from bundle.store.layout import BundleDirectory
from bundle.store.owners import entry_problem
from bundle.trust.keys.schemes import public_value
from bundle.trust.keys.stored import holder, public_key_of
from bundle.trust.keys.terms import NAME_FIELD
from bundle.trust.site.ledger import load_ledger

AUTHORITY_NAME: Final = "authority.json"
MIN_THRESHOLD: Final = 2
"""No one person overrules the release's own rules (four eyes)."""

_MAX_KEYS: Final = 32
_MAX_BYTES: Final = MIB
_DAMAGED: Final = (
    "Restore this one file from a backup; it never changes. Without it waivers and recoveries "
    "are impossible, and the site must start with a new depot."
)


class AuthorityKey(Document, frozen=True, kw_only=True):
    """A public key, as TUF writes it, and its holder."""

    key_id: Hex64
    name: Text
    keytype: Text
    scheme: Text
    public: Annotated[str, block(64 * 1024)]


class Authority(Document, frozen=True, kw_only=True):
    """authority.json: the people of a site who decide together."""

    api_version: Literal["isoward/v1"] = API_VERSION
    kind: Literal["SiteAuthority"] = "SiteAuthority"
    site: Name
    threshold: Annotated[int, msgspec.Meta(ge=MIN_THRESHOLD)]
    keys: Annotated[tuple[AuthorityKey, ...], msgspec.Meta(max_length=_MAX_KEYS)]

    @property
    def names(self) -> str:
        """The holders' names, joined for a sentence."""
        return ", ".join(key.name for key in self.keys)


class _AuthorityFile(Document, frozen=True, kw_only=True):
    checksum: Digest
    authority: Authority


def make_authority(keys: Sequence[Key], threshold: int, site: str) -> Authority:
    """Create the authority from a site's keys.

    Args:
        keys: Public, each with its holder's name.
        threshold: How many of them must sign.
        site: The site's name.
    Raises:
        UsageError: Too few keys, or one person or key would count twice.
    """
    entries = tuple(
        AuthorityKey(
            key_id=key.keyid,
            name=holder(key),
            keytype=key.keytype,
            scheme=key.scheme,
            public=str(key.keyval["public"]),
        )
        for key in sorted(keys, key=lambda key: key.keyid)
    )
    authority = Authority(site=site, threshold=threshold, keys=entries)
    problem = _problem(authority)
    if problem:
        raise UsageError(
            f"the site's keys: {problem}",
            "Give the public keys of at least two people, each made with `isoward keys new`.",
        )
    return authority


def _problem(authority: Authority) -> str:
    keys = authority_keys(authority).values()
    if authority.threshold < MIN_THRESHOLD:
        return f"expected a threshold of at least {MIN_THRESHOLD}, found {authority.threshold}"
    if authority.threshold > len(authority.keys):
        return f"the threshold is {authority.threshold}, with {len(authority.keys)} keys only"
    if len({public_value(key, key.keyid) for key in keys}) != len(authority.keys):
        return "one key is given twice"
    if len({folded(holder(key)) for key in keys}) != len(authority.keys):
        return "one person is given twice"
    return ""


def check_not_vendors(authority: Authority, roots: Iterable[Root]) -> None:
    """Check that no key or person of the site also belongs to the vendor.

    Raises:
        UsageError: One does.
    """
    own = authority_keys(authority).values()
    values = {public_value(key, key.keyid) for key in own}
    names = {folded(holder(key)) for key in own}
    for key in (key for root in roots for key in root.keys.values()):
        if public_value(key, key.keyid) in values or folded(holder(key)) in names:
            raise UsageError(
                f"the key {key.keyid[:16]} of {holder(key)} belongs to the vendor, and cannot be "
                "the site's own as well",
                "Use keys of the site's own people; give other --site-key files.",
            )


def authority_keys(authority: Authority) -> dict[str, Key]:
    """Return the public keys by key id.

    Raises:
        KeyFileError: One is malformed.
    """
    keys: dict[str, Key] = {}
    for entry in authority.keys:
        fields: dict[str, Any] = {
            "keyid": entry.key_id,
            "keytype": entry.keytype,
            "scheme": entry.scheme,
            "keyval": {"public": entry.public},
            NAME_FIELD: entry.name,
        }
        keys[entry.key_id] = public_key_of(fields, AUTHORITY_NAME)
    return keys


def save_authority(directory: Path, authority: Authority) -> None:
    """Write authority.json; it takes effect once the ledger names it.

    Raises:
        StorageError: Writing failed.
    """
    file = _AuthorityFile(checksum=canonical_digest(authority), authority=authority)
    make_directory(directory)
    write_atomic(directory / AUTHORITY_NAME, canonical_json(file))


def read_authority(directory: Path) -> Authority | None:
    """Read authority.json, verified by its own checksum only; None if it does not exist.

    Raises:
        DamagedAuthorityError: It is damaged.
    """
    path = directory / AUTHORITY_NAME
    if not path.is_symlink() and not path.exists():
        return None
    if foreign := entry_problem(path):
        raise _damaged(path, foreign)
    try:
        data = BundleDirectory(directory).read_small(AUTHORITY_NAME, _MAX_BYTES)
        file = decode_canonical(data, _AuthorityFile, AUTHORITY_NAME)
        problem = _problem(file.authority)
    except IsowardError as error:
        raise _damaged(path, error.message) from error
    if problem or file.checksum != canonical_digest(file.authority):
        raise _damaged(path, problem or "its checksum does not match")
    return file.authority


def load_authority(directory: Path) -> Authority | None:
    """Read the authority in force; None if the site has named no keys.

    Raises:
        DamagedAuthorityError: It is damaged, missing, or not the enrolled one.
        DamagedStateError: The ledger is damaged.
    """
    named = load_ledger(directory).authority
    if named is None:
        return None
    found = read_authority(directory)
    if found is None:
        raise _damaged(directory / AUTHORITY_NAME, "it is missing")
    if canonical_digest(found) != named:
        raise _damaged(directory / AUTHORITY_NAME, "it is not the enrolled one")
    return found


def _damaged(path: Path, why: str) -> DamagedAuthorityError:
    return DamagedAuthorityError(
        f"{path}: the record of the site's keys is damaged: {why}", _DAMAGED
    )
