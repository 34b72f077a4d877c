from __future__ import annotations

from msgspec.structs import replace

from bundle.base.content import Content
from bundle.base.digest import digest_of
from bundle.base.documents import Metadata
from bundle.kinds.artifacts import LockedArtifact
from bundle.kinds.charts import LockedChart, LockedDependency, LockedFolder, LockedProvenance
from bundle.kinds.files import LockedFile
from bundle.kinds.git import GitSource
from bundle.model.lock import Lock
from bundler.lock.diff import changes
from tests.support.documents.content import Maker

WEB = "registry.example.org/app/web:1"


def lock(*images: LockedArtifact, files: tuple[LockedFile, ...] = (), seed: str = "a") -> Lock:
    return Lock(
        api_version="isoward/v1",
        kind="BundleLock",
        metadata=Metadata(name="x", version="1.0.0"),
        definition=digest_of(seed.encode()),
        platforms=("linux/amd64",),
        images=images,
        files=files,
    )


def lines(old: Lock, new: Lock) -> list[str]:
    return [change.line for change in changes(old, new)]


def test_equal_locks_have_no_changes() -> None:
    assert changes(lock(Maker().image(WEB)), lock(Maker().image(WEB))) == []


def test_images_that_came_and_went() -> None:
    made = Maker()
    web, db = made.image(WEB), made.image("registry.example.org/app/db:1")
    assert lines(lock(web), lock(db)) == [
        f"+ image registry.example.org/app/db:1: added, {db.digest}",
        f"- image {WEB}: removed, was {web.digest}",
    ]


def test_os_packages_and_their_indexes() -> None:
    old, new = (replace(lock(), os_packages=(Maker().os_packages("d", v),)) for v in ("1.0", "1.1"))
    assert lines(lock(), old)[0].startswith("+ OS package d socat 1.0 amd64: added, sha256:")
    assert [line.partition(":")[0] for line in lines(old, new)] == [
        "- OS package d socat 1.0 amd64",
        "+ OS package d socat 1.1 amd64",
    ]
    file = replace(old.os_packages[0].files[0], digest=digest_of(b"later"))
    moved = replace(old.os_packages[0], files=(file, *old.os_packages[0].files[1:]))
    (change,) = changes(old, replace(old, os_packages=(moved,)))
    assert (change.kind, change.thing) == ("moved", "OS file d/debian/dists/bookworm/InRelease")


def test_a_tag_that_moved() -> None:
    made = Maker()
    old = made.image(WEB)
    new = replace(made.image("other"), reference=WEB)
    (change,) = changes(lock(old), lock(new))
    assert (change.kind, change.old, change.new) == ("moved", old.digest, new.digest)
    assert change.line == f"~ image {WEB}: moved from {old.digest} to {new.digest}"


def test_referrers_that_came_and_went() -> None:
    made = Maker()
    image = made.image(WEB)
    bom = made.referrer(image.manifests[0], "application/x.sbom")
    signature = made.referrer(image.manifests[0], "application/x.sig", "sha256-x.sig")
    with_bom, with_both = replace(image, referrers=(bom,)), replace(image, referrers=(signature,))
    came, went = lines(lock(with_bom), lock(with_both))
    assert came.startswith(f"- image {WEB}: referrer application/x.sbom of ")
    assert went.startswith(f"+ image {WEB}: referrer application/x.sig of ")
    assert "sha256-x.sig" in went
    assert signature.digest in went


def test_a_signature_that_was_made_again_under_its_tag_has_moved() -> None:
    made = Maker()
    image = made.image(WEB)
    first = made.referrer(image.manifests[0], "application/x.sig", "sha256-x.sig")
    second = replace(first, digest=digest_of(b"second"))
    (change,) = changes(
        lock(replace(image, referrers=(first,))), lock(replace(image, referrers=(second,)))
    )
    assert change.kind == "moved"


def test_another_platform_of_the_same_index() -> None:
    made = Maker()
    both = made.index(WEB, ("linux/amd64", "linux/arm64"))
    one = replace(both, manifests=both.manifests[:1])
    (line,) = lines(lock(one), lock(both))
    assert line.startswith(f"+ image {WEB}: platform linux/arm64: added, sha256:")


def test_files_charts_and_metadata() -> None:
    made = Maker()
    old_file = LockedFile(url="https://example.org/f", digest=digest_of(b"1"), size=1)
    new_file = replace(old_file, digest=digest_of(b"2"))
    old = replace(lock(files=(old_file,)), charts=(chart(made, "one"),))
    new = replace(
        lock(files=(new_file,)),
        charts=(chart(made, "two"),),
        metadata=Metadata(name="x", version="1.1.0"),
    )
    found = changes(old, new)
    assert [(c.kind, c.thing) for c in found] == [
        ("changed", "version"),
        ("moved", "chart https://charts.example.org web 1.2.3"),
        ("moved", "file https://example.org/f"),
    ]
    assert found[0].line == "~ version: changed from 1.0.0 to 1.1.0"


def test_the_folder_of_a_chart_and_what_it_depends_on() -> None:
    made = Maker()
    redis = LockedDependency(
        name="redis",
        version="17.2.0",
        repository="https://charts.example.org",
        digest=digest_of(b"1"),
        size=1,
    )
    git = GitSource(repository="https://git.example.org/x", commit="a" * 40)
    before = LockedFolder(path="web", git=git, dependencies=(redis,))
    after = replace(
        before,
        git=replace(git, commit="b" * 40),
        dependencies=(replace(redis, digest=digest_of(b"2")),),
    )
    locks = [
        replace(lock(), charts=(replace(chart(made, "one"), url=None, folder=folder),))
        for folder in (before, after)
    ]
    name = "chart https://charts.example.org web 1.2.3"
    old, new = (f"https://git.example.org/x {letter * 40} web" for letter in "ab")
    moved = f"from {digest_of(b'1')} to {digest_of(b'2')}"
    assert [change.line for change in changes(*locks)] == [
        f"~ {name}: folder: changed from {old} to {new}",
        f"~ {name}: dependency https://charts.example.org redis 17.2.0: moved {moved}",
    ]


def test_the_provenance_of_a_chart() -> None:
    made = Maker()
    unread = LockedProvenance(digest=digest_of(b"1"), size=1)
    signed = replace(unread, signer="A" * 40, keyring="keys")
    locks = [
        replace(lock(), charts=(replace(chart(made, "one"), provenance=provenance),))
        for provenance in (None, unread, signed)
    ]
    name = "~ chart https://charts.example.org web 1.2.3: provenance: changed from"
    (first,), (second,) = (lines(*locks[:2]), lines(*locks[1:]))
    assert first == f"{name} none to {digest_of(b'1')}, unread"
    assert second.endswith(f"unread to {digest_of(b'1')} signed by {'A' * 40}")


def chart(made: Maker, seed: str) -> LockedChart:
    archive = Content(digest=digest_of(seed.encode()), size=3)
    artifact = made.image("charts.example.org/web:1.2.3")
    return LockedChart(
        name="web",
        version="1.2.3",
        repository="https://charts.example.org",
        archive=archive,
        url="https://charts.example.org/web.tgz",
        artifact=artifact,
    )


def test_a_change_that_has_no_line_of_its_own_is_still_one() -> None:
    (line,) = lines(lock(Maker().image(WEB)), lock(Maker().image(WEB), seed="b"))
    assert line.startswith("~ definition: changed from")
    image = Maker().image(WEB)
    (manifest,) = image.manifests
    edited = replace(image, manifests=(replace(manifest, layers=()),))
    assert len(changes(lock(image), lock(edited))) == 1
