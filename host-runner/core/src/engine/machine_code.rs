//! The embedded component's machine code, which is part of this program's file.
//!
//! It is run where the system has mapped the program: only the pages that calls
//! reach take memory, and all processes share them.

use wasmtime::component::Component;
use wasmtime::{Config, Engine};

/// Bytes that start at a page of memory, as machine code that is run in place has
/// to: pages have 4 KiB on x86-64, and up to 64 KiB elsewhere.
#[cfg_attr(target_arch = "x86_64", repr(C, align(4096)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C, align(65536)))]
pub struct Pages<const LENGTH: usize>(
    /// The bytes.
    pub [u8; LENGTH],
);

/// Prepares an engine for [`load`]. Such an engine must not compile anything.
pub(super) fn configure(config: &mut Config) {
    #[cfg(target_os = "linux")]
    config.with_custom_code_memory(Some(std::sync::Arc::new(in_place::Program)));
    #[cfg(not(target_os = "linux"))]
    let _ = config;
}

/// A component from its machine code, which starts at a page.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "a precompiled component can only be loaded this way"
)]
pub(super) fn load(engine: &Engine, code: &'static [u8]) -> wasmtime::Result<Component> {
    in_place::check_alignment(code)?;
    let code = std::ptr::NonNull::from(code);
    // SAFETY: the bytes are constant data of this program, so they are there as
    // long as it runs and nothing writes to them: the system maps them read-only.
    // The build script of the binary embeds only what `precompile` made from the
    // very component that is embedded too. They are not input from outside:
    // changing them requires changing the program around them. wasmtime itself
    // refuses code of another version, configuration or processor.
    unsafe { Component::deserialize_raw(engine, code) }
}

/// The same, for a system where a program may not make its own data executable:
/// copies the code.
#[cfg(not(target_os = "linux"))]
#[expect(
    unsafe_code,
    reason = "a precompiled component can only be loaded this way"
)]
pub(super) fn load(engine: &Engine, code: &'static [u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes are part of this program, as the build script of the
    // binary embedded them: only what `precompile` made from the very component
    // that is embedded too.
    unsafe { Component::deserialize(engine, code) }
}

#[cfg(target_os = "linux")]
mod in_place {
    use rustix::mm::{MprotectFlags, mprotect};
    use rustix::param::page_size;
    use wasmtime::CustomCodeMemory;

    /// The constant data of this program, of which the component's code becomes
    /// executable.
    pub(super) struct Program;

    /// wasmtime itself panics over code that does not start at a page.
    pub(super) fn check_alignment(code: &[u8]) -> wasmtime::Result<()> {
        match code.as_ptr().addr().is_multiple_of(page_size()) {
            true => Ok(()),
            false => Err(wasmtime::Error::msg(
                "the machine code does not start at a page of memory",
            )),
        }
    }

    impl CustomCodeMemory for Program {
        fn required_alignment(&self) -> usize {
            page_size()
        }

        #[expect(
            unsafe_code,
            reason = "only this way can code that is part of the program be run"
        )]
        fn publish_executable(&self, code: *const u8, length: usize) -> wasmtime::Result<()> {
            let flags = MprotectFlags::READ | MprotectFlags::EXEC;
            // SAFETY: wasmtime passes the pages of the code that it was given, and
            // that is constant data of this program (see `load`). They stay
            // readable, and were never writable.
            unsafe { mprotect(code.cast_mut().cast(), length, flags) }?;
            Ok(())
        }

        /// Leaves the code executable: it is part of the program, and another
        /// engine may run it.
        fn unpublish_executable(&self, _: *const u8, _: usize) -> wasmtime::Result<()> {
            Ok(())
        }
    }
}
