#!/bin/sh
# Installs isoward @ISOWARD@ from this medium, on a machine without a network.
#
# First verify the medium as VERIFY.txt says; its last step is about this file. What this script
# checks by itself finds damage, not forgery: whoever can change a blob can change this script.
#
#     sh install.sh                    as root: into /opt/isoward, linked as /usr/local/bin/isoward
#     sh install.sh --prefix FOLDER    into a folder of yours
#
# It takes a Python of this machine (@PYTHONS@), or as root installs one from the medium's
# packages, whose signatures apt or dnf checks. It needs a glibc Linux on @MACHINES@.
#
# Exit codes: 0 it is installed; 2 asked wrongly; 12 the disk refused; 15 a program failed;
# 16 no Python, or another machine; 20 damaged; 23 something is missing; 130 interrupted.
# shellcheck disable=SC2317 # what a trap calls is reached
set -eu
umask 022
LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export LC_ALL PATH
unset PYTHONHOME PYTHONPATH
isoward='@ISOWARD@'
pythons='@PYTHONS@'
machines='@MACHINES@'
pip='@PIP@'
link=/usr/local/bin/isoward
prefix=/opt/isoward
linked=yes
work=
made=

main() {
    read_arguments "$@"
    medium=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
    trap clean_up EXIT
    trap 'exit 130' HUP INT TERM
    check_machine
    make_work
    check_medium
    if is_there; then
        say "isoward $isoward of this medium is in $prefix already"
    else
        wheels >"$work/table"
        take "$work/wheels"
        find_python || install_python
        make_environment
        point_to_environment
    fi
    tell
    # A shell reads a script as it goes, and must not read on in one that has changed meanwhile.
    exit 0
}

say() {
    printf '%s\n' "$1"
}

# fail CODE MESSAGE HINT
fail() {
    printf 'install.sh: %s\n  %s\n' "$2" "$3" >&2
    exit "$1"
}

clean_up() {
    code=$?
    trap '' HUP INT TERM
    if [ -n "$made" ]; then rm -rf -- "$made"; fi
    if [ -n "$work" ]; then rm -rf -- "$work"; fi
    exit "$code"
}

read_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
        --prefix)
            [ $# -ge 2 ] || fail 2 '--prefix: expected a folder' 'Name one after it.'
            prefix=$2
            linked=no
            shift 2
            ;;
        -h | --help)
            sed -e '/^# shellcheck/,$d' -e '1d' -e 's/^# \{0,1\}//' "$0"
            exit 0
            ;;
        *) fail 2 "unknown argument: $1" 'Write: sh install.sh [--prefix FOLDER]' ;;
        esac
    done
    case $prefix in
    '' | *'
