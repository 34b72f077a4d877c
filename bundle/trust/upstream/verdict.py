"""What is looked at, and what is found: values that all forms of signatures share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bundle.base.oci import OciDescriptor, OciManifest

MAX_SIGNER: Final = 1024
"""Characters of a signer that are kept."""


class NotGoodError(Exception):
    """A signature is not good, and why; it never leaves this package.

    Whether an image is refused for that, another signature may decide.
    """


@dataclass(frozen=True, slots=True)
class Subject:
    """What must be signed: an image's index, or the manifest of one platform.

    Attributes:
        digest: Of `data`.
        media_type: That it is carried as.
        data: Its bytes.
        platform: Of a manifest; empty for an index.
    """

    digest: str
    media_type: str
    data: bytes
    platform: str = ""

    @property
    def name(self) -> str:
        """For a person."""
        return self.platform or "the index"


@dataclass(frozen=True, slots=True)
class SignatureManifest:
    """A manifest that may carry signatures over a subject.

    Attributes:
        digest: Of the manifest.
        body: Parsed, with each key once.
        read: Returns the bytes of one of its layers, checked; raises NotGoodError where it is
            larger than any signature.
    """

    digest: str
    body: OciManifest
    read: Callable[[OciDescriptor], bytes]


@dataclass(frozen=True, slots=True)
class Good:
    """A signature that is good.

    Attributes:
        signer: Key fingerprint, identity and issuer, or certificate subject.
        predicate: The type of what was attested; of a plain signature none.
        counts: Whether it says that the image is the signer's; an SBOM, for one, does not.
    """

    signer: str
    predicate: str = ""
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Bad:
    """A signature that is not good, and why."""

    why: str


Verdict = Good | Bad
