"""The closure gate decides which images are wanted, and asks a person about the rest."""

from __future__ import annotations

import pytest

from bundle.base.errors import ClosureError, DefinitionError
from bundle.base.yaml.strict import load_yaml
from bundle.kinds.closure import MissingImages, Named
from bundle.kinds.images import ImageSource
from bundle.kinds.rendering import How, LeftOut
from bundler.gates.closure import (
    Wanting,
    close,
    is_moving,
    moving_images,
    require_closed,
    unobtainable,
)
from bundler.sources.common.context import Want
from bundler.sources.images.sought import images_to_resolve

DIGEST = "sha256:" + "ab" * 32
WEB = "registry.example.org/app/web"


def rendered(image: str) -> Named:
    return Named(image, "rendered", "Deployment web, container main")


def found(image: str) -> Named:
    return Named(image, "found", "Deployment web, env X")


def chart(
    *named: Named, declared: tuple[str, ...] = (), left_out: tuple[str, ...] = (), name: str = "web"
) -> Wanting:
    out = tuple(LeftOut(image=image, reason="not here") for image in left_out)
    return Wanting(f"chart {name} 1.0.0", named, declared, out)


def decided(
    *charts: Wanting, images: tuple[str, ...] = ()
) -> tuple[list[dict[str, tuple[How, ...]]], list[str]]:
    """Return what each chart wants and how that is known, and what is to be decided."""
    closed, missing = close(charts, [ImageSource(reference=image) for image in images])
    wants = [{image.image: image.how for image in one.images} for one in closed]
    return wants, sorted(entry.image for entry in missing)


@pytest.mark.parametrize(
    "tag", ["1.2.3", "v1", "2024.06", "16-alpine", "1.27-bookworm", "abc1234", "12"]
)
def test_a_tag_with_a_version(tag: str) -> None:
    assert not is_moving(tag)


@pytest.mark.parametrize(
    "tag",
    [
        "latest", "stable", "alpine", "bookworm", "main", "latest-amd64", "v1-latest", "LATEST",
        "nightly-2024", "edge-1", "master_3", "lts",
    ],
)  # fmt: skip
def test_a_tag_that_moves(tag: str) -> None:
    assert is_moving(tag)


def test_what_is_rendered_annotated_or_declared_is_wanted() -> None:
    noted = Named(f"{WEB}:2", "annotation", "Chart.yaml")
    wants, missing = decided(
        chart(rendered(f"{WEB}:1"), noted, rendered("busybox:1.36"), declared=(f"{WEB}:1",))
    )
    assert wants == [
        {
            "docker.io/library/busybox:1.36": ("rendered",),
            f"{WEB}:1": ("declared", "rendered"),
            f"{WEB}:2": ("annotation",),
        }
    ]
    assert missing == []


@pytest.mark.parametrize(
    "image", ["nginx", f"{WEB}:latest", f"{WEB}:stable", "auto", "A:1", "a:b:c"]
)
def test_what_no_version_or_nothing_is_meant_by_is_to_be_decided(image: str) -> None:
    assert decided(chart(rendered(image))) == ([{}], [image])
    assert decided(chart(rendered(image), left_out=(image,))) == ([{}], [])


def test_a_definition_may_pin_a_moving_tag() -> None:
    for pinned, wanted in ((f"{WEB}:latest", f"{WEB}:latest"), (f"{WEB}:latest", WEB)):
        wants, missing = decided(chart(rendered(wanted)), images=(f"{pinned}@{DIGEST}",))
        assert (wants, missing) == ([{f"{WEB}:latest": ("rendered",)}], [])
    assert decided(chart(rendered(WEB)), images=(f"{WEB}:latest",))[1] == [WEB]


def test_whoever_wants_a_pinned_tag_gets_the_pinned_image() -> None:
    declared = [ImageSource(reference=f"{WEB}:1@{DIGEST}")]
    (sought,) = images_to_resolve(declared, [Want(f"{WEB}:1", "chart web 1.0.0")])
    assert sought.name == f"{WEB}:1@{DIGEST}"
    assert sought.wanted_by == ("chart web 1.0.0",)


def test_a_digest_never_moves() -> None:
    wants, missing = decided(chart(rendered(f"{WEB}@{DIGEST}"), rendered(f"{WEB}:x@{DIGEST}")))
    assert list(wants[0]) == [f"{WEB}:x@{DIGEST}", f"{WEB}@{DIGEST}"]
    assert missing == []


