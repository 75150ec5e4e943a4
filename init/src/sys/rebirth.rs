//! The end of a life of PID 1 that leads to the next: `execveat(2)` of its own
//! program, from a panic, from a signal handler, or because it was asked to.
//!
//! All that may be needed is made ready in [`prepare`] and [`leave`]. What
//! happens in a handler is a handful of system calls on numbers in statics:
//! signal-safety(7), and whatever is broken stays as it is.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, RawFd};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicI32, Ordering};

use libc::{c_char, c_int, c_void, siginfo_t};

use crate::life::cause::Cause;

/// The word by which the next life knows that it is one.
pub const ADOPT: &CStr = c"--adopt";

/// The program; none before [`prepare`].
static PROGRAM: AtomicI32 = AtomicI32::new(-1);
/// The file with the state; none before [`leave`].
static STATE: AtomicI32 = AtomicI32::new(-1);
/// No descriptor above this is passed on.
static HIGHEST: AtomicI32 = AtomicI32::new(2);

/// Signals by which the kernel tells a program of its own mistakes.
const FAULTS: [c_int; 5] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGABRT,
];

/// The stack of the handler: that of the program may be what has overflowed.
const STACK: usize = 32 * 1024;

#[repr(align(16))]
struct Stack(#[allow(dead_code, reason = "the kernel's to use")] [u8; STACK]);

static mut HANDLER_STACK: Stack = Stack([0; STACK]);

/// Makes the program ready to be executed again, and catches its faults. From
/// then on a fault does not end PID 1.
///
/// # Errors
/// The kernel's word. What could be done is done.
pub fn prepare() -> io::Result<()> {
    let caught = catch_faults();
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    let program = std::os::unix::fs::OpenOptionsExt::custom_flags(
        std::fs::OpenOptions::new().read(true),
        flags,
    )
    .open("/proc/self/exe")?;
    // For as long as this life lasts.
    PROGRAM.store(program.into_raw_fd(), Ordering::Relaxed);
    caught
}

fn catch_faults() -> io::Result<()> {
    let stack = libc::stack_t {
        ss_sp: (&raw mut HANDLER_STACK).cast::<c_void>(),
        ss_flags: 0,
        ss_size: STACK,
    };
    // SAFETY: the stack is a static that nothing else touches.
    if unsafe { libc::sigaltstack(&raw const stack, null_mut()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    for signal in FAULTS {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        let place = action.as_mut_ptr();
        // SAFETY: `place` is valid for a `sigaction`, of which all zeros is one.
        let action = unsafe { &mut *place };
        let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = on_fault;
        action.sa_sigaction = handler as usize;
        // Not blocked meanwhile: the mask outlives the program, and a blocked
        // fault ends a process for good.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        // SAFETY: `action` is initialized; no old action is asked for.
        if unsafe { libc::sigaction(signal, action, null_mut()) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// From now on the next life finds its state in `state`, and at most
/// `highest` (and those named before) among its descriptors.
pub fn leave(state: RawFd, highest: RawFd) {
    HIGHEST.fetch_max(highest.max(state), Ordering::Relaxed);
    STATE.store(state, Ordering::Release);
}

/// Executes the program again, because of `cause`. Returns only where that is
/// not possible: with the kernel's word.
pub fn begin_again(cause: Cause) -> io::Error {
    execute(PROGRAM.load(Ordering::Relaxed), cause)
}

/// Executes `program` as the next life.
pub fn begin_with(program: BorrowedFd<'_>, cause: Cause) -> io::Error {
    execute(program.as_raw_fd(), cause)
}

/// The program of this life.
#[must_use]
pub fn program() -> Option<File> {
    let fd = PROGRAM.load(Ordering::Relaxed);
    if fd < 0 {
        return None;
    }
    // SAFETY: `prepare` opened it and nobody closes it.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    fd.try_clone_to_owned().ok().map(File::from)
}

extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, _context: *mut c_void) {
    // SAFETY: no arguments, no failure.
    let ourselves = unsafe { libc::getpid() };
    if ourselves != 1 {
        // A child between fork and exec: it ends, as it would have.
        // SAFETY: ends the process.
        unsafe { libc::_exit(128 + signal) };
    }
    // SAFETY: the kernel passes a valid `siginfo_t` (SA_SIGINFO).
    let info = unsafe { &*info };
    // SAFETY: every signal that is sent by kill(2) and its like has a sender.
    let sender = unsafe { info.si_pid() };
    let cause = if info.si_code > 0 {
        // SAFETY: the kernel's own faults have an address; SIGABRT is none.
        let address = unsafe { info.si_addr() } as usize;
        Cause::Fault { signal, address }
    } else if sender == ourselves {
        // abort(3).
        Cause::Fault { signal, address: 0 }
    } else {
        Cause::Sent { signal }
    };
    let _error = begin_again(cause);
    reap_for_ever();
}

/// All that is left to do when there is no program to execute any more: the
/// machine's other processes live on.
pub fn reap_for_ever() -> ! {
    loop {
        let second = libc::timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        // SAFETY: no status is asked for.
        while unsafe { libc::waitpid(-1, null_mut(), libc::WNOHANG) } > 0 {}
        // SAFETY: `second` is valid; the rest is not asked for.
        unsafe { libc::nanosleep(&raw const second, null_mut()) };
    }
}

fn execute(program: RawFd, cause: Cause) -> io::Error {
    let mut state = Argument::new();
    state.number(STATE.load(Ordering::Acquire));
    let mut why = Argument::new();
    why.cause(cause);
    keep_descriptors(true);
    let mut highest = Argument::new();
    highest.number(HIGHEST.load(Ordering::Relaxed));
    let args: [*const c_char; 6] = [
        c"/init".as_ptr(),
        ADOPT.as_ptr(),
        state.as_ptr(),
        highest.as_ptr(),
        why.as_ptr(),
        null(),
    ];
    // SAFETY: the C library's own list, which nobody changes after the boot.
    let environment = unsafe { environ };
    for environment in [environment, DEFAULT_ENVIRONMENT.0.as_ptr()] {
        // SAFETY: the lists end with null and their strings live on; where they
        // do not, that is an error of the call and not of ours.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                program,
                c"".as_ptr(),
                args.as_ptr(),
                environment,
                libc::AT_EMPTY_PATH,
            )
        };
    }
    let error = io::Error::last_os_error();
    keep_descriptors(false);
    error
}

unsafe extern "C" {
    static environ: *const *const c_char;
}

struct Environment([*const c_char; 2]);

// SAFETY: pointers to constants.
unsafe impl Sync for Environment {}

/// Where the real one cannot be read any more.
static DEFAULT_ENVIRONMENT: Environment = Environment([
    c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".as_ptr(),
    null(),
]);

/// Lets the descriptors pass to the next program, or not.
fn keep_descriptors(keep: bool) {
    let flags = if keep { 0 } else { libc::FD_CLOEXEC };
    for fd in 3..=HIGHEST.load(Ordering::Relaxed) {
        // SAFETY: changes a flag; fails where there is no such descriptor.
        unsafe { libc::fcntl(fd, libc::F_SETFD, flags) };
    }
}

/// A short C string, made without memory of anybody's.
struct Argument {
    bytes: [u8; 64],
    length: usize,
}

impl Argument {
    const fn new() -> Self {
        Self {
            bytes: [0; 64],
            length: 0,
        }
    }

    fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }

    fn byte(&mut self, byte: u8) {
        // The last one stays the string's end.
        if self.length + 1 < self.bytes.len()
            && let Some(place) = self.bytes.get_mut(self.length)
        {
            *place = byte;
            self.length += 1;
        }
    }

    fn text(&mut self, text: &str) {
        for byte in text.bytes() {
            self.byte(byte);
        }
    }

    fn digits(&mut self, mut number: usize, base: usize) {
        let mut digits = [0; usize::BITS as usize];
        let mut count = 0;
        while let Some(place) = digits.get_mut(count) {
            *place = number % base;
            count += 1;
            number /= base;
            if number == 0 {
                break;
            }
        }
        for digit in digits.iter().take(count).rev() {
            let digit = b"0123456789abcdef".get(*digit).copied();
            self.byte(digit.unwrap_or(b'?'));
        }
    }

    fn number(&mut self, number: i32) {
        if number < 0 {
            self.byte(b'-');
        }
        self.digits(usize::try_from(number.unsigned_abs()).unwrap_or(0), 10);
    }

    /// As [`Cause`]'s `Display` has it.
    fn cause(&mut self, cause: Cause) {
        match cause {
            Cause::Asked => self.text("asked"),
            Cause::Panic => self.text("panic"),
            Cause::Fault { signal, address } => {
                self.text("fault:");
                self.number(signal);
                self.byte(b':');
                self.digits(address, 16);
            }
            Cause::Sent { signal } => {
                self.text("sent:");
                self.number(signal);
            }
        }
    }
}

/// A write to where nothing is: the real fault that tests ask for.
pub fn fault() {
    let nowhere = std::hint::black_box(8 as *mut u8);
    // SAFETY: it is none. It faults, which is what it is for, and nothing
    // after it runs.
    unsafe { nowhere.write_volatile(0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(argument: &Argument) -> &str {
        CStr::from_bytes_until_nul(&argument.bytes)
            .unwrap()
            .to_str()
            .unwrap()
    }

    #[test]
    fn arguments_are_what_display_writes() {
        for cause in [
            Cause::Asked,
            Cause::Panic,
            Cause::Sent { signal: 7 },
            Cause::Fault {
                signal: 11,
                address: usize::MAX,
            },
            Cause::Fault {
                signal: 4,
                address: 0,
            },
        ] {
            let mut argument = Argument::new();
            argument.cause(cause);
            assert_eq!(text(&argument), cause.to_string());
        }
        for number in [0, -1, i32::MIN, i32::MAX, 10] {
            let mut argument = Argument::new();
            argument.number(number);
            assert_eq!(text(&argument), number.to_string());
        }
    }

    #[test]
    fn an_argument_ends_where_its_room_does() {
        let mut argument = Argument::new();
        argument.text(&"x".repeat(100));
        assert_eq!(text(&argument).len(), 63);
    }
}
