"""The cases of TUF's conformance suite that a medium can pose, to our verifier.

docs/adr/0012-tuf-conformance.md says which cases do not apply, and where we refuse what TUF allows.
In those, python-tuf's own client is shown to accept.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.trust.tuf_simulator import Site, Vendor


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path)


@pytest.fixture
def site(vendor: Vendor) -> Site:
    return Site(vendor)
