"""A site's own rules, which can only add: an image must satisfy the bundle's and the site's."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bundle.base.errors import DefinitionError
from bundle.base.limits import MAX_DEFINITION_BYTES
from bundle.base.yaml.strict import load_yaml
from bundle.kinds.policy import SignatureRule, SitePolicy, check_rules
from bundle.store.atomic import storage_errors
from bundle.store.owners import entry_problem
from bundle.trust.upstream.material import inline_material

POLICY_NAME: Final = "policy.yaml"
"""In the depot's directory; the files that it names are best kept in `policy/` beside it."""
POLICY_FOLDER: Final = "policy"
_MAX_NAMED: Final = 1000


def load_site_policy(depot: Path) -> tuple[SignatureRule, ...]:
    """Read a site's rules, with the text of the files that they name; none where it has no policy.

    Raises:
        DefinitionError: The policy, or a file that it names, is wrong.
        StorageError: A blob cannot be read.
    """
    path = depot / POLICY_NAME
    with storage_errors(f"read {path}"):
        try:
            with path.open("rb") as file:
                data = file.read(MAX_DEFINITION_BYTES + 1)
        except FileNotFoundError:
            if path.is_symlink():
                raise
            return ()
    _require_own(depot, path)
    policy = load_yaml(
        data, SitePolicy, where=str(path), limit=MAX_DEFINITION_BYTES, error=DefinitionError
    )
    check_rules(policy.signatures, f"{path}: signatures")
    return inline_material(policy.signatures, depot, str(path))


def _require_own(depot: Path, path: Path) -> None:
    """Check that nobody else could change the policy, or a file that it names in its folder."""
    named = sorted((depot / POLICY_FOLDER).rglob("*"))[:_MAX_NAMED]
    for place in (path, depot / POLICY_FOLDER, *named):
        if problem := entry_problem(place, str(place)):
            raise DefinitionError(
                f"{path}: the site's policy cannot be trusted: {problem}",
                "Review it, then give it to root and remove the mode bits (chown, chmod go-w).",
            )
