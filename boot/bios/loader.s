# Boots Linux from a disk or a CD by BIOS: the 2 KiB that hull puts before a
# kernel, an initrd and a command line (docs/hull.md, "BIOS").
#
# No filesystem is read: where the three lie is in the table below, which hull
# fills in. Linux, Documentation/arch/x86/boot.rst, is the contract with the
# kernel; "Enhanced Disk Drive" 3.0 (interrupt 13h, function 42h) and "El
# Torito" 1.0 are those with the BIOS.
#
#   00600-07bff  stack
#   07c00-083ff  this
#   10000-1dfff  the kernel's real-mode part, its heap and stack
#   1e000-1efff  command line
#   20000-27fff  what the BIOS reads, before it goes where it belongs
#   100000-      the kernel
#   (top)        initrd

.set HERE, 0x7c00
.set KERNEL_SEGMENT, 0x1000
.set KERNEL, 0x10000
.set CMDLINE, 0x1e000
.set BUFFER, 0x20000
.set BUFFER_SEGMENT, 0x2000
.set CHUNK, 0x8000
.set HIGH, 0x100000

# Fields of the kernel's header, in its real-mode part.
.set SETUP_SECTS, 0x1f1
.set VID_MODE, 0x1fa
.set MAGIC, 0x202
.set TYPE_OF_LOADER, 0x210
.set LOADFLAGS, 0x211
.set RAMDISK_IMAGE, 0x218
.set RAMDISK_SIZE, 0x21c
.set HEAP_END_PTR, 0x224
.set CMD_LINE_PTR, 0x228
.set INITRD_ADDR_MAX, 0x22c
.set PREF_ADDRESS, 0x258
.set INIT_SIZE, 0x260

.section .hullkit, "awx", @progbits
.code16
start:
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $HERE, %sp
    sti
    # Some BIOSes come here as 07c0:0000.
    ljmp $0, $(begin - start + HERE)
begin:
    movb %dl, (drive - start + HERE)
    # A CD's BIOS has read all four sectors, a disk's only the first.
    cmpw $2048, (sector_size - start + HERE)
    je stage2
    movl (own_lba - start + HERE), %eax
    movl %eax, (packet_lba - start + HERE)
    movl (own_lba + 4 - start + HERE), %eax
    movl %eax, (packet_lba + 4 - start + HERE)
    movw $3, (packet_count - start + HERE)
    movw $(HERE + 512), (packet_offset - start + HERE)
    movw $0, (packet_segment - start + HERE)
    call read
    jmp stage2

# Reads what the packet says; three attempts.
read:
    movw $3, %bp
1:
    movb $0x42, %ah
    movb (drive - start + HERE), %dl
    movw $(packet - start + HERE), %si
    int $0x13
    jnc 2f
    xorw %ax, %ax
    movb (drive - start + HERE), %dl
    int $0x13
    decw %bp
    jnz 1b
    movw $(no_disk - start + HERE), %si
    jmp die
2:
    ret

# Says the text at %si on the screen and on the first serial port, and stops.
die:
    lodsb
    testb %al, %al
    jz 3f
    movb $0x0e, %ah
    movw $7, %bx
    int $0x10
    movw $0x3fd, %dx
    movb %al, %bl
    movw $0xffff, %cx
1:
    inb %dx, %al
    testb $0x20, %al
    loopz 1b
    movb %bl, %al
    movw $0x3f8, %dx
    outb %al, %dx
    jmp die
3:
    hlt
    jmp 3b

no_disk:
    .asciz "hullkit: the BIOS cannot read this disk\r\n"

drive:
    .byte 0
    .balign 4
packet:
    .byte 16, 0
packet_count:
    .word 0
packet_offset:
    .word 0
packet_segment:
    .word 0
packet_lba:
    .quad 0

# Filled in by hull (hull/src/output/bios.rs), found by its name. Places are
# counted in the medium's own sectors, sizes in bytes.
    .ascii "HULLBIOS"
own_lba:
    .quad 0
kernel_lba:
    .quad 0
initrd_lba:
    .quad 0
cmdline_lba:
    .quad 0
kernel_size:
    .long 0
initrd_size:
    .long 0
cmdline_size:
    .long 0
sector_size:
    .word 512

    # Behind it are the disk's signature and its partitions.
    .org 440
    .org 510
    .word 0xaa55

stage2:
    call enable_a20

    # 1. The begin of the kernel, to know how long its real-mode part is.
    movl (kernel_lba - start + HERE), %eax
    movl (kernel_lba + 4 - start + HERE), %edx
    xorw %bx, %bx
    movl $CHUNK, %ecx
    movl $KERNEL, %edi
    call load
    movw $KERNEL_SEGMENT, %ax
    movw %ax, %fs
    cmpl $0x53726448, %fs:MAGIC
    movw $(no_kernel - start + HERE), %si
    jne die
    movzbl %fs:SETUP_SECTS, %ebx
    testb %bl, %bl
    jnz 1f
    movb $4, %bl
1:
    incl %ebx
    # All of it is there: 64 sectors at most.
    cmpl $64, %ebx
    ja die
    shll $9, %ebx

    # 2. The rest, which is the kernel itself.
    movl (kernel_size - start + HERE), %ecx
    subl %ebx, %ecx
    jbe die
    movl %ebx, %eax
    xorl %edx, %edx
    movzwl (sector_size - start + HERE), %esi
    divl %esi
    movw %dx, %bx
    xorl %edx, %edx
    addl (kernel_lba - start + HERE), %eax
    adcl (kernel_lba + 4 - start + HERE), %edx
    movl $HIGH, %edi
    call load

    # 3. The initrd, as high as it may be.
    call memory_top
    movl %fs:INITRD_ADDR_MAX, %ecx
    incl %ecx
    jz 1f
    cmpl %ecx, %eax
    jbe 1f
    movl %ecx, %eax