'*) fail 2 '--prefix: not the name of a folder' 'Name one in a single line.' ;;
    /*) ;;
    *) prefix=$PWD/$prefix ;;
    esac
}

check_machine() {
    machine=$(uname -m)
    case " $machines " in
    *" $machine "*) ;;
    *) fail 16 "expected a machine of: $machines; found $machine" 'Take a medium for it.' ;;
    esac
    if [ "$linked" = yes ] && [ -e "$link" ]; then
        case $(readlink -- "$link") in
        "$prefix"/*) ;;
        *) fail 2 "$link exists, and is not of $prefix" 'Move it away, or use --prefix FOLDER.' ;;
        esac
    fi
}

# A folder that nobody else can read or change, for copies of what will be used.
make_work() {
    place=${TMPDIR:-/tmp}
    case $(ls -ldL -- "$place" 2>/dev/null) in
    d???????w[!tT]*)
        fail 2 "$place: everybody may rename what is in it" 'Set TMPDIR to a folder of your own.'
        ;;
    esac
    work=$(mktemp -d "$place/isoward.XXXXXXXX") ||
        fail 12 'cannot make a temporary folder' 'Set TMPDIR to a folder that can be written.'
    chmod 700 "$work"
}

check_medium() {
    for file in SHA256SUMS bundle.json; do
        [ -f "$medium/$file" ] ||
            fail 23 "$medium has no $file" 'Run install.sh where it lies on the medium.'
    done
    grep -x '[0-9a-f]\{64\}  install\.sh' "$medium/SHA256SUMS" >"$work/sums" ||
        fail 23 'SHA256SUMS does not list install.sh' 'Verify the medium as VERIFY.txt says.'
    id=$(cut -c 1-64 "$work/sums")
    check_sums "$medium"
}

# check_sums FOLDER: the files in it are as $work/sums says.
check_sums() {
    if ! (cd -- "$1" && sha256sum -c "$work/sums") >"$work/checked" 2>&1; then
        grep -v ': OK$' "$work/checked" >&2 || :
        fail 20 "$medium is damaged: it is not what its SHA256SUMS says" 'Copy the medium again.'
    fi
}

# take FOLDER: copies the blobs that $work/table names, checks the copies, and gives them their
# names in FOLDER. From then on nothing is read from the medium, which may change at any time.
take() {
    sed 's|^\([0-9a-f]\{64\}\) .*|\1  blobs/sha256/\1|' "$work/table" | sort -u >"$work/sums"
    grep -x -F -f "$work/sums" "$medium/SHA256SUMS" >"$work/listed" || :
    if [ "$(sort -u "$work/listed" | wc -l)" -ne "$(wc -l <"$work/sums")" ]; then
        fail 23 'SHA256SUMS does not list all that install.sh uses' \
            'The two are of different media, or damaged; copy the medium again.'
    fi
    require_space
    mkdir -p "$work/copy/blobs/sha256"
    while read -r digest path; do
        blob=blobs/sha256/$digest
        # One that is missing is told by the check of all.
        [ -f "$medium/$blob" ] || continue
        [ -f "$work/copy/$blob" ] || cp -- "$medium/$blob" "$work/copy/$blob" ||
            fail 12 "cannot copy $blob to $work" 'Set TMPDIR to a folder with more space.'
    done <"$work/table"
    check_sums "$work/copy"
    while read -r digest path; do
        mkdir -p "$1/$(dirname "$path")"
        ln "$work/copy/blobs/sha256/$digest" "$1/$path" 2>/dev/null ||
            cp "$work/copy/blobs/sha256/$digest" "$1/$path" ||
            fail 12 "cannot write $1/$path" 'Set TMPDIR to a folder with more space.'
    done <"$work/table"
    rm -rf "$work/copy"
}

# For the copies of what $work/sums names.
require_space() {
    wanted=0
    while read -r digest blob; do
        [ -f "$medium/$blob" ] || continue
        wanted=$((wanted + $(wc -c <"$medium/$blob") / 1024 + 1))
    done <"$work/sums"
    free=$(free_in "$work")
    [ "$wanted" -lt "$free" ] ||
        fail 12 "expected $wanted KiB of space in $place, found $free KiB" \
            'Set TMPDIR to a folder with more space.'
}

# free_in FOLDER: the KiB that can still be written there.
free_in() {
    df -P -k "$1" | sed -n '2s/.* \([0-9][0-9]*\)  *[0-9]*%.*/\1/p'
}

# Whether this very medium was installed here, and what it made still runs.
is_there() {
    [ "$(cat "$prefix/current/medium" 2>/dev/null)" = "$id" ] &&
        [ "$("$prefix/current/bin/isoward" --version 2>/dev/null)" = "isoward $isoward" ]
}

find_python() {
    for program in $(for version in $pythons; do echo "python$version"; done) python3; do
        python=$(command -v "$program") || continue
        # shellcheck disable=SC2086 # one argument a version
        if "$python" -I -c "$probe" $pythons 2>/dev/null; then return 0; fi
    done
    return 1
}

probe='
import ctypes, os, ssl, sys, venv, zlib
os.confstr("CS_GNU_LIBC_VERSION")
version = "%d.%d" % sys.version_info[:2]
sys.exit(version not in sys.argv[1:] or sys.implementation.name != "cpython")'

install_python() {
    [ "$(id -u)" -eq 0 ] ||
        fail 16 "expected Python ($pythons), found none" 'Run this as root, which installs one.'
    system=$(name_system 2>/dev/null) || system='this system'
    packages "$system" >"$work/table"
    if [ ! -s "$work/table" ]; then
        fail 16 "expected Python ($pythons), found none, and the medium has none for $system" \
            'Install one from the media of the operating system, then run this again.'
    fi
    case $work in
    *[!A-Za-z0-9/._-]*) fail 2 "$work: apt and dnf want a plain name" 'Set TMPDIR to /tmp.' ;;
    esac
    say "installing Python for $system from the medium"
    take "$work/os"
    if ! install_packages "$system" >"$work/log" 2>&1; then
        tail -n 20 "$work/log" >&2
        fail 15 "$system could not install Python from the medium" 'See the lines above.'
    fi
    find_python || fail 16 "expected Python ($pythons), found none once it was installed" \
        'See which python3 this machine has.'
}

# As the medium names it: debian-12, ubuntu-24.04, rocky-9.
name_system() {
    # shellcheck source=/dev/null
    . /etc/os-release
    case $ID in
    ubuntu) echo "$ID-$VERSION_ID" ;;
    *) echo "$ID-${VERSION_ID%%.*}" ;;
    esac
}

