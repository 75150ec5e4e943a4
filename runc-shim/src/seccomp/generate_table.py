#!/usr/bin/env python3
"""Writes table.rs: every system call's number in every calling convention.

usage: generate_table.py > table.rs

Reads the kernel's headers as Debian packages them:
  linux-libc-dev:amd64          x86_64, x86, x32
  linux-libc-dev-arm64-cross    aarch64 (asm-generic)
  linux-libc-dev-armhf-cross    arm; ARM_HEADERS=… names the folder it was unpacked to
What is newer than the packages stands in NEWER below: from number 424 on all
conventions share their numbers.
"""
import os
import re
import subprocess
import sys

X86 = "/usr/include/x86_64-linux-gnu/asm/"
ARM64 = "/usr/aarch64-linux-gnu/include/"
ARM = os.environ.get("ARM_HEADERS", "/usr/arm-linux-gnueabihf/include/")

# include/uapi/asm-generic/unistd.h, Linux 6.17.
NEWER = """cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue
statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal
setxattrat getxattrat listxattrat removexattrat open_tree_attr file_getattr
file_setattr""".split()
FIRST_NEWER = 451
X86_64_ONLY = {"uretprobe": 335, "uprobe": 336}


def macros(source, *options):
    """The __NR_ macros of a header, with the preprocessor's values."""
    command = ["gcc", "-E", "-dM", "-x", "c", *options, source]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    defines = dict(re.findall(r"^#define (\w+) (.+)$", text, re.M))

    def value(expression):
        names = re.findall(r"\b[A-Za-z_]\w*", expression)
        for name in names:
            if name not in defines:
                return None
            inner = value(defines[name])
            if inner is None:
                return None
            expression = re.sub(rf"\b{name}\b", str(inner), expression)
        return eval(expression)  # sums of numbers from the kernel's own headers

    prefixes = ("__NR_", "__NR3264_", "__ARM_NR_")
    found = {}
    for name, expression in defines.items():
        for prefix in prefixes:
            if name.startswith(prefix) and prefix != "__NR3264_":
                short = name[len(prefix):]
                number = value(expression)
                if short not in ("syscalls", "arch_specific_syscall", "BASE", "SYSCALL_BASE") \
                        and not short.startswith("SYSCALL") and number is not None:
                    found[short] = number
    return found


def main():
    columns = [
        macros(X86 + "unistd_64.h"),
        macros(X86 + "unistd_32.h"),
        {n: v & ~0x40000000 for n, v in macros(X86 + "unistd_x32.h", "-D__X32_SYSCALL_BIT=0").items()},
        macros(ARM64 + "asm/unistd.h", "-nostdinc", "-I" + ARM64, "-D__BITS_PER_LONG=64", "-D__aarch64__"),
        macros(ARM + "asm/unistd.h", "-nostdinc", "-I" + ARM, "-D__ARM_EABI__", "-U__x86_64__"),
    ]
    for column in columns:
        for at, name in enumerate(NEWER):
            column.setdefault(name, FIRST_NEWER + at)
    columns[0].update(X86_64_ONLY)
    names = sorted(set().union(*columns))
    out = sys.stdout
    out.write("// Written by generate_table.py; do not edit.\n\n")
    out.write("/// Name, and number by x86_64, x86, x32 (without its bit), aarch64, arm; sorted.\n")
    out.write("#[rustfmt::skip]\n")
    out.write(f"pub(super) static TABLE: [(&str, [i32; 5]); {len(names)}] = [\n")
    for name in names:
        numbers = ", ".join(str(c.get(name, -1)) for c in columns)
        out.write(f'    ("{name}", [{numbers}]),\n')
    out.write("];\n")


main()
