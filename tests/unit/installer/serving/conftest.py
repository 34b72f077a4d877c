"""A depot with one of everything, whose application is asked without a server."""

from tests.support.depot.fixtures import base, site

__all__ = ["base", "site"]