1:
    movl (initrd_size - start + HERE), %ecx
    movw $(no_memory - start + HERE), %si
    subl %ecx, %eax
    jb die
    andl $0xfffff000, %eax
    # Below it the kernel unpacks itself.
    movl %fs:PREF_ADDRESS, %edx
    addl %fs:INIT_SIZE, %edx
    cmpl %edx, %eax
    jb die
    movl %eax, %fs:RAMDISK_IMAGE
    movl %ecx, %fs:RAMDISK_SIZE
    movl %eax, %edi
    movl (initrd_lba - start + HERE), %eax
    movl (initrd_lba + 4 - start + HERE), %edx
    xorw %bx, %bx
    call load

    # 4. The command line, with a zero behind it.
    movl (cmdline_lba - start + HERE), %eax
    movl (cmdline_lba + 4 - start + HERE), %edx
    movl (cmdline_size - start + HERE), %ecx
    movl $CMDLINE, %edi
    xorw %bx, %bx
    call load
    movw (cmdline_size - start + HERE), %bx
    movb $0, %fs:(CMDLINE - KERNEL)(%bx)

    # 5. What the kernel wants to be told, and off.
    movb $0xff, %fs:TYPE_OF_LOADER
    orb $0x80, %fs:LOADFLAGS
    movw $0xde00, %fs:HEAP_END_PTR
    movl $CMDLINE, %fs:CMD_LINE_PTR
    movw $0xffff, %fs:VID_MODE
    cli
    movw $KERNEL_SEGMENT, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %gs
    movw %ax, %ss
    movw $0xe000, %sp
    ljmp $(KERNEL_SEGMENT + 0x20), $0

# Loads %ecx bytes from %bx bytes behind the begin of sector %edx:%eax to the
# address %edi.
load:
    movl %eax, (packet_lba - start + HERE)
    movl %edx, (packet_lba + 4 - start + HERE)
    movw %bx, (skip - start + HERE)
    movl %ecx, (left - start + HERE)
    movl %edi, (target - start + HERE)
    movw $0, (packet_offset - start + HERE)
    movw $BUFFER_SEGMENT, (packet_segment - start + HERE)
1:
    movl (left - start + HERE), %eax
    testl %eax, %eax
    jz 9f
    # So much of the buffer, the part that is skipped counted.
    movzwl (skip - start + HERE), %edx
    addl %edx, %eax
    cmpl $CHUNK, %eax
    jbe 2f
    movl $CHUNK, %eax
2:
    movl %eax, %ecx
    subl %edx, %ecx
    movl %ecx, (part - start + HERE)
    movzwl (sector_size - start + HERE), %esi
    leal -1(%eax, %esi), %eax
    xorl %edx, %edx
    divl %esi
    movw %ax, (packet_count - start + HERE)
    call read
    movl $BUFFER, %esi
    movzwl (skip - start + HERE), %edx
    addl %edx, %esi
    movw $0, (skip - start + HERE)
    movl (target - start + HERE), %edi
    movl (part - start + HERE), %ecx
    subl %ecx, (left - start + HERE)
    addl %ecx, (target - start + HERE)
    call copy
    movzwl (packet_count - start + HERE), %eax
    addl %eax, (packet_lba - start + HERE)
    adcl $0, (packet_lba + 4 - start + HERE)
    jmp 1b
9:
    ret

# Copies %ecx bytes (rounded up to four) from %esi to %edi, anywhere below 4
# GiB: in protected mode, whose segments have no limit, and back at once.
copy:
    cli
    lgdtl (gdt_pointer - start + HERE)
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    jmp 1f
1:
    movw $8, %dx
    movw %dx, %ds
    movw %dx, %es
    addl $3, %ecx
    shrl $2, %ecx
    # addr32 rep movsl
    .byte 0x67, 0xf3, 0x66, 0xa5
    andb $0xfe, %al
    movl %eax, %cr0
    jmp 2f
2:
    xorw %dx, %dx
    movw %dx, %ds
    movw %dx, %es
    sti
    ret

# The first address behind the memory below 4 GiB, in %eax.
memory_top:
    xorl %ecx, %ecx
    xorl %edx, %edx
    movw $0xe801, %ax
    int $0x15
    movw $(no_memory - start + HERE), %si
    jc die
    # The answer is in one of two pairs of registers.
    jcxz 1f
    movw %cx, %ax
    movw %dx, %bx
1:
    # 64 KiB blocks above 16 MiB, and KiB from 1 MiB to there.
    movzwl %ax, %eax
    movzwl %bx, %ebx
    shll $16, %ebx
    jz 2f
    leal 0x1000000(%ebx), %eax
    ret
2:
    shll $10, %eax
    addl $HIGH, %eax
    ret

# Addresses above 1 MiB are not folded onto those below: by the BIOS, and by
# the port that chipsets have for it.
enable_a20:
    movw $0x2401, %ax
    int $0x15
    inb $0x92, %al
    testb $2, %al
    jnz 1f
    orb $2, %al
    # Not a reset.
    andb $0xfe, %al
    outb %al, $0x92
1:
    ret

no_kernel:
    .asciz "hullkit: there is no Linux kernel where it should be\r\n"
no_memory:
    .asciz "hullkit: this machine has too little memory\r\n"

    .balign 8
gdt:
    .quad 0
    # Data, from 0 to 4 GiB.
    .quad 0x00cf92000000ffff
gdt_pointer:
    .word 15
    .long gdt - start + HERE
    .balign 4
left:
    .long 0
part:
    .long 0
target:
    .long 0
skip:
    .word 0

    .org 2048
