//! The functions of Windows, each behind one that is safe to call.

#![expect(unsafe_code, reason = "no library has safe functions for these")]

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::windows::ffi::OsStringExt as _;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use std::path::PathBuf;
use std::ptr::null_mut;
use std::time::Duration;

use windows_sys::Win32::Foundation::{
    ERROR_LOCK_VIOLATION, FILETIME, GENERIC_READ, GENERIC_WRITE, HANDLE, LocalFree,
};
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, ConvertSidToStringSidW,
    ConvertStringSecurityDescriptorToSecurityDescriptorW, GetSecurityInfo, SDDL_REVISION_1,
    SE_FILE_OBJECT,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, GetTokenInformation, OWNER_SECURITY_INFORMATION,
    PROTECTED_DACL_SECURITY_INFORMATION, SetKernelObjectSecurity, TOKEN_QUERY, TOKEN_USER,
    TokenUser,
};
use windows_sys::Win32::Storage::FileSystem::{
    LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY, LockFileEx, UnlockFileEx, WRITE_DAC,
};
use windows_sys::Win32::System::Com::CoTaskMemFree;
use windows_sys::Win32::System::Diagnostics::Debug::{
    SEM_FAILCRITICALERRORS, SEM_NOGPFAULTERRORBOX, SetErrorMode,
};
use windows_sys::Win32::System::IO::{OVERLAPPED, OVERLAPPED_0, OVERLAPPED_0_0};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentThread, GetProcessTimes, GetThreadTimes, OpenProcessToken,
};
use windows_sys::Win32::UI::Shell::{FOLDERID_ProgramFiles, SHGetKnownFolderPath};

/// What a file has to be opened for, so that [`restrict_file`] works.
pub(super) const ACCESS_TO_MAKE_PRIVATE: u32 = GENERIC_READ | GENERIC_WRITE | WRITE_DAC;
/// What a descriptor is read for.
const OWNER_AND_LIST: u32 = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;

/// Memory that Windows has allocated.
struct Local<T>(*mut T);

impl<T> Drop for Local<T> {
    fn drop(&mut self) {
        // SAFETY: it is from a function whose result `LocalFree` frees, and not used again.
        unsafe { LocalFree(self.0.cast()) };
    }
}

/// A security descriptor.
struct Descriptor(Local<core::ffi::c_void>);

impl Descriptor {
    fn parse(text: &str) -> io::Result<Self> {
        let text: Vec<u16> = text.encode_utf16().chain([0]).collect();
        let mut made = null_mut();
        let (read, write) = (text.as_ptr(), &raw mut made);
        // SAFETY: the text ends with a zero, and both live longer than the call.
        checked(unsafe { descriptor_of(read, SDDL_REVISION_1, write, null_mut()) })?;
        Ok(Self(Local(made)))
    }

    fn text(&self) -> io::Result<String> {
        let mut made = null_mut();
        let (read, write) = (self.0.0, &raw mut made);
        // SAFETY: the descriptor is valid, and `made` lives longer than the call.
        checked(unsafe { text_of(read, SDDL_REVISION_1, OWNER_AND_LIST, write, null_mut()) })?;
        let made = Local(made);
        // SAFETY: Windows has written a text that ends with a zero.
        Ok(unsafe { wide(made.0) }.to_string_lossy().into_owned())
    }
}

use self::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW as text_of,
    ConvertStringSecurityDescriptorToSecurityDescriptorW as descriptor_of,
    GetSecurityInfo as security,
};

/// Owner and access control list of an open file, as text.
pub(super) fn descriptor(file: &File) -> io::Result<String> {
    let mut found = null_mut();
    let (handle, write) = (file.as_raw_handle(), &raw mut found);
    let (owner, group, list, audit) = (null_mut(), null_mut(), null_mut(), null_mut());
    let (what, kind) = (OWNER_AND_LIST, SE_FILE_OBJECT);
    // SAFETY: the handle is open, and `found` lives longer than the call.
    let code = unsafe { security(handle, kind, what, owner, group, list, audit, write) };
    succeeded(code)?;
    Descriptor(Local(found)).text()
}

/// The text of a descriptor as Windows itself writes it.
pub(super) fn normal(text: &str) -> io::Result<String> {
    Descriptor::parse(text)?.text()
}

/// The SID of the user that this process runs as.
pub(super) fn user() -> io::Result<String> {
    let mut token = null_mut();
    // SAFETY: `token` lives longer than the call.
    checked(unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) })?;
    // SAFETY: the handle is open, and nothing else closes it.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    // Enough for the longest SID, and aligned for the structure before it.
    let mut buffer = [0_u64; 32];
    let (size, mut used) = (size_of_val(&buffer) as u32, 0);
    let (handle, write) = (token.as_raw_handle(), buffer.as_mut_ptr().cast());
    // SAFETY: the buffer has that size and lives longer than the call.
    checked(unsafe { GetTokenInformation(handle, TokenUser, write, size, &raw mut used) })?;
    let mut text = null_mut();
    let user = buffer.as_ptr().cast::<TOKEN_USER>();
    // SAFETY: Windows has written such a structure, whose SID is in the same buffer.
    checked(unsafe { ConvertSidToStringSidW((*user).User.Sid, &raw mut text) })?;
    let text = Local(text);
    // SAFETY: Windows has written a text that ends with a zero.
    Ok(unsafe { wide(text.0) }.to_string_lossy().into_owned())
}

