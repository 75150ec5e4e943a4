//! The real-time clock, by `rtc(4)`.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

/// Time as the clock's chip has it, in UTC: `struct rtc_time` of
/// `linux/rtc.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RtcTime {
    /// 0 to 59.
    pub sec: i32,
    /// 0 to 59.
    pub min: i32,
    /// 0 to 23.
    pub hour: i32,
    /// 1 to 31.
    pub day: i32,
    /// 0 to 11.
    pub month: i32,
    /// Since 1900.
    pub year: i32,
    /// 0 (Sunday) to 6; not kept by the chip.
    pub weekday: i32,
    /// 0 to 365; not kept by the chip.
    pub yearday: i32,
    /// Not kept by the chip.
    pub dst: i32,
}

/// `RTC_RD_TIME` of `linux/rtc.h`, the same on all our architectures.
const RTC_RD_TIME: libc::Ioctl = nix::request_code_read!(b'p', 0x09, size_of::<RtcTime>());

/// Reads the clock that is open as `rtc`.
///
/// # Errors
/// `EINVAL`: it was never set, or lost its battery.
pub fn read(rtc: &File) -> Result<RtcTime, Errno> {
    let mut time = RtcTime::default();
    // SAFETY: the request fills a struct of this layout and size.
    let result = unsafe { libc::ioctl(rtc.as_raw_fd(), RTC_RD_TIME, &raw mut time) };
    Errno::result(result).map(|_| time)
}
