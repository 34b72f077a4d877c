"""What a failure is taken for: messages as Ansible, apt, kubeadm and containerd write them."""

from __future__ import annotations

import pytest

from installer.ansible_run.events import EventLog, Failure
from installer.ansible_run.explain import explain
from installer.ansible_run.known_failures import KNOWN
from tests.support.sites.cluster_step import Notes

_MESSAGES = [
    ("", "Failed to connect to the host via ssh: Host key verification failed.", "host key"),
    ("", "root@10.0.0.1: Permission denied (publickey,password).", "SSH key"),
    ("", "ssh: Could not resolve hostname n1.x: Temporary failure in name resolution", "finds no"),
    (
        "",
        'Load key "/k": error in libcrypto\nroot@n1: Permission denied (publickey).',
        "ssh.key names",
    ),
    ("", "Permissions 0644 for '/k' are too open.", "ssh.key names"),
    ("", "Password change required but no TTY available.", "runs nothing for it"),
    ("", 'Please login as the user "admin" rather than the user "root".', "runs nothing for it"),
    ("", "Incorrect sudo password", "sudoPassword is not the password"),
    ("", "sudo: 1 incorrect password attempt", "sudoPassword is not the password"),
    ("", "sudo: sorry, you must have a tty to run sudo", "requiretty"),
    ("", "Missing sudo password", "may not become root"),
    ("", "Timeout (12s) waiting for privilege escalation prompt: ", "may not become root"),
    ("", "cp: error writing '/tmp/x': No space left on device", "disk of node1 is full"),
    ("", "OSError: [Errno 30] Read-only file system: b'/etc/x'", "read-only"),
    ("", "/bin/sh: 1: /usr/bin/python3: not found", "no Python"),
    ("", "exit code 137", "out of memory"),
    ("", "exit code -9", "out of memory"),
    ("", "x509: certificate has expired or is not yet valid: current time 2020-01-01", "clock"),
    ("", "E: Release file for https://d/os/InRelease is not valid yet", "clock"),
    (
        "",
        "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct",
        "interrupted",
    ),
    ("", "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7", "another"),
    ("", "The following signatures couldn't be verified: NO_PUBKEY 0E98404D386FA1D9", "signature"),
    ("", "No package matching 'conntrack' is available", "needs on node1: conntrack"),
    ("", "E: Unable to locate package ipset", "needs on node1: ipset"),
    ("", "Failed to update apt cache: unknown reason", "depot's packages"),
    ("", "No match for argument: ipvsadm", "lacks packages"),
    (
        "container-engine/runc : Download_file | Download item",
        "the output has been hidden due to the fact that 'no_log: true' was specified",
        "could not fetch runc-1.4.2.amd64",
    ),
    ("", "The checksum for /tmp/releases/etcd did not match abc; it was def.", "does not match"),
    ("", "lookup registry.k8s.io: Temporary failure in name resolution", "outside of the depot"),
    ("", "tls: failed to verify certificate: x509: certificate signed by unknown authority", "CA"),
    ("", "x509: certificate is valid for depot, not 10.0.0.9", "the name 10.0.0.9"),
    ("", "failed to authorize: unexpected status: 401 Unauthorized", "requires a login"),
    ("", 'failed to resolve reference "registry.k8s.io/pause:3.10.1": not found', "have an image"),
    ("", "modprobe: FATAL: Module ip_vs_wrr not found in directory", "no module ip_vs_wrr"),
    ("", "[ERROR Swap]: running with swap on is not supported.", "swap"),
    ("", "[ERROR Port-10250]: Port 10250 is in use", "taken on node1: 10250"),
    (
        "",
        "[ERROR FileAvailable--etc-kubernetes-kubelet.conf]: /etc/kubernetes/kubelet.conf exists",
        "remains of another cluster: /etc/kubernetes/kubelet.conf exists",
    ),
    ("", "[ERROR NumCPU]: the number of available CPUs 1 is less than 2", "too small"),
    ("", "kubelet is configured to not run on a host using cgroup v1", "control groups"),
    ("", 'hostname "node7" could not be reached', "name differs"),
    ("", 'Error from server (NotFound): nodes "node1" not found', "name differs"),
    ("", "[kubelet-check] The kubelet is not healthy after 4m0s", "kubelet of node1"),
    (
        "etcd : Configure | Wait for etcd cluster to be healthy",
        "https://10.0.0.1:2379 is unhealthy: context deadline exceeded",
        "etcd is not healthy",
    ),
    (
        "",
        "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host",
        "API server does not answer",
    ),
    ("", "exit code 124", "too slow"),
    (
        "validate_inventory : Stop if even number of etcd hosts",
        "Assertion failed",
        "refuses a setting",
    ),
    ("", "The task includes an option with an undefined variable. 'foo' is undefined", "foo"),
]


