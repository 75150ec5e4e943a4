#!/usr/bin/env bash
# Builds the programs that run inside images, as static PIE, for one
# architecture, and puts them into out/guest/ARCH.
#
#   build/guest.sh x86_64|aarch64
#
# Three ways, the first that is there: rustup's musl target; for this
# machine's own architecture the gnu target, linked statically; for the other
# one Debian's rustc and standard library with Debian's cross gcc.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
arch=${1:?usage: build/guest.sh x86_64|aarch64}
cd "$top"

programs=(
    "hullkit-init init"
    "runc-shim runc-shim"
    "hullkit-dhcp dhcp"
    "hullkit-sysctl sysctl"
    "hullkit-getty getty"
    "qemu-tests-agent qemu-agent"
    "qemu-tests-agent poweroff-init"
)

musl=$arch-unknown-linux-musl
gnu=$arch-unknown-linux-gnu
# Nothing here unwinds (panic = "abort"), so no tables for it.
flags="-C target-feature=+crt-static -C relocation-model=pic -C force-unwind-tables=no --remap-path-prefix=$top=/hullkit --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"

if command -v rustup >/dev/null && rustup target list --installed 2>/dev/null | grep -qx "$musl"; then
    target=$musl
    # rust-lld and the C start files come with the toolchain: no cross gcc.
    flags+=" -C link-self-contained=yes -C linker-flavor=ld.lld"
    linker=rust-lld
elif [ "$arch" = "$(uname -m)" ]; then
    target=$gnu
    linker=
    # A static PIE relocates itself: packed, that table is a tenth. glibc reads
    # the packed form from 2.36 on; binutils write it for x86 only.
    [ "$arch" != x86_64 ] || flags+=" -C link-arg=-Wl,-z,pack-relative-relocs"
else
    target=$gnu
    linker=$top/build/static-pie-gcc
    export RUSTC=/usr/bin/rustc
    # The wrapper's cross compiler, by the architecture that is linked for.
    export STATIC_PIE_GCC=$arch-linux-gnu-gcc
fi

variable=$(echo "$target" | tr 'a-z-' 'A-Z_')
export "CARGO_TARGET_${variable}_RUSTFLAGS=$flags"
[ -z "$linker" ] || export "CARGO_TARGET_${variable}_LINKER=$linker"

packages=()
for program in "${programs[@]}"; do packages+=(-p "${program% *}"); done
# A folder of its own: another compiler than the host's must not share one.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$top/target}/guest-$arch
cargo build --locked --profile guest --target "$target" "${packages[@]}"

mkdir -p "out/guest/$arch"
if [ "$arch" = x86_64 ]; then
    # What a BIOS starts: assembler only, an object file (boot/bios).
    "${RUSTC:-rustc}" --edition 2024 --crate-type lib --emit obj --target "$target" -C panic=abort \
        -C codegen-units=1 -o "$CARGO_TARGET_DIR/bios-loader.o" boot/bios/loader.rs
    cmp -s "$CARGO_TARGET_DIR/bios-loader.o" out/guest/x86_64/bios-loader.o ||
        install -m 644 "$CARGO_TARGET_DIR/bios-loader.o" out/guest/x86_64/bios-loader.o
fi
for program in "${programs[@]}"; do
    name=${program#* }
    # An unchanged file keeps its time, so that nothing after it is redone.
    cmp -s "$CARGO_TARGET_DIR/$target/guest/$name" "out/guest/$arch/$name" ||
        install -m 755 "$CARGO_TARGET_DIR/$target/guest/$name" "out/guest/$arch/$name"
done