def test_what_looks_like_an_image_is_neither_taken_nor_dropped() -> None:
    assert decided(chart(found(f"{WEB}:3"))) == ([{}], [f"{WEB}:3"])
    assert decided(chart(found(f"{WEB}:3"), declared=(f"{WEB}:3",))) == (
        [{f"{WEB}:3": ("declared", "found")}],
        [],
    )
    assert decided(chart(found(f"{WEB}:3"), left_out=(f"{WEB}:3",))) == ([{}], [])


def test_what_is_carried_anyhow_answers_for_what_is_found() -> None:
    wants, missing = decided(
        chart(found(f"{WEB}:3")), chart(rendered(f"{WEB}:3"), name="other"), images=("a/b:1",)
    )
    assert wants == [{f"{WEB}:3": ("found",)}, {f"{WEB}:3": ("rendered",)}]
    assert missing == []
    assert decided(chart(found("a/b:1")), images=("a/b:1",))[1] == []


def test_a_name_without_a_tag_is_answered_for_by_any_of_its_images() -> None:
    assert decided(chart(found(WEB), declared=(f"{WEB}:3",)))[1] == []
    assert decided(chart(found(WEB)))[1] == [WEB]
    assert decided(chart(found(f"{WEB}:4"), declared=(f"{WEB}:3",)))[1] == [f"{WEB}:4"]


def test_what_is_left_out_must_be_named_by_the_chart() -> None:
    with pytest.raises(DefinitionError, match=r"chart web 1\.0\.0: leaveOut: .*'gone:1'"):
        decided(chart(rendered(f"{WEB}:1"), left_out=("gone:1",)))


def test_an_image_may_be_left_out_in_either_spelling() -> None:
    assert decided(chart(rendered("busybox:1"), left_out=("docker.io/library/busybox:1",))) == (
        [{}],
        [],
    )
    assert decided(chart(rendered("docker.io/library/busybox:1"), left_out=("busybox:1",))) == (
        [{}],
        [],
    )


def test_a_moving_tag_in_the_definition_itself() -> None:
    images = [f"{WEB}:{tag}" for tag in ("latest", "1", f"x@{DIGEST}")]
    (missing,) = moving_images((image, ()) for image in images)
    assert missing.image == f"{WEB}:latest"
    assert missing.wanted_by == ("the definition",)
    (missing,) = moving_images([(images[0], ("kubespray",))])
    assert missing.wanted_by == ("kubespray",)


def test_a_person_is_told_of_everything_at_once() -> None:
    _, missing = close(
        [
            chart(found(f"{WEB}:3"), rendered("nginx")),
            chart(found(f"{WEB}:3"), name="other"),
        ],
        [],
    )
    missing.append(unobtainable("a/b:1", ("kubespray",), "not found", "look again"))
    with pytest.raises(ClosureError, match=r"and 2 more") as caught:
        require_closed(missing)
    document = load_yaml(
        caught.value.missing, MissingImages, where="x", limit=10_000, error=DefinitionError
    )
    by_name = {entry.image: entry for entry in document.missing}
    assert set(by_name) == {f"{WEB}:3", "nginx", "a/b:1"}
    assert by_name[f"{WEB}:3"].wanted_by == ("chart other 1.0.0", "chart web 1.0.0")
    assert by_name[f"{WEB}:3"].where == ("Deployment web, env X",)
    assert "'latest' does not name a version" in by_name["nginx"].why
    assert caught.value.exit_code == 17
    require_closed([])


def test_what_is_put_together_later_is_answered_by_what_fits_it_or_left_out() -> None:
    filled, anything = "{{.hub}}/proxy:{{.tag}}", "{{.ProxyImage}}"
    named = (found(filled), found(anything))
    assert decided(chart(*named))[1] == sorted([filled, anything])
    proxy = ("quay.io/mesh/proxy:1.30.3",)
    assert decided(chart(*named, declared=proxy))[1] == [anything], "holes alone fit everything"
    assert decided(chart(*named, declared=proxy, left_out=(anything,)))[1] == []
    other = ("quay.io/mesh/other:1.30.3",)
    assert decided(chart(found(filled), declared=other))[1] == [filled]


def test_it_is_said_what_to_do_about_a_template() -> None:
    _, missing = close([chart(found("$(IMAGE)"))], [])
    assert "assembled at run time" in missing[0].why
    assert "leaveOut" in missing[0].add