# apt_install PACKAGE: from the lines of sources in $work/sources, with their signatures.
apt_install() {
    mkdir -p "$work/lists/partial" "$work/archives/partial"
    for step in update "install $1"; do
        # shellcheck disable=SC2086 # a word and a package
        DEBIAN_FRONTEND=noninteractive apt-get -q -y \
            -o Dir::Etc::SourceList="$work/sources" -o Dir::Etc::SourceParts=/dev/null \
            -o Dir::State::Lists="$work/lists" -o Dir::Cache::Archives="$work/archives" \
            -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root \
            -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none \
            -o Acquire::AllowInsecureRepositories=false -o APT::Update::Error-Mode=any \
            -o APT::Get::AllowUnauthenticated=false -o APT::Install-Recommends=false \
            $step || return 1
    done
}

# dnf_install PACKAGE: from the repositories in $work/sources, with their signatures.
dnf_install() {
    mkdir -p "$work/repos"
    cp "$work/sources" "$work/repos/medium.repo"
    dnf -y --setopt=reposdir="$work/repos" --setopt=cachedir="$work/cache" \
        --setopt=install_weak_deps=False install "$1"
}

# Beside what is there, under a name of its own: half an environment is never in use.
make_environment() {
    mkdir -p -- "$prefix" 2>/dev/null || :
    [ -w "$prefix" ] ||
        fail 12 "cannot write $prefix" 'Run this as root, or use --prefix FOLDER.'
    remove_leftovers
    made=$(mktemp -d "$prefix/$isoward-XXXXXXXX") ||
        fail 12 "cannot write $prefix" 'See how much space there is.'
    echo $$ >"$made/unfinished" || no_environment
    chmod 755 "$made"
    requirements >"$work/requirements.txt"
    say "installing isoward $isoward for $("$python" -V) into $prefix"
    "$python" -I -m venv --without-pip "$made" >"$work/log" 2>&1 || no_environment
    # The list is complete, so nothing is to be resolved: installed as it is, and then asked whether
    # something is missing.
    pip install --no-index --no-deps --find-links "$work/wheels" --require-hashes \
        --only-binary :all: --requirement "$work/requirements.txt" >"$work/log" 2>&1 ||
        no_environment
    pip check >"$work/log" 2>&1 || no_environment
    "$made/bin/isoward" --version >"$work/log" 2>&1 || no_environment
    [ "$(cat "$work/log")" = "isoward $isoward" ] || no_environment
    echo "$id" >"$made/medium" || no_environment
    rm "$made/unfinished"
}

# pip out of its own wheel, with no setting of this machine.
pip() {
    PIP_CONFIG_FILE=/dev/null "$made/bin/python" -I "$work/wheels/$pip/pip" --isolated \
        --disable-pip-version-check --no-input --no-cache-dir "$@"
}

no_environment() {
    tail -n 20 "$work/log" >&2
    fail 15 "isoward could not be installed into $prefix, where $(free_in "$prefix") KiB are free" \
        'See the lines above; nothing was changed.'
}

# What a run left that was killed; another that still runs is left alone.
remove_leftovers() {
    for file in "$prefix"/*/unfinished; do
        [ -f "$file" ] || continue
        if kill -0 "$(cat "$file")" 2>/dev/null; then continue; fi
        rm -rf -- "${file%/unfinished}"
    done
}

# A link is replaced by renaming another one over it, so there always is a whole one.
point_to_environment() {
    "$made/bin/python" -I -c '
import os, sys
target, link = sys.argv[1:]
aside = target + ".link"
os.symlink(os.path.basename(target), aside)
os.replace(aside, link)' "$made" "$prefix/current" ||
        fail 12 "cannot write $prefix/current" 'See what it is.'
    made=
}

tell() {
    command=$prefix/current/bin/isoward
    if [ "$linked" = yes ]; then
        if [ ! -e "$link" ]; then
            mkdir -p "$(dirname "$link")"
            ln -sf "$prefix/current/bin/isoward" "$link" ||
                fail 12 "cannot write $link" "Run it as $command."
        fi
        command=$link
    fi
    "$command" --version
    say "next: $command enroll '$medium' --depot FOLDER"
}

# The wheels: digest and file name.
wheels() {
cat <<'END'
#@WHEELS@
END
}

# What pip installs, each with the digests that it may have.
requirements() {
cat <<'END'
#@REQUIREMENTS@
END
}

# packages SYSTEM: digest and path of the packages and indexes that have a Python
packages() {
case "$1" in
#@PACKAGES@
*) return 0 ;;
esac
}

# install_packages SYSTEM: as root, once they have their names below $work/os
install_packages() {
case "$1" in
#@INSTALLATIONS@
*) return 0 ;;
esac
}
main "$@"
