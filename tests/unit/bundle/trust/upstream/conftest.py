"""Images and signers, made anew for each test."""

from __future__ import annotations

import pytest

from tests.support.registries.referrers import ImageSigner
from tests.support.registries.signing import SignedImage
from tests.support.trust.sigstore_world import SigstoreWorld


@pytest.fixture
def image() -> SignedImage:
    """An image of two platforms, with an index."""
    return SignedImage()


@pytest.fixture(scope="session")
def signer() -> ImageSigner:
    """The publisher's key."""
    return ImageSigner()


@pytest.fixture(scope="session")
def stranger() -> ImageSigner:
    """Somebody else's key."""
    return ImageSigner()


@pytest.fixture(scope="session")
def world() -> SigstoreWorld:
    """A Sigstore of our own."""
    return SigstoreWorld()
