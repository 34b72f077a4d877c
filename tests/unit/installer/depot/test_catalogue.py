from __future__ import annotations

from bundle.base.digest import digest_of
from bundle.kinds.charts import ChartEntry
from bundle.model.manifest import Manifest, check_manifest
from bundle.model.plan import plan_bundle
from installer.depot.catalogue import Catalogue
from tests.support.depot.imported import change_lock, rich_sample
from tests.support.documents.content import Maker, sample


def _entry(manifest: Manifest) -> tuple[Manifest, dict[str, int]]:
    return manifest, check_manifest(manifest)


def _rich() -> Catalogue:
    return Catalogue.build([_entry(plan_bundle(rich_sample()[0]).manifest)])


def test_a_name_with_its_registry_in_front_is_found() -> None:
    found = _rich().find("registry.example.org/app/web").repository
    assert found is not None
    assert (found.host, found.name) == ("registry.example.org", "app/web")


def test_a_port_is_written_with_an_underscore() -> None:
    found = _rich().find("registry.example.org_5000/team/tool").repository
    assert found is not None
    assert found.tags.keys() == {"v1"}


def test_a_name_of_one_registry_needs_no_host() -> None:
    found = _rich().find("team/tool").repository
    assert found is not None
    assert found.host == "registry.example.org_5000"


def test_a_name_of_two_registries_is_not_guessed() -> None:
    choice = _rich().find("app/web")
    assert choice.repository is None
    assert choice.choices == ("quay.example.org/app/web", "registry.example.org/app/web")


def test_a_mirror_client_says_which_registry_it_means() -> None:
    catalogue = _rich()
    for namespace in ("quay.example.org", "registry.example.org"):
        found = catalogue.find("app/web", namespace).repository
        assert found is not None
        assert found.host == namespace


def test_a_namespace_may_have_a_port() -> None:
    assert _rich().find("team/tool", "registry.example.org:5000").repository is not None


def test_a_namespace_does_not_fall_back_to_another_registry() -> None:
    choice = _rich().find("team/tool", "quay.example.org")
    assert choice.repository is None
    assert choice.choices == ()


def test_docker_hub_is_known_with_and_without_library_and_by_its_other_names() -> None:
    catalogue = _rich()
    for name in ("busybox", "library/busybox"):
        for namespace in ("docker.io", "index.docker.io", "registry-1.docker.io", "Docker.IO"):
            assert catalogue.find(name, namespace).repository is not None, (name, namespace)
    assert catalogue.find("docker.io/busybox").repository is not None


def test_a_prefix_is_understood_beside_a_namespace() -> None:
    found = _rich().find("docker.io/library/busybox", "depot.hospital.example:5443").repository
    assert found is not None


def test_a_later_import_wins_a_tag_and_the_older_digest_stays() -> None:
    old_lock, _ = sample()
    make = Maker()
    newer = make.index("registry.example.org/app/web:2.1", ("linux/amd64",))
    new_lock = change_lock(sample(make)[0], images=(newer,))
    old, new = plan_bundle(old_lock).manifest, plan_bundle(new_lock).manifest
    catalogue = Catalogue.build([_entry(old), _entry(new)])
    repository = catalogue.find("registry.example.org/app/web").repository
    assert repository is not None
    assert repository.tags["2.1"] == newer.digest
    before = next(i.digest for i in old_lock.images if i.reference.endswith("app/web:2.1"))
    assert before != newer.digest
    assert before in repository.manifests
    other = Catalogue.build([_entry(new), _entry(old)])
    found = other.find("registry.example.org/app/web").repository
    assert found is not None
    assert found.tags["2.1"] == before


def test_a_cosign_tag_is_a_tag_and_a_fallback_tag_is_a_list() -> None:
    catalogue = _rich()
    signed = catalogue.find("registry.example.org/app/web").repository
    listed = catalogue.find("registry.example.org/app/listed").repository
    assert signed is not None
    assert listed is not None
    assert any(tag.endswith(".sig") for tag in signed.tags)
    assert list(listed.tags) == ["1"]
    assert list(listed.fallbacks) == [listed.tags["1"].replace(":", "-")]


def test_an_image_by_digest_alone_has_no_tag() -> None:
    make = Maker()
    image = make.image("registry.example.org/by/digest:x")
    named = type(image)(
        reference=f"registry.example.org/by/digest@{image.digest}",
        digest=image.digest,
        manifests=image.manifests,
    )
    lock = change_lock(sample(make)[0], images=(named,))
    catalogue = Catalogue.build([_entry(plan_bundle(lock).manifest)])
    found = catalogue.find("registry.example.org/by/digest").repository
    assert found is not None
    assert not found.tags
    assert image.digest in found.manifests


def _with_charts(*charts: ChartEntry) -> Catalogue:
    manifest = plan_bundle(sample()[0]).manifest
    changed = {name: getattr(manifest, name) for name in manifest.__struct_fields__}
    return Catalogue.build([(Manifest(**{**changed, "charts": charts}), check_manifest(manifest))])


def _chart(
    repository: str, archive: bytes, name: str = "web", version: str = "1.0.0"
) -> ChartEntry:
    made = plan_bundle(sample()[0]).manifest.charts[0]
    return ChartEntry(
        name=name,
        version=version,
        repository=repository,
        archive=digest_of(archive),
        artifact=made.artifact,
    )


def test_charts_of_one_name_and_other_content_are_not_in_the_root_index() -> None:
    catalogue = _with_charts(
        _chart("https://a.example.org/stable", b"one"), _chart("oci://b.example.org:5000/x", b"two")
    )
    assert catalogue.root_charts() == {}
    assert catalogue.chart_choices("web-1.0.0.tgz") == [
        "/charts/a.example.org/stable/web-1.0.0.tgz",
        "/charts/b.example.org_5000/x/web-1.0.0.tgz",
    ]


def test_charts_of_one_name_and_the_same_content_are() -> None:
    catalogue = _with_charts(
        _chart("https://a.example.org", b"one"), _chart("https://b.example.org/", b"one")
    )
    assert list(catalogue.root_charts()) == ["web-1.0.0.tgz"]
    assert set(catalogue.charts) == {"a.example.org", "b.example.org"}


def test_names_that_only_look_the_same_as_files_are_ambiguous_too() -> None:
    catalogue = _with_charts(
        _chart("https://a.example.org", b"one", "web-1.0", "2"),
        _chart("https://b.example.org", b"two", "web", "1.0-2"),
    )
    assert catalogue.root_charts() == {}
