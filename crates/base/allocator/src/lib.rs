//! The memory allocator of programs that train: mimalloc, told to keep its pages.
//!
//! A training step allocates and frees the same hundreds of megabytes over and over. The C library's malloc hands such blocks
//! back to the system at once, and gets them as fresh zeroed pages the next time, which takes a third of a step; mimalloc
//! does the same after ten milliseconds unless it is told not to.
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: allocator::MiMalloc = allocator::MiMalloc;
//!
//! allocator::keep_pages();
//! let frame = vec![7u8; 1 << 20];
//! assert_eq!(frame[1 << 19], 7);
//! ```

pub use mimalloc::MiMalloc;

/// `mi_option_purge_delay` in mimalloc's headers of versions 2 and 3, which the bindings do not name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Keeps freed memory for the next allocation until the program ends. Call it first in `main`.
pub fn keep_pages() {
    // SAFETY: sets an integer option of the process; it takes any value and needs no set-up.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
}
