//! The BIOS loader, put through the assembler that comes with rustc: hull takes
//! its one section out of the object file.

#![no_std]

core::arch::global_asm!(include_str!("loader.s"), options(att_syntax));
