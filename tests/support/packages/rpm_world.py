"""A small rpm distribution of our own making: packages by rpmbuild, signed as Rocky signs its own.

Two repositories with dependencies between them, by file, by capability and by name; a package in
two versions, a weak dependency, a module with two streams, and packages that must be refused.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

X86 = "x86_64"
ARM = "aarch64"
_DEFINES = {
    "__os_install_post": "%{nil}",
    "debug_package": "%{nil}",
    "_build_id_links": "none",
    "_rpmfilename": "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
    # Without it rpm looks for a gpg2, which Debian does not have.
    "__gpg": "/usr/bin/gpg",
}


@dataclass(frozen=True)
class Rpm:
    """A package to make.

    Attributes:
        evr: `epoch:version-release`, or without the epoch.
        lines: Further lines of the preamble, such as `Requires: x`.
        files: Paths in it.
        architecture: Of the target, or `noarch`.
    """

    name: str
    evr: str
    lines: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    architecture: str = X86

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.evr.rpartition(':')[2]}.{self.architecture}.rpm"

    @property
    def spec(self) -> str:
        epoch, _, rest = self.evr.rpartition(":")
        version, _, release = rest.rpartition("-")
        noarch = "BuildArch: noarch\n" if self.architecture == "noarch" else ""
        made = "".join(
            f"mkdir -p %{{buildroot}}{Path(f).parent}\necho {self.name} > %{{buildroot}}{f}\n"
            for f in self.files
        )
        return (
            f"Name: {self.name}\nVersion: {version}\nRelease: {release}\n"
            + (f"Epoch: {epoch}\n" if epoch else "")
            + f"Summary: {self.name}\nLicense: MIT\nAutoReqProv: no\n{noarch}"
            + "".join(f"{line}\n" for line in self.lines)
            + f"%description\nMade for a test.\n%install\ntrue\n{made}%files\n"
            + "".join(f"{f}\n" for f in self.files)
        )


LIBRARY = "libnetfilter_conntrack.so.3()(64bit)"
BASEOS = (
    Rpm("bash", "5.1.8-9.el9", files=("/usr/bin/bash",)),
    # Marks that an address must quote.
    Rpm("helper++", "2.0~rc1^git7-1.el9", files=("/opt/helper/tool",), architecture="noarch"),
    Rpm("libnetfilter_conntrack", "1.0.8-4.el9", (f"Provides: {LIBRARY}",), ("/usr/lib64/l.so",)),
    Rpm("libnetfilter_conntrack", "1.0.9-1.el9", (f"Provides: {LIBRARY}",), ("/usr/lib64/l.so",)),
)
APPSTREAM = (
    Rpm(
        "conntrack-tools",
        "1.4.7-2.el9",
        (
            "Provides: conntrack = 1.4.7",
            "Requires: /usr/bin/bash",
            "Requires: /opt/helper/tool",
            f"Requires: {LIBRARY}",
            "Recommends: conntrack-docs",
            "Suggests: conntrack-extra",
        ),
        ("/usr/sbin/conntrack",),
    ),
    Rpm("conntrack-docs", "1.4.7-2.el9", files=("/usr/share/doc/c",), architecture="noarch"),
    Rpm("conntrack-extra", "1.4.7-2.el9", files=("/usr/share/doc/e",), architecture="noarch"),
    Rpm("socat", "1:1.7.4.1-6.el9", ("Requires: bash",), ("/usr/bin/socat",)),
    Rpm("lonely", "1-1.el9", ("Requires: nobody-has-this",)),
    Rpm("toolkit", "1.0-1.module_el9", files=("/usr/bin/toolkit",)),
    Rpm("toolkit", "2.0-1.module_el9", files=("/usr/bin/toolkit",)),
)
ON_ARM = (
    Rpm("bash", "5.1.8-9.el9", files=("/usr/bin/bash",), architecture=ARM),
    Rpm("socat", "1:1.7.4.1-6.el9", ("Requires: bash",), ("/usr/bin/socat",), ARM),
)
MODULES = (
    "".join(
        f"""---
document: modulemd
version: 2
data:
  name: toolkit
  stream: "{stream}"
  version: 9000
  context: 0123abcd
  arch: x86_64
  summary: toolkit
  description: toolkit
  license: {{module: [MIT]}}
  dependencies: [{{requires: {{platform: [el9]}}}}]
  artifacts: {{rpms: ["toolkit-0:{stream}.0-1.module_el9.x86_64"]}}
...
"""
        for stream in "12"
    )
    + """---
