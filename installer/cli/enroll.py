"""`isoward enroll`: a site begins to trust a vendor's root, once, by its fingerprint."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from bundle.base.digest import hex_of
from bundle.base.errors import TrustError, UsageError
from bundle.cli.depots import depot_option
from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from bundle.cli.questions import ask
from bundle.trust.keys.stored import load_public_key
from bundle.trust.metadata.fingerprint import (
    ROLE_WORDS,
    fingerprint_groups,
    parse_fingerprint,
    plain_fingerprint,
)
from bundle.trust.site.authority import MIN_THRESHOLD, Authority, load_authority, make_authority
from bundle.trust.site.state import STATES
from installer.enrollment.first_trust import Candidate, enroll, find_enrolled, read_candidate

_FILE = click.Path(path_type=Path)
_GROUP: Final = 4
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")


@click.command("enroll")
@click.argument("source", metavar="ROOT|BUNDLE", type=Given("root", "bundle", "release"))
@depot_option("The depot; created if missing.")
@click.option(
    "--fingerprint",
    metavar="HEX",
    help="What the vendor told you, for automation; case and spaces do not matter.",
)
@click.option(
    "--site", default="", metavar="NAME", help="The name by which the vendor knows this site."
)
@click.option(
    "--site-key",
    "site_keys",
    type=Given("public-key"),
    multiple=True,
    metavar="PUB",
    help="Public key of one of the site's key holders, for waivers and recovery; repeatable.",
)
@click.option(
    "--site-threshold",
    type=click.IntRange(min=MIN_THRESHOLD),
    default=MIN_THRESHOLD,
    show_default=True,
    metavar="N",
    help="How many of them must sign.",
)
@output_options
@pass_output
def command(
    output: Output,
    *,
    source: Path,
    depot: Path,
    fingerprint: str | None,
    site: str,
    site_keys: tuple[Path, ...],
    site_threshold: int,
) -> None:
    """Trust the root in a ROOT file or a BUNDLE at this site from now on.

    The fingerprint must come from the vendor on another way than the medium: by phone or letter.
    """
    authority = _authority(site, site_keys, site_threshold)
    expected = parse_fingerprint(fingerprint) if fingerprint is not None else None
    now = datetime.now(UTC)
    candidate = read_candidate(source, expected, now)
    if find_enrolled(depot / STATES, candidate) is None and expected is None:
        output.say(*_page(candidate, now))
        _compare(candidate)
    state, added = enroll(depot, candidate, now, site=site, authority=authority)
    in_force = load_authority(depot / STATES)
    approvers = next(r for r in candidate.description.roles if r.name == "targets")
    data = {
        "fingerprint": hex_of(state.fingerprint),
        "depot": str(depot),
        "added": added,
        "threshold": approvers.threshold,
        "approvers": [name for name, _ in approvers.keys],
        "site": state.site or None,
        "siteThreshold": in_force.threshold if in_force else None,
        "siteKeys": [key.name for key in in_force.keys] if in_force else [],
    }
    if added:
        text = f"enrolled: {depot} now trusts the root {hex_of(state.fingerprint)}"
    else:
        text = f"{depot} trusts this root already, since {state.enrolled_at:%Y-%m-%d}"
    output.result(data, text, *_about_site(state.site, in_force))


def _authority(site: str, keys: tuple[Path, ...], threshold: int) -> Authority | None:
    if site and not _NAME.fullmatch(site):
        raise UsageError(
            f"--site: expected lower-case letters, digits, '.' and '-', found {site[:100]!r}",
            "Use the name by which the vendor knows the site, such as hospital-north.",
        )
    if not keys:
        return None
    if not site:
        raise UsageError(
            "--site-key: expected --site too, found none",
            "What the site's keys sign names the site.",
        )
    return make_authority([load_public_key(path) for path in keys], threshold, site)


def _about_site(site: str, authority: Authority | None) -> list[str]:
    lines = [f"  site       {site}"] if site else []
    if authority is not None:
        lines.append(f"  its keys   {authority.threshold} of {authority.names}")
    return lines


def _page(candidate: Candidate, now: datetime) -> list[str]:
    root = candidate.description
    # The last group is left out, so that it has to come from the vendor.
    *groups, last = fingerprint_groups(root.fingerprint)
    groups.append(last[:-_GROUP] + "?" * _GROUP)
    lines = [f"root version {root.version}, valid until {root.expires:%Y-%m-%d}"]
    lines += [
        f"  {ROLE_WORDS[role.name]}: {role.threshold} of {', '.join(name for name, _ in role.keys)}"
        for role in root.roles
    ]
    lines += ["", "Its fingerprint:", "", *(f"  {group}" for group in groups), ""]
    lines.append(f"This machine's clock says {now:%Y-%m-%d %H:%M} UTC; stop if that is wrong.")
    return [*lines, "Compare every group with what the vendor told you by phone or letter."]


def _compare(candidate: Candidate) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            "the fingerprint is compared on a terminal, and there is none",
            "Run this on a terminal, or give --fingerprint with what the vendor told you.",
        )
    typed = ask("If all are the same, type the last group that the vendor told you, or all of it")
    plain = plain_fingerprint(typed)
    # The last groups or all of them: less than one group proves nothing.
    if len(plain) < _GROUP or not hex_of(candidate.description.fingerprint).endswith(plain):
        raise TrustError(
            f"expected the last {_GROUP} characters of the fingerprint or all of it, and what was "
            "typed is neither",
            "Nothing was enrolled. If the vendor told you another one, do not use this medium.",
        )
