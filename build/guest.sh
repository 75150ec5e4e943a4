#!/usr/bin/env bash
# Builds the programs that run inside images, as static PIE linked with musl,
# for one architecture, and puts them into out/guest/ARCH.
#
#   build/guest.sh x86_64|aarch64
#
# Two ways, the first that is there:
# - rustup's musl target, which brings its standard library and C library;
# - Debian's compiler, with its source of the standard library, and its musl.
#   The library is compiled with the programs, for size and without the
#   symboliser of backtraces, which a stripped program has no use for: that
#   makes the programs half as large.
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
    "hullkit-logforward logforward"
    "qemu-tests-agent qemu-agent"
    "qemu-tests-agent bench-service"
    "qemu-tests-agent poweroff-init"
)

target=$arch-unknown-linux-musl
# A folder of its own: another compiler than the host's must not share one.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$top/target}/guest-$arch
# Nothing here unwinds (panic = "abort"), so no tables for it.
flags="-C target-feature=+crt-static -C relocation-model=pic -C force-unwind-tables=no --remap-path-prefix=$top=/hullkit --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"

mkdir -p "$CARGO_TARGET_DIR"
if command -v rustup >/dev/null && rustup target list --installed 2>/dev/null | grep -qx "$target"; then
    cargo=cargo linker=rust-lld std=()
    # rust-lld and the C start files come with the toolchain: no cross gcc.
    flags+=" -C link-self-contained=yes -C linker-flavor=ld.lld"
    assemble() { rustc --edition 2024 --crate-type lib --emit obj --target "$target" -C panic=abort -C codegen-units=1 -o "$1" "$2.rs"; }
else
    cargo=/usr/bin/cargo linker=$arch-linux-gnu-ld
    std=(-Z build-std=std,panic_abort -Z build-std-features=optimize_for_size)
    # -Z, and the standard library's source, are for a compiler that says yes.
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
    musl=/usr/lib/$arch-linux-musl
    # musl's library, before any other C library, and its start files; the
    # library once more behind those, which ask for it.
    flags+=" -C link-self-contained=no -C linker-flavor=ld -L native=$CARGO_TARGET_DIR -L native=$musl"
    for start in rcrt1.o crti.o crtn.o; do flags+=" -C link-arg=$musl/$start"; done
    flags+=" -C link-arg=-lc"
    "$arch-linux-gnu-gcc" -Os -fPIC -c -o "$CARGO_TARGET_DIR/unwind.o" build/unwind.c
    "$arch-linux-gnu-ar" crsD "$CARGO_TARGET_DIR/libunwind.a" "$CARGO_TARGET_DIR/unwind.o"
    assemble() { "$arch-linux-gnu-as" -o "$1" "$2.s"; }
fi

# C in a dependency: musl's headers where they are there.
cc=$arch-linux-musl-gcc
command -v "$cc" >/dev/null || cc=$arch-linux-gnu-gcc
export "CC_${target//-/_}=$cc" "CFLAGS_${target//-/_}=-U_FORTIFY_SOURCE -fno-stack-protector"

# They would be taken in place of ours.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
variable=$(echo "$target" | tr 'a-z-' 'A-Z_')
export "CARGO_TARGET_${variable}_RUSTFLAGS=$flags"
export "CARGO_TARGET_${variable}_LINKER=$linker"

packages=()
for program in "${programs[@]}"; do packages+=(-p "${program% *}"); done
"$cargo" build --locked --profile guest --target "$target" "${std[@]}" "${packages[@]}"

mkdir -p "out/guest/$arch"
if [ "$arch" = x86_64 ]; then
    # What a BIOS starts: assembler only, an object file.
    assemble "$CARGO_TARGET_DIR/bios-loader.o" boot/bios/loader
    cmp -s "$CARGO_TARGET_DIR/bios-loader.o" out/guest/x86_64/bios-loader.o ||
        install -m 644 "$CARGO_TARGET_DIR/bios-loader.o" out/guest/x86_64/bios-loader.o
fi
for program in "${programs[@]}"; do
    name=${program#* }
    # An unchanged file keeps its time, so that nothing after it is redone.
    cmp -s "$CARGO_TARGET_DIR/$target/guest/$name" "out/guest/$arch/$name" ||
        install -m 755 "$CARGO_TARGET_DIR/$target/guest/$name" "out/guest/$arch/$name"
done