/// Replaces the access control list of a file that was opened for that.
pub(super) fn restrict_file(file: &File, list: &str) -> io::Result<()> {
    restrict(file.as_raw_handle(), list)
}

/// Replaces the access control list of this process.
pub(super) fn restrict_process(list: &str) -> io::Result<()> {
    // SAFETY: there are no conditions. The handle need not be closed.
    let process = unsafe { GetCurrentProcess() };
    restrict(process, list)
}

fn restrict(handle: HANDLE, list: &str) -> io::Result<()> {
    let descriptor = Descriptor::parse(list)?;
    let what = DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION;
    // SAFETY: the handle is open, and the descriptor lives longer than the call.
    checked(unsafe { SetKernelObjectSecurity(handle, what, descriptor.0.0) })
}

/// Locks one byte that is behind the end of every file.
pub(super) fn try_lock(file: &File, exclusive: bool) -> io::Result<bool> {
    let exclusively = match exclusive {
        true => LOCKFILE_EXCLUSIVE_LOCK,
        false => 0,
    };
    let (handle, flags) = (
        file.as_raw_handle(),
        LOCKFILE_FAIL_IMMEDIATELY | exclusively,
    );
    let mut place = place_of_lock();
    // SAFETY: the handle is open and not asynchronous, so the call ends before `place`.
    match checked(unsafe { LockFileEx(handle, flags, 0, 1, 0, &raw mut place) }) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(ERROR_LOCK_VIOLATION as i32) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Releases that lock.
pub(super) fn unlock(file: &File) -> io::Result<()> {
    let mut place = place_of_lock();
    // SAFETY: as above.
    checked(unsafe { UnlockFileEx(file.as_raw_handle(), 0, 1, 0, &raw mut place) })
}

fn place_of_lock() -> OVERLAPPED {
    OVERLAPPED {
        Anonymous: OVERLAPPED_0 {
            Anonymous: OVERLAPPED_0_0 {
                Offset: u32::MAX - 1,
                OffsetHigh: i32::MAX as u32,
            },
        },
        ..OVERLAPPED::default()
    }
}

/// Has Windows write no report of a crash, which would contain memory.
pub(super) fn report_no_crashes() {
    // SAFETY: there are no conditions.
    unsafe { SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX) };
}

/// The processor time of this thread.
pub(super) fn thread_time() -> Duration {
    let mut times = [FILETIME::default(); 4];
    let [from, to, kernel, user] = times.each_mut();
    // SAFETY: the times live longer than the call.
    let read = unsafe { GetThreadTimes(GetCurrentThread(), from, to, kernel, user) };
    sum(read, &times)
}

/// The processor time of this process.
pub(super) fn process_time() -> Duration {
    let mut times = [FILETIME::default(); 4];
    let [from, to, kernel, user] = times.each_mut();
    // SAFETY: the times live longer than the call.
    let read = unsafe { GetProcessTimes(GetCurrentProcess(), from, to, kernel, user) };
    sum(read, &times)
}

/// The last two of these, in steps of 100 ns.
fn sum(read: i32, [_, _, kernel, user]: &[FILETIME; 4]) -> Duration {
    let steps = |time: &FILETIME| {
        (u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime))
            * u64::from(read != 0)
    };
    Duration::from_nanos((steps(kernel) + steps(user)).saturating_mul(100))
}

/// The folder of programs, where only administrators can write.
pub(super) fn program_files() -> io::Result<PathBuf> {
    let mut path = null_mut();
    let write = &raw mut path;
    // SAFETY: the name of the folder is constant, and `path` lives longer than the call.
    let code = unsafe { SHGetKnownFolderPath(&FOLDERID_ProgramFiles, 0, null_mut(), write) };
    let text = match code {
        // SAFETY: Windows has written a text that ends with a zero.
        0 => Ok(PathBuf::from(unsafe { wide(path) })),
        code => Err(io::Error::from_raw_os_error(code)),
    };
    // SAFETY: it is from that function, whose result has to be freed also after an error.
    unsafe { CoTaskMemFree(path.cast()) };
    text
}

/// A text of Windows.
///
/// # Safety
///
/// It must end with a zero.
unsafe fn wide(text: *const u16) -> OsString {
    // SAFETY: the text is there up to its zero.
    let is_text = |at: &usize| unsafe { *text.add(*at) } != 0;
    let length = (0..).take_while(is_text).count();
    // SAFETY: as above.
    OsString::from_wide(unsafe { std::slice::from_raw_parts(text, length) })
}

fn checked(done: i32) -> io::Result<()> {
    match done {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn succeeded(code: u32) -> io::Result<()> {
    match code {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code.cast_signed())),
    }
}
