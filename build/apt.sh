#!/usr/bin/env bash
# Fetches Debian packages as files, without root and without touching the
# system's own package lists: a private list per architecture below out/apt.
#
#   build/apt.sh ARCH DIR PACKAGE...    ARCH: x86_64 | aarch64
#   build/apt.sh ARCH DIR --kernel 6.12 the newest cloud kernel of that series
#
# Each package lands in DIR as NAME_VERSION_ARCH.deb; one that is there in the
# wanted version is not fetched again. The mirror is the one that this machine
# already uses; bookworm-backports is added to it for the 6.12 kernels.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
machine=$1 dir=$2
shift 2
case $machine in
x86_64) arch=amd64 ;;
aarch64) arch=arm64 ;;
*) echo "build/apt.sh: architecture $machine: allowed are x86_64 and aarch64" >&2; exit 2 ;;
esac

command -v apt-get >/dev/null || {
    echo "build/apt.sh: apt-get is not here: Debian packages (kernels, busybox, redis) come by apt, so run this on Debian or Ubuntu" >&2
    exit 1
}

state=$top/out/apt/$arch
mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$dir"

# The Debian mirror of this machine, from either form of source list.
mirror() {
    sed -nE 's/^URIs: *([^ ]+\/debian)\/? *$/\1/p' /etc/apt/sources.list.d/*.sources 2>/dev/null || true
    sed -nE 's/^deb +(\[[^]]*\] +)?([^ ]+\/debian)\/? .*/\2/p' /etc/apt/sources.list 2>/dev/null || true
}
uri=$(mirror | head -n 1 || true)
[ -n "$uri" ] || { echo "build/apt.sh: no Debian mirror in /etc/apt/sources.list*: add one" >&2; exit 1; }
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f $keyring ] || { echo "build/apt.sh: $keyring is not here: install debian-archive-keyring" >&2; exit 1; }

{
    echo "deb [signed-by=$keyring] $uri bookworm main"
    echo "deb [signed-by=$keyring] $uri bookworm-updates main"
    echo "deb [signed-by=$keyring] $uri bookworm-backports main"
    echo "deb [signed-by=$keyring] ${uri%/debian}/debian-security bookworm-security main"
} >"$state/sources.list"

apt=(-o "Dir::Etc::sourcelist=$state/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State=$state" -o "Dir::State::lists=$state/lists" -o Dir::State::status=/dev/null
    -o "Dir::Cache=$state/cache" -o APT::Architecture=$arch -o APT::Architectures=$arch
    -o APT::Get::List-Cleanup=false -o APT::Sandbox::User= -o Debug::NoLocking=true)

# Lists older than a day are fetched again, under a lock: make runs jobs at once.
exec 9>"$state/lock"
flock 9
if [ -z "$(find "$state/updated" -mtime -1 2>/dev/null)" ]; then
    echo "fetching Debian's $arch package lists" >&2
    apt-get "${apt[@]}" -qq update >&2
    touch "$state/updated"
fi

# Signed kernels come as linux-image-V-cloud-ARCH, and -unsigned before they are signed.
newest_kernel() {
    local series=${1//./\\.}
    apt-cache "${apt[@]}" pkgnames linux-image- |
        grep -E "^linux-image-$series\.[0-9.+a-z-]*cloud-$arch(-unsigned)?$" |
        sed -E 's/-unsigned$/~unsigned/' | sort -V | tail -n 1 | sed 's/~unsigned$/-unsigned/'
}

packages=()
while [ $# -gt 0 ]; do
    if [ "$1" = --kernel ]; then
        name=$(newest_kernel "$2")
        [ -n "$name" ] || { echo "build/apt.sh: no cloud kernel $2 for $arch on this mirror" >&2; exit 1; }
        packages+=("$name")
        shift
    else
        packages+=("$1")
    fi
    shift
done

# `apt-get download` fetches into the current folder and skips what is there whole.
cd "$dir"
apt-get "${apt[@]}" -q download "${packages[@]}" 2>&1 | grep -vE '^(Get:|Fetched|Hit|Ign)' >&2 || true

# The newest file of each name stays; say so if one did not arrive.
for package in "${packages[@]}"; do
    newest=$(ls -t "${package%%=*}"_*.deb 2>/dev/null | head -n 1)
    [ -n "$newest" ] || { echo "build/apt.sh: $package for $arch could not be fetched" >&2; exit 1; }
    for file in "${package%%=*}"_*.deb; do
        [ "$file" = "$newest" ] || rm -- "$file"
    done
    echo "$dir/$newest"
done
