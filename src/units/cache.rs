//! A hint to the processor: what is about to be needed. Changes no value, reads nothing; where a processor has no such hint, it does
//! nothing.

/// Bytes of a line of the cache.
const LINE_BYTES: usize = 64;

/// Begins to bring what lies at `what` near, and does not wait for it. Only what it holds itself, nothing that it points to.
#[inline]
pub fn prefetch<T: ?Sized>(what: &T) {
    prefetch_every(what, LINE_BYTES);
}

/// The same for the first line of each stretch of so many bytes: of what is padded, so that its parts do not share a line, the
/// padding need not come.
#[inline]
pub fn prefetch_every<T: ?Sized>(what: &T, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for at in (0..size_of_val(what)).step_by(bytes) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        let line = std::ptr::from_ref(what).cast::<i8>().wrapping_add(at);
        #[expect(unsafe_code, reason = "the hint has no safe wrapper, and cold memory is the dearest thing in a tick")]
        // SAFETY: the instruction is part of every x86_64 processor; it reads and writes nothing and faults at no address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T1>(line);
        };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (what, bytes);
}
