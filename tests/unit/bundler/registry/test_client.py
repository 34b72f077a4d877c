from __future__ import annotations

from collections.abc import Iterator

import pytest

from bundle.base.errors import (
    AuthenticationError,
    DigestMismatchError,
    FormatError,
    NotFoundError,
    TransportError,
    TransportRefusedError,
)
from bundle.base.limits import MAX_OCI_MANIFEST_BYTES
from bundle.base.reference import Reference, parse_reference
from bundler.registry.client import RegistryClient, by_digest, by_tag
from bundler.registry.config import HostSource, MirrorSource
from bundler.registry.stream import BytesStream, ContentStream
from tests.support.programs.processes import free_port
from tests.support.registries.connecting import client, source_config
from tests.support.registries.content import RegistryContent
from tests.support.registries.faulty_registry import Fault, FaultyRegistry, faulty_registry
from tests.support.registries.oci import (
    CONFIG,
    INDEX,
    LAYER,
    MANIFEST,
    Blob,
    manifest,
    sha256,
    to_json,
)
from tests.support.registries.referrers import referrer
from tests.support.registries.scripted import Asked, Reply, in_turn, scripted

BIG = Blob(LAYER, bytes(range(256)) * 5000)
IMAGE = manifest(Blob(CONFIG, to_json({"os": "linux", "architecture": "amd64"})), [BIG])
SBOMS = [referrer("application/x.sbom", f"sbom {i}".encode(), IMAGE) for i in range(5)]


def _content() -> RegistryContent:
    content = RegistryContent()
    content.put("app/web", IMAGE, "1")
    return content


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with faulty_registry(_content()) as made:
        yield made


def _reference(server: FaultyRegistry) -> Reference:
    return parse_reference(f"{server.host}/app/web:1")


def _drain(stream: ContentStream | BytesStream, into: bytearray | None = None) -> bytes:
    data = bytearray() if into is None else into
    buffer = memoryview(bytearray(70_001))
    while count := stream.readinto(buffer):
        data += buffer[:count]
    stream.close()
    return bytes(data)


def test_a_manifest_by_tag_and_by_digest(registry: FaultyRegistry) -> None:
    made, reference = client(registry.host), _reference(registry)
    by_name = made.get_manifest(reference)
    assert by_name.data == IMAGE.data
    assert by_name.media_type == MANIFEST
    assert made.get_manifest(by_digest(reference, IMAGE.digest)) == by_name
    assert _drain(made.open_manifest(reference, IMAGE.digest)) == IMAGE.data


def test_nothing_is_there_only_by_404(registry: FaultyRegistry) -> None:
    made, reference = client(registry.host), _reference(registry)
    assert made.try_get_manifest(by_tag(reference, "2")) is None
    with pytest.raises(NotFoundError, match="no such manifest"):
        made.get_manifest(by_tag(reference, "2"))


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, TransportRefusedError), (403, AuthenticationError), (418, TransportRefusedError),
     (500, TransportError)],
)  # fmt: skip
def test_any_other_failure_is_an_error(
    registry: FaultyRegistry, status: int, kind: type[TransportError]
) -> None:
    registry.fault("/manifests/", Fault(status=status))
    with pytest.raises(kind, match=str(status)) as caught:
        client(registry.host).try_get_manifest(_reference(registry))
    assert type(caught.value) is kind


@pytest.mark.parametrize("name", ["tag", "digest"])
def test_a_manifest_of_other_bytes_is_refused(registry: FaultyRegistry, name: str) -> None:
    registry.fault("/manifests/", Fault(flip=True))
    reference = _reference(registry)
    if name == "digest":
        reference = by_digest(reference, IMAGE.digest)
    with pytest.raises(DigestMismatchError, match=IMAGE.digest):
        client(registry.host).get_manifest(reference)


def test_a_manifest_is_bounded(registry: FaultyRegistry) -> None:
    registry.fault("/manifests/", Fault(extend=MAX_OCI_MANIFEST_BYTES))
    with pytest.raises(FormatError, match="at most"):
        client(registry.host).get_manifest(_reference(registry))


def test_a_blob_from_its_start_and_from_the_middle(registry: FaultyRegistry) -> None:
    made, reference = client(registry.host), _reference(registry)
    whole = made.open_blob(reference, BIG.digest)
    assert (whole.start, whole.size) == (0, len(BIG.data))
    assert _drain(whole) == BIG.data
    rest = made.open_blob(reference, BIG.digest, 1_000_001)
    assert (rest.start, rest.size, rest.host) == (1_000_001, len(BIG.data), registry.host)
    assert _drain(rest) == BIG.data[1_000_001:]


