//! One program for all decoders; `FUZZ_DECODER` names the one to call. libFuzzer does the rest.
//!
//! An allocation beyond the bound ends the process: a length off the wire was believed.
#![no_main]

#[path = "../../../tests/decoders/mod.rs"]
mod decoders;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

/// Inputs have at most some kilobytes, and no decoder needs more than this for one thing.
/// The row buffer of the header's decoder and the window of zstd are the largest.
const ALLOCATION_BYTES_MAX: usize = 18 * 1024 * 1024;

struct Bounded;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        check(new_size);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

fn check(bytes: usize) {
    if bytes > ALLOCATION_BYTES_MAX {
        std::process::abort();
    }
}

fn decoder() -> fn(&[u8]) {
    let wanted = std::env::var("FUZZ_DECODER").unwrap_or_default();
    match decoders::all().find(|(name, _)| *name == wanted) {
        Some((_, decode)) => decode,
        None => {
            for (name, _) in decoders::all() {
                println!("{name}");
            }
            std::process::exit(i32::from(!wanted.is_empty()));
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    static DECODER: OnceLock<fn(&[u8])> = OnceLock::new();
    DECODER.get_or_init(decoder)(bytes);
});
