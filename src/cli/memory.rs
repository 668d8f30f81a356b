//! What this process does with memory that it no longer needs.
#![allow(
    unsafe_code,
    reason = "the allocator's parameters are set by a function of the C library"
)]

/// Allocations of so many bytes have pages of their own, which go back to the system as they are freed.
#[cfg(target_env = "gnu")]
const OWN_PAGES: libc::c_int = 128 << 10;

/// Has the large buffers of idle devices go back to the system.
///
/// Left to itself, glibc's allocator keeps what is as large as anything that was freed once; with a device for each thread,
/// and its memory in pieces, that is most of what all devices ever needed at once.
pub(super) fn give_back_large_buffers() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes two numbers, and may be called at any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_PAGES);
    }
}
