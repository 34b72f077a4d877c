"""OS packages in documents: what may be asked for, and what a lock or a bundle may not say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from bundle.base.canonical import canonical_json, decode_canonical
from bundle.base.errors import DefinitionError, FormatError
from bundle.kinds.os_packages import LockedOs, OsPlace
from bundle.model.lock import Lock, check_lock, lock_contents
from bundle.model.manifest import Manifest, check_manifest
from bundle.model.plan import plan_bundle
from bundler.lock.resolve import definition_hosts
from tests.support.documents.content import Maker
from tests.support.documents.right import DEFINITION, lock, read_definition

HEAD = DEFINITION.partition("images:")[0]
APT = "{url: 'https://mirror.example.org/debian', suite: bookworm, components: [main]}"
RPM = "{name: baseos, url: 'https://mirror.example.org/rocky/9/BaseOS/x86_64/os/'}"


def source(repositories: str = APT, release: str = "debian-12", **more: str) -> str:
    fields = {"keyring": "keys/debian.gpg", "packages": "[socat]", **more}
    rest = "".join(f", {name}: {value}" for name, value in fields.items())
    return (
        f"{HEAD}osPackages: [{{name: x, release: {release}, repositories: [{repositories}]{rest}}}]"
    )


def test_packages_for_apt_and_for_dnf() -> None:
    apt = read_definition(source()).os_packages[0]
    assert (apt.kind, apt.repositories[0].folder, apt.recommends) == ("apt", "debian", False)
    rpm = read_definition(source(RPM, "rocky-9"))
    assert (rpm.os_packages[0].kind, rpm.os_packages[0].repositories[0].folder) == ("rpm", "baseos")
    assert list(definition_hosts(rpm)) == ["mirror.example.org"]


def test_packages_may_be_those_of_kubespray_alone() -> None:
    tree = "\nkubespray: {version: v1.0.0, path: kubespray, inventory: inventory.yaml}"
    found = read_definition(source(packages="[]", kubespray="true") + tree).os_packages[0]
    assert (found.packages, found.kubespray) == ((), True)


def test_two_suites_of_one_repository_share_its_folder() -> None:
    updates = APT.replace("bookworm", "bookworm-updates")
    found = read_definition(source(f"{APT}, {updates}")).os_packages[0]
    assert {repository.folder for repository in found.repositories} == {"debian"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (source(release="debian-11"), "expected one of debian-12, "),
        (source(""), "repositories"),
        (source(RPM), "expected components for a suite|needs a suite"),
        (source(APT.replace("[main]", "[]")), "expected components for a suite|needs a suite"),
        (source(APT, "rocky-9"), "has neither suite"),
        (source(APT.replace("bookworm", "../x")), "suite"),
        (source(APT.replace("bookworm", "x/../y")), "suite"),
        (source(APT.replace("bookworm", "./")), "suite"),
        (source(APT.replace("[main]", "[main, main]")), "duplicate 'main'"),
        (source(APT.replace("/debian'", "'")), "cannot be the name of its folder"),
        (source(APT.replace("/debian'", "/Debian'")), "cannot be the name of its folder"),
        (source(APT.replace("https:", "ftp:")), "url"),
        (source(APT.replace("/debian'", "/../debian'")), "in its path"),
        (source(f"{APT}, {APT}"), "duplicate"),
        (
            source(f"{APT}, {APT.replace('mirror.', 'other.')}"),
            "would be the folder of two repositories",
        ),
        (source("{name: keyring.asc, url: 'https://e.org/x'}", "rocky-9"), "not a name for a rep"),
        (source(keyring="/usr/share/keyrings/x.gpg"), "not a path below a folder"),
        (source(keyring="../x.gpg"), "not a path below a folder"),
        (source(keyring="''"), "keyring"),
        (source(packages="[]"), "found neither"),
        (source(kubespray="true"), "has no Kubespray to ask"),
        (source(packages="[socat, socat]"), "duplicate"),
        (source(packages="[--help]"), "packages"),
        (source(packages="[socat-]"), "packages"),
        (source(packages="['socat=1']"), "packages"),
        (source(packages="['~nsocat']"), "packages"),
        (source(packages="['?essential']"), "packages"),
        (f"{source()}\nosPackages: []", "osPackages"),
    ],
)
def test_what_is_refused(text: str, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        read_definition(text)


def test_one_name_twice_is_refused() -> None:
    body = source().partition("osPackages: [")[2].removesuffix("]")
    with pytest.raises(DefinitionError, match="duplicate 'x'"):
        read_definition(f"{HEAD}osPackages: [{body}, {body}]")


def locked(**changed: Any) -> Lock:
    packages = Maker().os_packages("debian-12", "1.7.4.4-2")
    return replace(lock(), os_packages=(replace(packages, **changed),))


def test_the_plan_has_what_the_lock_has() -> None:
    good = locked()
    check_lock(good)
    made = plan_bundle(good)
    (entry,) = made.manifest.os_packages
    assert dict(entry.served()).keys() == {
        "debian-12/keyring.gpg",
        "debian-12/debian/dists/bookworm/InRelease",
        "debian-12/debian/pool/main/s/socat/socat_1.7.4.4-2_amd64.deb",
    }
    assert set(dict(entry.served()).values()) <= lock_contents(good).keys()
    assert "mirror.example.org" in made.manifest.sources
    assert decode_canonical(made.manifest_bytes, Manifest, "bundle.json") == made.manifest


def _damaged(packages: LockedOs) -> list[tuple[dict[str, Any], str]]:
    first, second = packages.files
    return [
        ({"repositories": (OsPlace(folder="debian"),)}, "needs a suite"),
        ({"repositories": packages.repositories * 2}, "duplicate"),
        ({"files": (*packages.files, first)}, "duplicate"),
        ({"files": (first,)}, "no file for the package socat"),
        ({"files": (replace(first, path="other/x"), second)}, "not in any of its repositories"),
        ({"files": (replace(first, path="debian"), second)}, "not in any of its repositories"),
        ({"files": (replace(first, url="https://e.org/../x"), second)}, "in its path"),
        ({"packages": packages.packages * 2}, "duplicate"),
        ({"keyring": replace(packages.keyring, path="debian")}, "not a keyring's name"),
        ({"keyring": replace(packages.keyring, source="/etc/x")}, "not a path below"),
    ]


@pytest.mark.parametrize("number", range(10))
def test_a_lock_that_contradicts_itself(number: int) -> None:
    changed, why = _damaged(Maker().os_packages("debian-12", "1.7.4.4-2"))[number]
    with pytest.raises(FormatError, match=why):
        check_lock(locked(**changed))


@pytest.mark.parametrize(
    "path",
    ["debian/../x", "debian/./x", "/debian/x", "debian//x", "debian/.x", "debian/", "debian/a b"],
)
def test_paths_that_could_leave_their_folder_are_not_read(path: str) -> None:
    data = canonical_json(plan_bundle(locked()).manifest)
    assert b"debian/dists/bookworm/InRelease" in data
    hostile = data.replace(b"debian/dists/bookworm/InRelease", path.encode())
    with pytest.raises(FormatError, match="path"):
        decode_canonical(hostile, Manifest, "bundle.json")


def test_a_bundle_names_only_files_that_it_has() -> None:
    made = plan_bundle(locked()).manifest
    inside = made.os_packages[0].files[0].digest
    without = replace(made, blobs=tuple(b for b in made.blobs if b.digest != inside))
    with pytest.raises(FormatError, match="OS file debian-12/debian/dists/bookworm/InRelease"):
        check_manifest(without)


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"folder": "x", "priority": "1"}, OsPlace)
