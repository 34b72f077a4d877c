"""A bundle's signatures at import and verify: from its own blobs, by its rules and the site's."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from bundle.base.digest import hex_of
from bundle.base.errors import (
    DefinitionError,
    DigestMismatchError,
    MissingBlobError,
    PolicyError,
    SizeMismatchError,
    UnsignedError,
)
from bundle.checks.signatures import check_upstream
from bundle.cli.main import main
from bundle.kinds.artifacts import LockedArtifact, LockedReferrer
from bundle.kinds.policy import SignatureRule, VerifiedBy
from bundle.model.lock import Lock
from bundle.model.manifest import Manifest
from bundle.store.layout import BundleDirectory
from bundle.trust.upstream.public_keys import load_upstream_key
from bundle.trust.upstream.site_policy import load_site_policy
from installer.depot.directory import DepotDirectory
from tests.support.depot.imported import change_lock, import_now, signed_bundle
from tests.support.documents.bundles import write_bundle
from tests.support.documents.content import Maker, sample
from tests.support.registries.referrers import SIGNATURE, SIMPLE_SIGNING, ImageSigner
from tests.support.registries.signing import NAME, NOW, by_key, simple_payload
from tests.support.trust.release_kit import ReleaseKit, enrolled, make_release
from tests.support.trust.signature_rules import WAIVED
from tests.support.trust.sigstore_world import b64

WAIVER = """\
  - images: ["**"]
    unsigned: {reason: r, approvedBy: Site, ticket: S-1, expires: "%s"}
