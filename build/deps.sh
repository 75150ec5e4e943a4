#!/usr/bin/env bash
# Installs what a step needs and what is not there yet, and says so first.
#
#   build/deps.sh build|run|test
#
# build: a C compiler, and what the guest's programs are compiled with
# run:   build, and QEMU and EFI for both architectures
# test:  run, and the real peers that the tests talk to
#
# With everything in place it does nothing and needs no rights. Otherwise it
# runs apt-get as root, through sudo where that asks for no password, or
# prints the commands that an administrator runs.
set -euo pipefail

step=${1:-}
machine=$(uname -m)
packages=()
backports=()
foreign=

has() { command -v "$1" >/dev/null 2>&1; }
musl_target() { has rustup && rustup target list --installed 2>/dev/null | grep -qx "$1-unknown-linux-musl"; }

has cargo || {
    echo "build/deps.sh: cargo is not here: install Rust (rustup, https://rustup.rs)" >&2
    exit 1
}

need_build() {
    has gcc || packages+=(gcc libc6-dev)
    case $machine in
    x86_64) other=aarch64 debian=arm64 ;;
    aarch64) other=x86_64 debian=amd64 ;;
    *) echo "build/deps.sh: this is $machine: Hullkit builds on x86_64 and aarch64" >&2; exit 1 ;;
    esac
    # C in the guest programs' dependencies.
    has "$other-linux-gnu-gcc" || packages+=("gcc-${other//_/-}-linux-gnu")
    # Rust: rustup's musl targets; without them Debian's compiler, its library
    # as source, and musl.
    if musl_target "$machine" && musl_target "$other"; then
        # The C library's headers of the other architecture, which its compiler
        # only recommends.
        [ -e "/usr/$other-linux-gnu/include/stdlib.h" ] || packages+=("libc6-dev-$debian-cross")
        return
    fi
    if ! [ -x /usr/bin/cargo ] ||
        ! [ -e "/usr/src/rustc-$(/usr/bin/rustc --version 2>/dev/null | cut -d ' ' -f 2)/library/Cargo.lock" ]; then
        # All at once: they must be of one version.
        packages+=(rustc-web cargo-web rust-web-src)
    fi
    [ -e "/usr/lib/$machine-linux-musl/rcrt1.o" ] || packages+=(musl-dev)
    if ! [ -e "/usr/lib/$other-linux-musl/rcrt1.o" ]; then
        packages+=("musl-dev:$debian")
        foreign=$debian
    fi
}

need_run() {
    need_build
    has qemu-system-x86_64 || backports+=(qemu-system-x86)
    has qemu-system-aarch64 || backports+=(qemu-system-arm)
    # EFI for both.
    [ -e /usr/share/OVMF/OVMF_CODE_4M.fd ] || [ -e /usr/share/edk2/x64/OVMF_CODE.4m.fd ] || packages+=(ovmf)
    [ -e /usr/share/AAVMF/AAVMF_CODE.fd ] || [ -e /usr/share/edk2/aarch64/QEMU_CODE.fd ] || packages+=(qemu-efi-aarch64)
    # qemu-system-x86's network boot ROMs; a recommendation, not a dependency.
    [ -e /usr/share/qemu/efi-virtio.rom ] || [ -e /usr/lib/ipxe/qemu/efi-virtio.rom ] || backports+=(ipxe-qemu)
}

need_test() {
    need_run
    # What a user's PATH may lack, such as depmod, lies in the sbin folders.
    local PATH=$PATH:/usr/sbin:/sbin
    has dnsmasq || packages+=(dnsmasq-base)
    has ip || packages+=(iproute2)
    has depmod || packages+=(kmod)
    has cpio || packages+=(cpio)
    has mkfs.ext4 || packages+=(e2fsprogs)
    has zstd || packages+=(zstd)
    has lz4 || packages+=(lz4)
    # What the formats' own tools say of what hull writes.
    has qemu-img || backports+=(qemu-utils)
    has unsquashfs || packages+=(squashfs-tools)
    has fsck.erofs || packages+=(erofs-utils)
    has fsck.fat || packages+=(dosfstools)
    has mtype || packages+=(mtools)
    has sgdisk || packages+=(gdisk)
    has xorriso || packages+=(xorriso)
    [ -x /bin/busybox ] || packages+=(busybox-static)
    has newuidmap || packages+=(uidmap)
    [ -e /usr/include/seccomp.h ] || packages+=(libseccomp-dev)
    has dpkg-deb || packages+=(dpkg)
    # Another client of registries, and a registry.
    has docker-registry || packages+=(docker-registry)
    has skopeo || packages+=(skopeo)
    has openssl || packages+=(openssl)
    # A server for logs, by TLS too.
    has rsyslogd || packages+=(rsyslog)
    [ -e "/usr/lib/$machine-linux-gnu/rsyslog/lmnsd_gtls.so" ] || packages+=(rsyslog-gnutls)
}

case $step in
build) need_build ;;
run) need_run ;;
test) need_test ;;
*) echo "usage: build/deps.sh build|run|test, not \"$step\"" >&2; exit 2 ;;
esac

[ ${#packages[@]} -gt 0 ] || [ ${#backports[@]} -gt 0 ] || exit 0

echo "To be installed with apt: ${packages[*]} ${backports[*]}" >&2
has apt-get || { echo "build/deps.sh: apt-get is not here: install those by your system's means" >&2; exit 1; }

script=$(mktemp)
trap 'rm -f "$script"' EXIT
{
    echo "set -e; export DEBIAN_FRONTEND=noninteractive"
    [ -z "$foreign" ] || echo "dpkg --add-architecture $foreign"
    # QEMU of the same suite as qemu-utils, if that came from backports.
    if [ ${#backports[@]} -gt 0 ] && grep -q '^VERSION_CODENAME=bookworm' /etc/os-release; then
        suite=(-t bookworm-backports)
        if ! grep -rqs bookworm-backports /etc/apt/sources.list /etc/apt/sources.list.d; then
            uri=$({ sed -nE 's/^URIs: *([^ ]+\/debian)\/? *$/\1/p' /etc/apt/sources.list.d/*.sources || true
                sed -nE 's/^deb +(\[[^]]*\] +)?([^ ]+\/debian)\/? .*/\2/p' /etc/apt/sources.list || true; } 2>/dev/null | head -n 1)
            echo "echo 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri bookworm-backports main' >/etc/apt/sources.list.d/bookworm-backports.list"
        fi
    fi
    echo "apt-get -q update"
    [ ${#packages[@]} -eq 0 ] || echo "apt-get -q install -y --no-install-recommends ${packages[*]}"
    [ ${#backports[@]} -eq 0 ] || echo "apt-get -q install -y --no-install-recommends ${suite[*]:-} ${backports[*]}"
} >"$script"

if [ "$(id -u)" = 0 ]; then
    sh "$script"
elif has sudo && sudo -n true 2>/dev/null; then
    sudo sh "$script"
else
    echo "build/deps.sh: installing needs root. Have an administrator run:" >&2
    sed 's/^/    /' "$script" >&2
    exit 1
fi
