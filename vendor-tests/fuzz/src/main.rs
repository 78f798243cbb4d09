//! A program for the decoder that `FUZZ_DECODER` names at compile time, or without it one that
//! lists them. libFuzzer does the rest.
//!
//! An allocation beyond the bound ends the process: a length off the wire was believed.
#![no_main]

#[path = "../../../tests/decoders/mod.rs"]
mod decoders;

use std::alloc::{GlobalAlloc, Layout, System};

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

/// Found while compiling: the linker leaves out what only the others need, and libFuzzer has
/// fewer counters to look at after each execution.
const DECODER: Option<fn(&[u8])> = match option_env!("FUZZ_DECODER") {
    Some(name) => find(name.as_bytes()),
    None => None,
};

const fn find(name: &[u8]) -> Option<fn(&[u8])> {
    let mut group = 0;
    while group < decoders::ALL.len() {
        let mut at = 0;
        while at < decoders::ALL[group].len() {
            let (other, decode) = decoders::ALL[group][at];
            if is_same(other.as_bytes(), name) {
                return Some(decode);
            }
            at += 1;
        }
        group += 1;
    }
    panic!("FUZZ_DECODER names no decoder");
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

fuzz_target!(|bytes: &[u8]| {
    match DECODER {
        Some(decode) => decode(bytes),
        None => {
            for (name, _) in decoders::all() {
                println!("{name}");
            }
            std::process::exit(0);
        }
    }
});