@pytest.mark.parametrize(("where", "words", "cause"), _MESSAGES)
def test_a_known_failure_has_its_cause(where: str, words: str, cause: str) -> None:
    role, _, task = where.partition(" : ")
    failure = Failure("node1", task, words, False, role, words, "runc-1.4.2.amd64")
    found = explain(failure)
    assert found is not None
    assert cause in found.cause
    assert found.advice.endswith((".", "hosts`."))
    assert "{" not in found.cause + found.advice


def test_a_node_that_went_away_is_told_from_one_that_refuses_a_connection() -> None:
    words = "ssh: connect to host 10.0.0.1 port 22: Connection refused"
    lost = explain(Failure("node1", "t", words, True))
    assert lost is not None
    assert "is gone" in lost.cause
    assert explain(Failure("node1", "t", words, False)) is None


def test_what_is_not_known_is_not_explained() -> None:
    assert explain(Failure("node1", "t", "something else altogether", False)) is None


def test_every_row_can_be_reached() -> None:
    assert len(_MESSAGES) >= len(KNOWN) - 6


def _event(kind: str, **data: object) -> dict[str, object]:
    return {"event": kind, "event_data": {"host": "node1", "task": "t", **data}}


def test_a_failure_that_the_playbook_made_good_is_none() -> None:
    log = EventLog(Notes())
    log.take(_event("runner_on_failed", res={"msg": "first try"}))
    log.take(_event("runner_on_start", task="the rescue"))
    log.take(_event("runner_on_ok", task="the rescue", res={}))
    log.take({"event": "playbook_on_stats", "event_data": {"ok": {"node1": 2}}})
    assert log.failures == []
    assert log.is_complete(["node1"])


def test_a_failure_after_which_only_a_handler_ran_is_still_named() -> None:
    log = EventLog(Notes())
    log.take(_event("runner_on_failed", res={"msg": "the cause"}))
    log.take(_event("runner_on_ok", task="a handler", res={}))
    stats = {"ok": {"node1": 2}, "failures": {"node1": 1}}
    log.take({"event": "playbook_on_stats", "event_data": stats})
    assert [failure.reason for failure in log.failures] == ["the cause"]


def test_a_hidden_download_is_named_by_what_was_told_before() -> None:
    log = EventLog(Notes())
    facts = {"ansible_facts": {"file_path_cached": "/tmp/kubespray_cache/kubeadm-1.35.4-amd64"}}
    log.take(_event("runner_on_ok", task="Set pathname", task_action="set_fact", res=facts))
    censored = {"censored": "the output has been hidden due to the fact that 'no_log: true'"}
    data = {"role": "download", "task": "Download_file | Download item"}
    log.take(_event("runner_on_failed", res=censored, **data))
    (failure,) = log.failures
    assert failure.item == "kubeadm-1.35.4-amd64"
    found = explain(failure)
    assert found is not None
    assert "kubeadm-1.35.4-amd64" in found.cause
