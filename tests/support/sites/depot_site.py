"""A depot, and its application that is asked without a server."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from installer.depot.directory import DepotDirectory
from installer.serving.app import answer
from installer.serving.http import Reply, Request
from installer.serving.live import LiveDepot
from tests.support.trust.release_kit import ReleaseKit

WEB = "registry.example.org/app/web"


@dataclass
class Site:
    kit: ReleaseKit
    depot: DepotDirectory
    live: LiveDepot

    def ask(self, target: str, method: str = "GET", **headers: str) -> Reply:
        path, _, query = target.partition("?")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return asyncio.run(answer(self.live, Request(method, path, query, named)))

    def error(self, target: str, method: str = "GET") -> tuple[int, str]:
        made = self.ask(target, method)
        (error,) = json.loads(made.body)["errors"]
        assert error["message"]
        return made.status, error["code"]


def subjects(site: Site) -> tuple[str, str]:
    index = site.ask(f"/v2/{WEB}/manifests/2.1").header("docker-content-digest")
    listed = site.ask("/v2/registry.example.org/app/listed/manifests/1")
    return index, listed.header("docker-content-digest")
