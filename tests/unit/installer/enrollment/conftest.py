"""A vendor with a release folder, and a site that enrolled its root."""

from tests.support.trust.fixtures import bundle, expired, kit, site, state, vendor

__all__ = ["bundle", "expired", "kit", "site", "state", "vendor"]