def test_a_server_that_ignores_range_says_where_it_starts(registry: FaultyRegistry) -> None:
    registry.fault("/blobs/", Fault(ignore_range=True))
    stream = client(registry.host).open_blob(_reference(registry), BIG.digest, 1000)
    assert stream.start == 0
    assert _drain(stream) == BIG.data


def test_an_offset_past_the_end_begins_again(registry: FaultyRegistry) -> None:
    stream = client(registry.host).open_blob(_reference(registry), BIG.digest, len(BIG.data))
    assert stream.start == 0
    assert _drain(stream) == BIG.data


def test_a_partial_answer_of_another_part_is_not_used(registry: FaultyRegistry) -> None:
    _answers_in_part(registry, f"bytes 5-99/{len(BIG.data)}")


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "x", ""])
def test_a_partial_answer_of_no_number_is_not_used(registry: FaultyRegistry, number: str) -> None:
    _answers_in_part(registry, f"bytes {number}-99/100")


def _answers_in_part(registry: FaultyRegistry, content_range: str) -> None:
    part = Reply(206, body=b"x" * 95, headers={"Content-Range": content_range})
    with scripted(in_turn(part, Reply(body=BIG.data))) as server:
        stream = client(server.host).open_url(f"{server.url}/x", 10)
        assert stream.start == 0
        assert _drain(stream) == BIG.data
    assert [asked.headers.get("range") for asked in server.asked] == ["bytes=10-", None]


def test_a_cut_blob_tells_and_can_be_gone_on_with(registry: FaultyRegistry) -> None:
    registry.fault("/blobs/", Fault(times=1, cut_after=300_000))
    made, reference = client(registry.host), _reference(registry)
    stream = made.open_blob(reference, BIG.digest)
    got = bytearray()
    with pytest.raises(TransportError, match="found the end"):
        _drain(stream, got)
    stream.close()
    assert 0 < len(got) <= 300_000
    assert bytes(got) + _drain(made.open_blob(reference, BIG.digest, len(got))) == BIG.data


def test_a_missing_blob(registry: FaultyRegistry) -> None:
    with pytest.raises(NotFoundError, match="no blob"):
        client(registry.host).open_blob(_reference(registry), sha256(b"other"))


def test_the_referrers_api_with_pages(registry: FaultyRegistry) -> None:
    for sbom in SBOMS:
        registry.content.put("app/web", sbom)
    registry.page = 2
    found = client(registry.host).referrers(_reference(registry), IMAGE.digest)
    assert found is not None
    assert [entry.digest for entry in found] == sorted(sbom.digest for sbom in SBOMS)
    assert {entry.artifact_type for entry in found} == {"application/x.sbom"}


def test_no_referrers_and_no_api_are_two_things(registry: FaultyRegistry) -> None:
    made, reference = client(registry.host), _reference(registry)
    assert made.referrers(reference, IMAGE.digest) == []
    registry.referrers_api = False
    assert made.referrers(reference, IMAGE.digest) is None


@pytest.mark.parametrize("status", [400, 403, 500, 503])
def test_a_referrers_api_that_fails_is_an_error(registry: FaultyRegistry, status: int) -> None:
    registry.fault("/referrers/", Fault(status=status))
    with pytest.raises(TransportError, match=str(status)):
        client(registry.host).referrers(_reference(registry), IMAGE.digest)


def _listing(entries: int, link: str = "") -> Reply:
    body = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            {"mediaType": MANIFEST, "digest": sha256(str(i).encode()), "size": 2}
            for i in range(entries)
        ],
    }
    headers = {"Content-Type": INDEX, **({"Link": link} if link else {})}
    return Reply(body=to_json(body), headers=headers)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (_listing(1001), "at most 1000 referrers"),
        (_listing(0, '</v2/app/web/referrers/x?n=1>; rel="next"'), "at most 1000 referrers"),
        (_listing(1, '<https://evil.example.org/>; rel="next"'), "another host"),
        (Reply(body=b"<html>", headers={"Content-Type": "text/html"}), "referrers of"),
        (Reply(body=b"{}"), "schemaVersion"),
    ],
)
def test_a_hostile_list_of_referrers_is_refused(reply: Reply, why: str) -> None:
    with scripted(lambda _: reply) as server, pytest.raises(FormatError, match=why):
        client(server.host).referrers(parse_reference(f"{server.host}/app/web:1"), IMAGE.digest)


def test_a_second_page_that_is_gone_is_an_error() -> None:
    replies = in_turn(_listing(1, '</v2/app/web/referrers/x?page=2>; rel="next"'), Reply(404))
    with scripted(replies) as server, pytest.raises(TransportRefusedError, match="404"):
        client(server.host).referrers(parse_reference(f"{server.host}/app/web:1"), IMAGE.digest)


