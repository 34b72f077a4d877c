"""Hosts that a well-known service sends its clients to.

Each is the publisher's own or named exactly. A host that many share is good for the publisher's
part of it alone. For what is not here there is `allowedHosts`.

Source: Docker, "Allowlist"; registry.k8s.io, "archeio", docs/request-handling.md; Quay, "IP
addresses and DNS".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bundle.base.reference import DOCKER_HUB

_K8S_REGIONS: Final = (
    "asia-east1",
    "asia-northeast1",
    "asia-northeast2",
    "asia-south1",
    "australia-southeast1",
    "europe-north1",
    "europe-southwest1",
    "europe-west1",
    "europe-west10",
    "europe-west2",
    "europe-west3",
    "europe-west4",
    "europe-west8",
    "europe-west9",
    "southamerica-west1",
    "us-central1",
    "us-east1",
    "us-east4",
    "us-east5",
    "us-south1",
    "us-west1",
    "us-west2",
)
_K8S_BUCKETS: Final = (
    "ap-northeast-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "eu-central-1",
    "eu-south-1",
    "eu-west-1",
    "eu-west-2",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
)
_K8S_PARTS: Final = (
    "v2/k8s-artifacts-prod/",
    "artifacts-downloads/namespaces/k8s-artifacts-prod/",
)
"""Of Google's registry, where everybody has such a part."""

COMPANIONS: Final[Mapping[str, tuple[str, ...]]] = {
    DOCKER_HUB: (
        "registry-1.docker.io",
        "auth.docker.io",
        "production.cloudflare.docker.com",
        "production.cloudfront.docker.com",
        "docker-images-prod.6aa30f8b08e16409b46e0173d6de2f56.r2.cloudflarestorage.com",
    ),
    "dl.k8s.io": ("cdn.dl.k8s.io",),
    "gcr.io": tuple(
        f"storage.googleapis.com/{place}artifacts.*.appspot.com/"
        for place in ("", "asia.", "eu.", "us.")
    ),
    "ghcr.io": ("pkg-containers.githubusercontent.com",),
    "github.com": (
        "codeload.github.com",
        "objects.githubusercontent.com",
        "release-assets.githubusercontent.com",
    ),
    "mcr.microsoft.com": ("*.data.mcr.microsoft.com",),
    "quay.io": ("cdn.quay.io", "cdn01.quay.io", "cdn02.quay.io", "cdn03.quay.io"),
    "registry.k8s.io": (
        "cdn.registry.k8s.io",
        *(f"{region}-docker.pkg.dev/{part}" for region in _K8S_REGIONS for part in _K8S_PARTS),
        *(f"prod-registry-k8s-io-{r}.s3.dualstack.{r}.amazonaws.com" for r in _K8S_BUCKETS),
        *(
            f"storage.googleapis.com/{place}.artifacts.k8s-artifacts-prod.appspot.com/"
            for place in ("asia", "eu", "us")
        ),
    ),
}
"""By the host that is named: hosts, or a host and the part of it that is meant.

Buckets below appspot.com are made for projects, which no one else can: those that `*` stands for in
such a path are the projects of which gcr.io itself has images.
"""
