"""The step `kubeconfig`: the operator gets the administrator's credentials, tried out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from bundle.base.errors import StepError, UnreachableError
from bundle.kinds.kubespray import plain_version
from bundle.store.atomic import write_atomic
from bundle.store.reading import read_bounded
from installer.core.step import Change, Context
from installer.kube.api_client import Answer, ApiClient, api_place
from installer.kube.kubeconfig_file import (
    MAX_KUBECONFIG_BYTES,
    Credentials,
    parse_kubeconfig,
    render_kubeconfig,
)
from installer.kube.kubectl import complaint, first_control_plane, machine_of
from installer.kubespray.settings import cluster_options

KUBECONFIG_NAME: Final = "kubeconfig"
ARTIFACT: Final = Path("inventory", "artifacts", "admin.conf")
"""Where Kubespray puts what it brought back, below the site's folder."""

ON_NODE: Final = "/etc/kubernetes/admin.conf"
_TRIES: Final = 30
_PAUSE_SECONDS: Final = 2.0
_ADMIN_ONLY: Final = "/api/v1/namespaces/kube-system"


class KubeconfigStep:
    """Checks the administrator's credentials, tries them, and writes them for the operator."""

    name = "kubeconfig"
    title = "Fetch the administrator's credentials"

    def __init__(
        self, *, on_node: str = ON_NODE, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Look where kubeadm writes them, unless a test has them elsewhere.

        Args:
            on_node: Path on the first control-plane node, for when Kubespray brought nothing back.
            sleep: Waits between questions, in seconds.
        """
        self._on_node = on_node
        self._sleep = sleep

    def changes(self, context: Context) -> Sequence[Change]:
        """Say what is written."""
        return [Change("this machine", f"writes {context.state / KUBECONFIG_NAME}, mode 600")]

    def inputs(self, context: Context) -> Mapping[str, Any]:
        """Return the API server's address and version."""
        return {
            "server": api_place(context.site).url,
            "version": _version(context),
        }

    def run(self, context: Context) -> Mapping[str, Any]:
        """Write the credentials only when the API server has taken them.

        Raises:
            UnreachableError: The API server does not answer this machine, or the node does not.
            StepError: The credentials are not as they should be, or the cluster is another one.
        """
        data, origin = _find(context, self._on_node)
        credentials = parse_kubeconfig(data, origin)
        place = api_place(context.site)
        client = ApiClient(place, credentials.ca, credentials)
        self._wait_ready(client, place.url)
        version = _found_version(client.get("/version"), place.url)
        if version != _version(context):
            raise StepError(
                f"{place.url}: expected Kubernetes {_version(context)}, found {version}",
                "Is it this site's cluster? If so, the step `cluster` has not finished.",
            )
        path = context.state / KUBECONFIG_NAME
        name = context.site.metadata.name
        write_atomic(path, render_kubeconfig(credentials, place.url, name), 0o600)
        context.progress.note(f"{place.url}: Kubernetes {version} is ready; {path} is written")
        return {"server": place.url, "version": version, "kubeconfig": str(path)}

    def _wait_ready(self, client: ApiClient, url: str) -> None:
        """Wait: the last tasks of Kubespray have the API server start again."""
        for _ in range(_TRIES):
            with suppress(UnreachableError):
                if client.get("/readyz").status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    break
            self._sleep(_PAUSE_SECONDS)
        ready = client.get("/readyz")
        if ready.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise StepError(
                f"{url}/readyz: expected status 200, found {ready.status}",
                "`kubectl get --raw /readyz?verbose` on the node says what is missing.",
            )
        # Whoever is known may ask whether it is ready; for this, only an administrator may.
        for answer in (ready, client.get(_ADMIN_ONLY)):
            if answer.status != HTTPStatus.OK:
                raise StepError(
                    f"{url}: expected the administrator's credentials to be taken, found status "
                    f"{answer.status}",
                    "Are they of this cluster? Repeat the step `cluster`: `--from cluster`.",
                )


def load_credentials(context: Context) -> Credentials:
    """Read what this step wrote.

    Raises:
        StepError: It is not there, or not what was written.
        StorageError: It cannot be read.
    """
    path = context.state / KUBECONFIG_NAME
    if not path.is_file():
        raise StepError(
            f"{path}: expected the administrator's credentials, found no such file",
            "The step `kubeconfig` writes it: run `isoward install` with --from kubeconfig.",
        )
    return parse_kubeconfig(read_bounded(path, MAX_KUBECONFIG_BYTES), str(path))


def _find(context: Context, on_node: str) -> tuple[bytes, str]:
    """Return a kubeconfig of the administrator's, and where it was found."""
    path = context.state / ARTIFACT
    if path.is_file():
        return read_bounded(path, MAX_KUBECONFIG_BYTES), str(path)
    node = first_control_plane(context.site)
    where = f"{node.name}: {on_node}"
    with context.connect(node) as shell:
        machine = machine_of(shell)
        result = shell.run(*machine.privileged, "cat", on_node)
    if result.code != 0:
        raise StepError(
            f"{where}: expected the administrator's credentials, found {complaint(result)}",
            "Did the step `cluster` finish?",
            {"node": node.name},
        )
    return result.out.encode(), where


def _found_version(answer: Answer, url: str) -> str:
    try:
        return plain_version(str(json.loads(answer.body)["gitVersion"])[:40])
    except (ValueError, KeyError, TypeError) as error:
        raise StepError(
            f"{url}/version: expected the version of Kubernetes, found status {answer.status} and "
            "something else",
            "Is it the address of this cluster's API server?",
        ) from error


def _version(context: Context) -> str:
    return plain_version(cluster_options(context.site).version)