def test_the_size_of_a_file() -> None:
    with scripted(in_turn(Reply(body=b"12345"))) as server:
        assert client(server.host).url_size(f"{server.url}/x") == 5
    (asked,) = server.asked
    assert (asked.method, asked.headers["accept-encoding"]) == ("HEAD", "identity")


@pytest.mark.parametrize(
    "reply",
    [
        Reply(length=-1),
        Reply(405),
        Reply(403),
        Reply(body=b"1", headers={"Content-Encoding": "gzip"}),
    ],
)
def test_a_size_that_the_server_does_not_say_is_unknown(reply: Reply) -> None:
    with scripted(lambda _: reply) as server:
        assert client(server.host).url_size(f"{server.url}/x") is None


def test_a_missing_file() -> None:
    with scripted(lambda _: Reply(404)) as server:
        made = client(server.host)
        for ask in (made.url_size, made.open_url):
            with pytest.raises(NotFoundError, match="no such file"):
                ask(f"{server.url}/x")


def _mirrored(
    origin: str, *mirrors: MirrorSource, notes: list[str] | None = None
) -> RegistryClient:
    config = source_config({origin: HostSource(mirrors=mirrors)})
    return client(origin, sources=config, notes=notes)


def test_a_mirror_answers_by_digest_and_is_told_for_whom(registry: FaultyRegistry) -> None:
    content = RegistryContent()
    content.put("proxy/app/web", IMAGE)
    with faulty_registry(content) as mirror:
        made = _mirrored(registry.host, MirrorSource(host=mirror.host, prefix="proxy"))
        reference = by_digest(_reference(registry), IMAGE.digest)
        assert made.get_manifest(reference).data == IMAGE.data
        assert _drain(made.open_blob(reference, BIG.digest)) == BIG.data
        assert registry.log.entries == []
        assert all("?ns=127.0.0.1%3A" in request.path for request in mirror.log.entries)


def test_a_mirror_is_not_believed_about_tags_and_referrers(registry: FaultyRegistry) -> None:
    with faulty_registry(_content()) as mirror:
        made = _mirrored(registry.host, MirrorSource(host=mirror.host))
        made.get_manifest(_reference(registry))
        made.referrers(_reference(registry), IMAGE.digest)
        assert mirror.log.entries == []
        trusting = _mirrored(registry.host, MirrorSource(host=mirror.host, resolve=True))
        trusting.get_manifest(_reference(registry))
        trusting.referrers(_reference(registry), IMAGE.digest)
        assert len(mirror.log.entries) == 2


@pytest.mark.parametrize(
    "fault", [Fault(status=404), Fault(status=500), Fault(status=403), Fault(flip=True)]
)
def test_the_origin_answers_when_a_mirror_does_not(registry: FaultyRegistry, fault: Fault) -> None:
    with faulty_registry(_content()) as mirror:
        mirror.fault("/manifests/", fault)
        made = _mirrored(registry.host, MirrorSource(host=mirror.host))
        reference = by_digest(_reference(registry), IMAGE.digest)
        assert made.get_manifest(reference).data == IMAGE.data
        assert len(registry.log.entries) == 1


def test_a_dead_mirror_is_given_up_after_a_while(registry: FaultyRegistry) -> None:
    notes: list[str] = []
    dead = f"127.0.0.1:{free_port()}"
    with faulty_registry(_content()) as second:
        made = _mirrored(
            registry.host, MirrorSource(host=dead), MirrorSource(host=second.host), notes=notes
        )
        for _ in range(5):
            made.get_manifest(by_digest(_reference(registry), IMAGE.digest))
        assert len(second.log.entries) == 5
    assert registry.log.entries == []
    (note,) = notes
    assert dead in note


def test_mirrors_can_be_left_out_for_a_blob(registry: FaultyRegistry) -> None:
    with faulty_registry(_content()) as mirror:
        mirror.fault("/blobs/", Fault(flip=True))
        made = _mirrored(registry.host, MirrorSource(host=mirror.host))
        assert _drain(made.open_blob(_reference(registry), BIG.digest)) != BIG.data
        again = made.open_blob(_reference(registry), BIG.digest, mirrors=False)
        assert _drain(again) == BIG.data


def test_a_blob_behind_a_redirect_is_read_through_it(registry: FaultyRegistry) -> None:
    def script(asked: Asked) -> Reply:
        return Reply(body=BIG.data if "/blobs/" in asked.path else b"")

    with scripted(script) as store:
        registry.fault("/blobs/", Fault(redirect=store.url))
        made = client(registry.host, store.host)
        stream = made.open_blob(_reference(registry), BIG.digest)
        assert stream.host == store.host
        assert _drain(stream) == BIG.data