"""
POLICY = "apiVersion: isoward/v1\nkind: SitePolicy\nsignatures:\n"


class SignedBundle:
    """A lock of one image that `signer` signed, and its blobs."""

    def __init__(self, signer: ImageSigner) -> None:
        self.make = Maker()
        self.signer = signer
        image = self.make.index(f"{NAME}:2.1", ("linux/amd64",))
        payload = simple_payload(image.digest)
        layer = self.make.put(payload)
        self.payload = layer.digest
        annotations = {SIGNATURE: b64(signer.sign(payload))}
        config = self.make.put(b"{}")
        body = {
            "schemaVersion": 2,
            "config": self.make.descriptor(config, "application/vnd.oci.empty.v1+json"),
            "layers": [self.make.descriptor(layer, SIMPLE_SIGNING, annotations=annotations)],
        }
        made = self.make.put(json.dumps(body).encode())
        self.signature = LockedReferrer(
            digest=made.digest,
            size=made.size,
            media_type="application/vnd.oci.image.manifest.v1+json",
            config=config,
            layers=(layer,),
            subject=image.digest,
            via="cosign-tag",
            tag=f"sha256-{hex_of(image.digest)}.sig",
        )
        self.image = replace(image, referrers=(self.signature,), verified=(self.verified(signer),))

    def verified(self, by: ImageSigner) -> VerifiedBy:
        """Return what a lock says of this signature."""
        return VerifiedBy(
            rule=0,
            method="cosign",
            signer=load_upstream_key(by.public_pem.decode()).fingerprint,
            digest=self.signature.digest,
            subject=self.signature.subject,
        )

    def lock(self, *rules: SignatureRule, image: LockedArtifact | None = None) -> Lock:
        base, _ = sample(Maker())
        return change_lock(
            base,
            images=(image or self.image,),
            charts=(),
            files=(),
            signatures=rules or (by_key(self.signer),),
        )

    def write(self, path: Path, lock: Lock | None = None) -> tuple[BundleDirectory, Manifest]:
        """Write the bundle, without trust metadata."""
        plan = write_bundle(path, lock or self.lock(), self.make.blobs)
        return BundleDirectory(path), plan.manifest


@pytest.fixture
def bundle(signer: ImageSigner) -> SignedBundle:
    return SignedBundle(signer)


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> ReleaseKit:
    return make_release(tmp_path_factory.mktemp("vendor"))


def _blob(directory: BundleDirectory, digest: str) -> Path:
    return directory.path / directory.blob_name(digest)


def test_a_good_bundle(bundle: SignedBundle, tmp_path: Path) -> None:
    checked = check_upstream(*bundle.write(tmp_path / "b"), NOW)
    assert checked.bundle == {f"{NAME}:2.1": bundle.image.verified}
    assert checked.site == {}


def test_a_payload_that_was_altered_on_the_medium(bundle: SignedBundle, tmp_path: Path) -> None:
    directory, manifest = bundle.write(tmp_path / "b")
    path = _blob(directory, bundle.payload)
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    with pytest.raises(DigestMismatchError, match=path.name):
        check_upstream(directory, manifest, NOW)


def test_a_signature_that_is_missing_on_the_medium(bundle: SignedBundle, tmp_path: Path) -> None:
    directory, manifest = bundle.write(tmp_path / "b")
    _blob(directory, bundle.signature.digest).unlink()
    with pytest.raises(MissingBlobError):
        check_upstream(directory, manifest, NOW)


@pytest.mark.parametrize("change", [b"", b"x" * 10_000_000])
def test_a_signature_of_another_size(bundle: SignedBundle, tmp_path: Path, change: bytes) -> None:
    directory, manifest = bundle.write(tmp_path / "b")
    _blob(directory, bundle.signature.digest).write_bytes(change)
    with pytest.raises(SizeMismatchError):
        check_upstream(directory, manifest, NOW)


def test_a_bundle_whose_signature_was_left_out(bundle: SignedBundle, tmp_path: Path) -> None:
    stripped = replace(bundle.image, referrers=())
    written = bundle.write(tmp_path / "b", bundle.lock(image=stripped))
    with pytest.raises(UnsignedError, match="found none"):
        check_upstream(*written, NOW)


def test_a_bundle_by_another_key(
    bundle: SignedBundle, stranger: ImageSigner, tmp_path: Path
) -> None:
    written = bundle.write(tmp_path / "b", bundle.lock(by_key(stranger)))
    with pytest.raises(UnsignedError, match="not made by this key"):
        check_upstream(*written, NOW)


def test_a_bundle_that_claims_another_signer(
    bundle: SignedBundle, stranger: ImageSigner, tmp_path: Path
) -> None:
    claimed = (*bundle.image.verified, bundle.verified(stranger))
    written = bundle.write(
        tmp_path / "b", bundle.lock(image=replace(bundle.image, verified=claimed))
    )
    with pytest.raises(PolicyError, match="says it was verified by"):
        check_upstream(*written, NOW)


def test_a_bundle_that_claims_nothing(bundle: SignedBundle, tmp_path: Path) -> None:
    silent = replace(bundle.image, verified=())
    with pytest.raises(PolicyError, match="verified by none"):
        check_upstream(*bundle.write(tmp_path / "b", bundle.lock(image=silent)), NOW)


def test_a_bundle_without_rules(bundle: SignedBundle, tmp_path: Path) -> None:
    lock = change_lock(bundle.lock(), signatures=())
    with pytest.raises(UnsignedError, match="no rule in the signatures: of the bundle"):
        check_upstream(*bundle.write(tmp_path / "b", lock), NOW)


def _site(depot: Path, text: str) -> tuple[SignatureRule, ...]:
    depot.mkdir(exist_ok=True)
    (depot / "policy.yaml").write_text(POLICY + text)
    return load_site_policy(depot)


def _key_rule(key: str) -> str:
    return f"  - images: [registry.example.org/**]\n    cosign: {{key: {key}}}\n"


def test_both_policies_must_pass(
    bundle: SignedBundle, stranger: ImageSigner, tmp_path: Path
) -> None:
    depot = tmp_path / "depot"
    depot.mkdir()
    (depot / "good.pub").write_bytes(bundle.signer.public_pem)
    (depot / "other.pub").write_bytes(stranger.public_pem)
    written = bundle.write(tmp_path / "b")
    checked = check_upstream(*written, NOW, _site(depot, _key_rule("good.pub")))
    assert checked.site == checked.bundle
    with pytest.raises(UnsignedError, match="not made by this key"):
        check_upstream(*written, NOW, _site(depot, _key_rule("other.pub")))


def test_a_site_cannot_loosen(bundle: SignedBundle, stranger: ImageSigner, tmp_path: Path) -> None:
    written = bundle.write(tmp_path / "b", bundle.lock(by_key(stranger)))
    with pytest.raises(UnsignedError, match="not made by this key"):
        check_upstream(*written, NOW, _site(tmp_path / "depot", WAIVER % "2099-12-31"))


def test_a_sites_policy_is_complete(bundle: SignedBundle, tmp_path: Path) -> None:
    rules = _site(tmp_path / "depot", (WAIVER % "2099-12-31").replace("**", "quay.io/**"))
    with pytest.raises(UnsignedError, match="of the site's policy matches"):
        check_upstream(*bundle.write(tmp_path / "b"), NOW, rules)


def test_a_sites_waiver_ends(bundle: SignedBundle, tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="expired on 2020-01-01"):
        check_upstream(
            *bundle.write(tmp_path / "b"), NOW, _site(tmp_path / "depot", WAIVER % "2020-01-01")
        )


def test_no_policy_adds_nothing(tmp_path: Path) -> None:
    assert load_site_policy(tmp_path) == ()


@pytest.mark.parametrize(
    "text",
    ["", "  - images: [a]\n", _key_rule("missing.pub"), WAIVER % "2020-02-30", "  - {}\n"],
)
def test_a_policy_that_is_wrong_is_not_no_policy(tmp_path: Path, text: str) -> None:
    with pytest.raises(DefinitionError):
        _site(tmp_path, text)


def test_a_policy_that_is_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").symlink_to(tmp_path / "gone")
    with pytest.raises(Exception, match=r"policy\.yaml"):
        load_site_policy(tmp_path)


@pytest.mark.parametrize("expires", ["today", "yesterday"])
def test_an_import_when_a_waiver_has_ended(kit: ReleaseKit, tmp_path: Path, expires: str) -> None:
    lock, blobs = sample()
    day = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=expires == "yesterday")
    (rule,) = lock.signatures
    assert rule.unsigned is not None
    rule = replace(rule, unsigned=replace(rule.unsigned, expires=day.isoformat()))
    waived = replace(WAIVED, expires=day.isoformat())
    images = tuple(replace(image, verified=(waived,)) for image in lock.images)
    ended = change_lock(lock, images=images, signatures=(rule,))
    made = signed_bundle(tmp_path / "bundle", kit, ended, blobs)
    enrolled(tmp_path / "depot", kit)
    if expires == "today":
        import_now(made, tmp_path / "depot")
        return
    with pytest.raises(PolicyError, match="TEST-1"):
        import_now(made, tmp_path / "depot")
    assert DepotDirectory(tmp_path / "depot").bundle_names() == frozenset()


def test_an_import_by_the_sites_policy(
    kit: ReleaseKit, bundle: SignedBundle, stranger: ImageSigner, tmp_path: Path
) -> None:
    made = signed_bundle(tmp_path / "bundle", kit, bundle.lock(), bundle.make.blobs)
    depot = tmp_path / "depot"
    enrolled(depot, kit)
    (depot / "policy").mkdir()
    (depot / "policy" / "other.pub").write_bytes(stranger.public_pem)
    _site(depot, _key_rule("policy/other.pub"))
    with pytest.raises(UnsignedError, match="not made by this key"):
        import_now(made, depot)
    assert DepotDirectory(depot).bundle_names() == frozenset()
    (depot / "policy" / "other.pub").write_bytes(bundle.signer.public_pem)
    import_now(made, depot)


def test_verify_says_it_too(
    kit: ReleaseKit, bundle: SignedBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stripped = bundle.lock(image=replace(bundle.image, referrers=()))
    made = signed_bundle(tmp_path / "bundle", kit, stripped, bundle.make.blobs)
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(made), "--fingerprint", kit.fingerprint])
    assert ended.value.code == UnsignedError.exit_code
    assert "found none" in capsys.readouterr().err


def test_inspect_shows_by_what(
    bundle: SignedBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle.write(tmp_path / "b")
    for arguments in ([], ["--json"]):
        with pytest.raises(SystemExit):
            main(["inspect", str(tmp_path / "b"), *arguments])
        said = capsys.readouterr().out
        assert bundle.image.verified[0].signer in said
