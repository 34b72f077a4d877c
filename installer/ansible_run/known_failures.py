"""The table of known failures. Texts are for a person who has the site file, not the source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Known:
    """A known failure.

    Attributes:
        words: Pattern over all that the task said, without case.
        cause: Likely; may name `{node}`, `{item}` and the groups of `words`.
        advice: What to do.
        task: Pattern over role and task, where the words alone do not tell.
        unreachable: Whether the node must have been lost, or must not; None for either.
    """

    words: str
    cause: str
    advice: str
    task: str = ""
    unreachable: bool | None = None


_PREFLIGHT: Final = "`isoward preflight` finds it."

KNOWN: Final[tuple[Known, ...]] = (
    # The way to the node.
    Known(
        r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED",
        "{node} shows another host key than the site file pins: it was installed anew, or "
        "something else answers at its address",
        "Look at the machine's console; if it was reinstalled, pin its new key.",
    ),
    Known(
        r"ssh: Could not resolve hostname",
        "this machine finds no address for the name by which the site file reaches {node}",
        "Write the address itself in the site file, or the name into this machine's /etc/hosts.",
    ),
    Known(
        r"Load key [^\n]*: |Permissions [^\n]* for [^\n]* are too open|UNPROTECTED PRIVATE KEY",
        "ssh on this machine cannot read the private key that ssh.key names, or refuses its mode",
        "`isoward site check` explains what is wrong with it.",
    ),
    Known(
        r"assword change required|(password|account) has expired|lease login as the user|"
        r"This account is currently not available",
        "{node} lets the site's user in, and runs nothing for it: an account that has expired, has "
        "no shell, or is not the one to be used",
        f"Log in there by hand and follow what it says. {_PREFLIGHT}",
    ),
    Known(
        r"Permission denied \((publickey|[a-z,-]*publickey)",
        "{node} does not accept the site's SSH key for the site's user",
        "Put the public half of ssh.key into the user's authorized_keys there.",
    ),
    Known(
        r"Incorrect sudo password|incorrect (password|authentication) attempt",
        "sudoPassword is not the password of the site's user on {node}",
        "Correct it in the secrets file.",
    ),
    Known(
        r"must have a tty to run sudo",
        "sudo on {node} requires a terminal (requiretty)",
        "Disable requiretty for the site's user: Defaults:USER !requiretty in /etc/sudoers.d.",
    ),
    Known(
        r"sudo: a password is required|Missing sudo password|"
        r"interactive authentication is required|is not in the sudoers file|"
        r"Timeout \(\d+s\) waiting for privilege escalation",
        "the site's user may not become root on {node}, or only with another password",
        "Give it sudo without a password, or put sudoPassword into the secrets file.",
    ),
    Known(
        r"No space left on device|Disk quota exceeded|not enough free space|"
        r"Failed to create temporary directory",
        "a disk of {node} is full, or read-only",
        "Check `df -h` and `df -i` there, and free some space.",
    ),
    Known(
        r"Read-only file system",
        "a file system of {node} is read-only: damaged, or mounted that way",
        "Check `dmesg` and /proc/mounts there.",
    ),
    Known(
        r"Connection (timed out|refused|reset)|No route to host|Network is unreachable|"
        r"Broken pipe|closed by remote host|Shared connection .* closed|Operation timed out",
        "{node} is gone: powered off, restarting, or its network is down",
        "Make sure that it is up and answers, then run the same command again.",
        unreachable=True,
    ),
    Known(
        r"python3?: (command )?not found|No such file or directory[^\n]*python|"
        r"interpreter .* not found|requires a minimum of Python",
        "{node} has no Python that Ansible can use",
        "Install python3 there from the depot's packages.",
    ),
    # The node's memory and time.
    Known(
        r"exit code (-9|137)\b|\bKilled\b|Out of memory|Cannot allocate memory|MemoryError|"
        r"oom-kill",
        "{node} ran out of memory, and the kernel killed a program",
        "Give it more memory; `dmesg` there shows what was killed.",
    ),
    Known(
        r"not yet valid|certificate has expired|is not valid yet|Release file .* is not valid",
        "the clock of {node}, or of this machine, is wrong, or a certificate has expired",
        f"Compare `date -u` on all machines, and set the site's time servers. {_PREFLIGHT}",
    ),
    # Packages.
    Known(
        r"dpkg was interrupted|dpkg --configure -a",
        "an installation of packages on {node} was interrupted, such as by a power cut",
        "Run `dpkg --configure -a` there, or this command again, which does it first.",
    ),
    Known(
        r"Could not get lock /var/lib/(dpkg|apt)|dpkg frontend lock|Waiting for cache lock|"
        r"lock is held by|apt.*another process",
        "another program is installing packages on {node}, such as unattended-upgrades",
        "Wait for it, or stop it: `systemctl stop unattended-upgrades apt-daily.service`.",
    ),
    Known(
        r"NO_PUBKEY|is not signed|GPG error|signatures? (was|were|couldn't) .*verified|"
        r"GPG check FAILED|public key .* is not installed",
        "{node} does not trust the signature of the depot's packages",
        "Run the step hosts again, which puts the keyring there: `--from hosts`.",
    ),
    Known(
        r"Unable to locate package (?P<what>\S+)|No package matching '?(?P<which>[^' ]+)|"
        r"has no installation candidate|No match for argument|nothing provides|Depsolve Error|"
        r"unmet dependencies",
        "the depot lacks packages that Kubespray needs on {node}: {what}{which}",
        "Ask the vendor for a bundle whose osPackages have kubespray: true for this release.",
    ),
    Known(
        r"Failed to update apt cache|Failed to fetch|Unable to fetch|Failed to download metadata|"
        r"repomd\.xml|Cannot download",
        "{node} cannot read the depot's packages, or still has another source",
        "Run `apt-get update` or `dnf makecache` there and see which address it asks.",
    ),
    # Downloads and images.
    Known(
        r"checksum[^\n]*did not match|does not match checksum",
        "what {node} fetched does not match the inventory's checksum",
        "Check which override sets a checksum or a version; the bundle's own match.",
    ),
    Known(
        r"output has been hidden|censored",
        "{node} could not fetch {item} from the depot, or what came had another checksum; "
        "Kubespray hides the reason",
        "What the depot says of it follows, if it lacks something; try the URL with curl there.",
        task=r"download_file",
    ),
    Known(
        r"Temporary failure in name resolution|Could not resolve host|"
        r"Name or service not known|no such host",
        "something asked for a name that the site does not know: an address outside of the depot",
        "Check which URL it is: an override, or a part of Kubespray that the bundle leaves out.",
    ),
    Known(
        r"unknown authority|CERTIFICATE_VERIFY_FAILED|self.signed certificate|"
        r"unable to get local issuer",
        "{node} does not trust the depot's certificate: the site's CA is not there, or another",
        "Run the step hosts again, which puts the CA there: `--from hosts`.",
    ),
    Known(
        r"certificate is valid for (?P<names>[^\n]+?), not (?P<asked>[^\s\"']+)",
        "{node} asks by the name {asked}, which the certificate does not have",
        "Name the depot in the site file by an address that its certificate has.",
    ),
    Known(
        r"401 Unauthorized|unauthorized: authentication|pull access denied|403 Forbidden",
        "a registry requires a login: it is not the depot, which requires none",
        "See which registry the message names, and that containerd asks the depot for it.",
    ),
    Known(
        r"manifest unknown|failed to resolve reference|(not found|404)[^\n]*(manifest|image)|"
        r"ErrImagePull|ImagePullBackOff|failed to pull",
        "the depot does not have an image that {node} pulls",
        "Run `isoward install` with `--from depot`; it names what the depot lacks.",
    ),
    # The kernel.
    Known(
        r"(modprobe: FATAL: )?Module (?P<module>\S+) not found|modprobe: FATAL|"
        r"could not (load|insert) module",
        "the kernel of {node} has no module {module} that Kubernetes needs",
        "Install the full kernel package of the release, then restart the machine.",
    ),
    Known(
        r"br_netfilter|bridge-nf-call-iptables",
        "the kernel of {node} does not pass bridged traffic to the packet filter",
        "Load br_netfilter there: `modprobe br_netfilter`.",
    ),
    Known(
        r"cgroups? v1|failCgroupV1",
        "{node} uses control groups version 1, which this Kubernetes refuses",
        "Boot it with systemd.unified_cgroup_hierarchy=1, or use a newer release.",
    ),
    # kubeadm.
    Known(
        r"\[ERROR Swap\]|swap on is not supported|running with swap",
        "{node} has swap, with which the kubelet does not start",
        f"Run `swapoff -a` there and remove it from /etc/fstab. {_PREFLIGHT}",
    ),
    Known(
        r"\[ERROR Port-(?P<port>\d+)\]|Port (?P<other>\d+) is in use|address already in use",
        "a port that Kubernetes needs is taken on {node}: {port}{other}",
        f"Find what uses it with `ss -ltnp`; perhaps an older cluster. {_PREFLIGHT}",
    ),
    Known(
        r"\[ERROR (FileAvailable|DirAvailable)[^\]]*\]: (?P<what>[^\n]+)",
        "{node} has remains of another cluster: {what}",
        "Reset it, if none of that is needed: `kubeadm reset` there.",
    ),
    Known(
        r"\[ERROR (NumCPU|Mem)\]",
        "{node} is too small for a control plane, which needs 2 processors and 1700 MB",
        "Use a larger machine.",
    ),
    Known(
        r"\[ERROR CRI\]|container runtime is not running|containerd\.sock",
        "containerd does not run on {node}",
        "See `journalctl -u containerd` there.",
    ),
    Known(
        r"ip_forward",
        "{node} does not forward packets between its networks",
        "Set net.ipv4.ip_forward to 1 there, and find what resets it.",
    ),
    Known(
        r"hostname \"?(?P<name>[^\s\"]+)\"? could not be (reached|resolved)|"
        r"nodes? \"(?P<other>[^\"]+)\" not found|hostname .*differs",
        "the machine's name differs from the site file: {name}{other}",
        "Give it the site file's name: `hostnamectl set-hostname {node}`.",
    ),
    Known(
        r"(couldn't validate the identity|token .* (expired|invalid)|unable to fetch the "
        r"kubeadm-config)",
        "{node} could not join: the first control plane does not answer it, or its token expired",
        "Run the same command again, which makes a new token; then see the API server's log.",
    ),
    Known(
        r"kubelet (is not|isn't) running|kubelet[^\n]*(unhealthy|not healthy)|:10248/healthz",
        "the kubelet of {node} does not start",
        "See `journalctl -u kubelet` there; its last error says which setting it refuses.",
    ),
    # etcd and the API server.
    Known(
        r"unhealthy|context deadline exceeded|no leader|etcdserver: (request timed out|leader)|"
        r"failed to commit proposal",
        "etcd is not healthy: a member is down, cannot reach the others, or has a slow disk",
        f"See `journalctl -u etcd` on its members, and their clocks and disks. {_PREFLIGHT}",
        task=r"etcd",
    ),
    Known(
        r":6443[^\n]*(refused|timeout|timed out)|connection to the server [^\n]+ was refused|"
        r"timed out waiting for the condition|wait-control-plane|"
        r"Status code was -1 and not \[200\]",
        "the API server does not answer",
        "See `crictl ps -a` and the log of kube-apiserver on the first control plane.",
    ),
    Known(
        r"csr|certificatesigningrequest",
        "the certificate of a kubelet was not approved",
        "See `kubectl get csr` on the first control plane.",
        task=r"csr|approv",
    ),
    Known(
        r"exit code 124\b|Timeout when waiting for|timed out|timeout",
        "{node} was too slow, or waits for something that never comes",
        "Check how busy it is; then run the same command again, which resumes.",
    ),
    # The inventory.
    Known(
        r"Assertion failed|evaluated_to|assertion",
        "Kubespray refuses a setting",
        "Check which override it concerns.",
        task=r"validate|verify|assert|stop if|check",
    ),
    Known(
        r"'(?P<name>\w+)' is undefined|has no attribute '(?P<other>\w+)'",
        "a variable is missing: {name}{other}",
        "Check whether an override replaces a file that sets it.",
    ),
)
