//! Copies of a few bytes, without a call.
//!
//! What is done for each row copies names, values and lengths of a few bytes. A call of the C
//! library's `memcpy` takes longer than that, musl's most of all: it was a fifth of the time of a
//! run. So they are copied in steps of a fixed size, which overlap where they must.
//!
//! ```text
//! 11 bytes   aaaaaaaa        the first eight
//!               bbbbbbbb     the last eight
//! ```

/// Copies `from` to the beginning of `to`.
#[inline]
pub(super) fn copy(to: &mut [u8], from: &[u8]) {
    let to = &mut to[..from.len()];
    match from.len() {
        0 => {}
        1..4 => {
            let (middle, last) = (from.len() / 2, from.len() - 1);
            to[0] = from[0];
            to[middle] = from[middle];
            to[last] = from[last];
        }
        4..8 => ends::<4>(to, from),
        8..16 => ends::<8>(to, from),
        16..=32 => ends::<16>(to, from),
        33..=64 => ends::<32>(to, from),
        _ => to.copy_from_slice(from),
    }
}

/// Between `BYTES` and twice as many.
#[inline]
fn ends<const BYTES: usize>(to: &mut [u8], from: &[u8]) {
    if let (Some(to), Some(from)) = (to.first_chunk_mut::<BYTES>(), from.first_chunk()) {
        *to = *from;
    }
    if let (Some(to), Some(from)) = (to.last_chunk_mut::<BYTES>(), from.last_chunk()) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_nothing_beside_it() {
        let from: Vec<u8> = (1..=100).collect();
        for count in 0..=from.len() {
            let mut to = [0; 101];
            copy(&mut to, &from[..count]);
            assert_eq!(to[..count], from[..count]);
            assert!(to[count..].iter().all(|byte| *byte == 0), "{count}");
        }
    }
}