document: modulemd-defaults
version: 1
data: {module: toolkit, stream: "1"}
...
"""
)


@dataclass(frozen=True)
class Signer:
    """An OpenPGP key in a home of its own.

    Attributes:
        home: GnuPG's.
        keyring: File with the public key, in ASCII armour.
    """

    home: Path
    keyring: Path

    def sign_packages(self, paths: Iterable[Path], *options: str) -> None:
        """Sign packages within themselves, in place of any other signature."""
        names = [str(path) for path in paths]
        run(["rpmsign", *_macros(), *options, "--resign", *names], self)

    def sign_index(self, repository: Path, *options: str) -> None:
        """Sign repodata/repomd.xml beside it."""
        index = repository / "repodata" / "repomd.xml"
        asc = index.with_name("repomd.xml.asc")
        asc.unlink(missing_ok=True)
        run(["gpg", "--batch", *options, "--armor", "--detach-sign", str(index)], self)


def new_signer(folder: Path) -> Signer:
    """Make a key; `end_signer` ends what GnuPG starts for it."""
    folder.mkdir(mode=0o700)
    made = Signer(folder, folder / "public.asc")
    run(
        [
            *("gpg", "--batch", "--passphrase", "", "--quick-gen-key"),
            *("Test Distribution <key@example.org>", "rsa2048", "sign", "never"),
        ],
        made,
    )
    run(["gpg", "--batch", "--armor", "--output", str(made.keyring), "--export"], made)
    return made


def end_signer(signer: Signer) -> None:
    """End the agent that GnuPG started in the key's home."""
    run(["gpgconf", "--kill", "gpg-agent"], signer)


@dataclass(frozen=True)
class RpmWorld:
    """Signed packages by their file names, and two keys.

    Attributes:
        folder: Of the world.
        packages: Folder of all packages, signed with `key`.
        key: The distribution's.
        stranger: Another one, which nobody trusts.
    """

    folder: Path
    packages: Path
    key: Signer
    stranger: Signer

    def repository(
        self, folder: Path, packages: Iterable[Rpm | Path], *, modules: str = "", sign: bool = True
    ) -> Path:
        """Make a signed repository of some packages, and return it.

        Args:
            folder: Where; new.
            packages: Of the world, or files of the test.
            modules: Text of modules.yaml, if there is to be one.
            sign: Whether repomd.xml is signed.
        """
        pool = folder / "Packages"
        pool.mkdir(parents=True)
        for package in packages:
            path = package if isinstance(package, Path) else self.packages / package.file_name
            shutil.copy(path, pool / path.name)
        return self.index(folder, modules=modules, sign=sign)

    def index(self, folder: Path, *options: str, modules: str = "", sign: bool = True) -> Path:
        """Make the metadata of a folder of packages, in place of any other."""
        # Newer ones compress by zstd unless they are told.
        form = "--general-compress-type=gz"
        run(["createrepo_c", "--quiet", "--no-database", form, *options, str(folder)])
        if modules:
            document = folder.with_name(f"{folder.name}-modules.yaml")
            document.write_text(modules)
            form = "--compress-type=gz"
            run(["modifyrepo_c", "--mdtype=modules", form, str(document), str(folder / "repodata")])
            document.unlink()
        if sign:
            self.key.sign_index(folder)
        return folder

    def weaken(self, folder: Path, algorithm: str) -> None:
        """Give the metadata true checksums of an old algorithm, which createrepo_c may not make.

        Args:
            folder: Of a repository that was indexed.
            algorithm: As repomd.xml calls it: `sha` or `md5`.
        """
        index = folder / "repodata" / "repomd.xml"
        text = index.read_text()
        for name in re.findall(r'<location href="([^"]+)"', text):
            data = (folder / name).read_bytes()
            found = hashlib.new({"sha": "sha1"}.get(algorithm, algorithm), data).hexdigest()
            strong = f'<checksum type="sha256">{hashlib.sha256(data).hexdigest()}<'
            assert strong in text
            text = text.replace(strong, f'<checksum type="{algorithm}">{found}<')
        index.write_text(text)
        self.key.sign_index(folder)


def make_world(folder: Path) -> RpmWorld:
    """Build and sign all packages."""
    made = RpmWorld(
        folder, folder / "rpms", new_signer(folder / "key"), new_signer(folder / "stranger")
    )
    build_rpms(folder / "build", (*BASEOS, *APPSTREAM, *ON_ARM), made.packages)
    made.key.sign_packages(sorted(made.packages.glob("*.rpm")))
    return made


def build_rpms(folder: Path, packages: Iterable[Rpm], output: Path) -> None:
    """Build packages without signing them, with one rpmbuild for each target."""
    targets: dict[str, list[Path]] = {}
    for number, package in enumerate(packages):
        target = X86 if package.architecture == "noarch" else package.architecture
        spec = folder / f"{number}.spec"
        spec.parent.mkdir(parents=True, exist_ok=True)
        spec.write_text(package.spec)
        targets.setdefault(target, []).append(spec)
    for target, specs in targets.items():
        defines = {"_topdir": str(folder), "_rpmdir": str(output), **_DEFINES}
        run(
            ["rpmbuild", "-bb", "--quiet", "--nodeps", "--target", target]
            + _options(defines)
            + [str(spec) for spec in specs],
        )


def change(path: Path, old: bytes, new: bytes) -> None:
    """Replace what must be there once or more."""
    data = path.read_bytes()
    assert old in data, (path, old)
    path.write_bytes(data.replace(old, new))


def run(argv: list[str], signer: Signer | None = None) -> None:
    """Run a program, which must succeed."""
    home = {"GNUPGHOME": str(signer.home), "HOME": str(signer.home)} if signer else {}
    done = subprocess.run(
        argv,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **home},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (argv, done.stdout[-2000:], done.stderr[-2000:])


def _macros() -> list[str]:
    return _options({**_DEFINES, "_gpg_name": "key@example.org"})


def _options(defines: Mapping[str, str]) -> list[str]:
    return [word for item in defines.items() for word in ("--define", " ".join(item))]
