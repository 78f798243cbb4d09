//! Fetch in version 3, for brokers older than 0.11: the `kafka-protocol` crate begins at 4.
//!
//! ```text
//! request   replica i32 (-1) | wait i32 | bytes at least i32 | bytes at most i32
//!           topic count i32 (1) | name | partition count i32 (1)
//!             partition i32 | offset i64 | bytes at most i32
//! answer    throttle i32
//!           topic count i32 | name | partition count i32
//!             partition i32 | error i16 | high watermark i64 | length i32 | messages
//! ```
//! It is the first version that shows one message whole even if it is larger than asked for.

use bytes::Bytes;

use super::Garbled;
use super::answers::Fetched;

/// The one old version that is spoken.
pub const OLD_FETCH: i16 = 3;

/// The body of the request, behind its header.
pub fn encode_body(
    out: &mut Vec<u8>,
    topic: &str,
    partition: i32,
    offset: i64,
    wait_ms: u32,
    bytes_max: i32,
) -> Result<(), String> {
    let length = i16::try_from(topic.len()).map_err(|_| format!("\"{topic}\" is too long"))?;
    for number in [-1, wait_ms.cast_signed(), 1, bytes_max, 1] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(topic.as_bytes());
    out.extend_from_slice(&1_i32.to_be_bytes());
    out.extend_from_slice(&partition.to_be_bytes());
    out.extend_from_slice(&offset.to_be_bytes());
    out.extend_from_slice(&bytes_max.to_be_bytes());
    Ok(())
}

/// The answer; the messages are a view into the frame.
pub fn decode(frame: &Bytes, partition: i32) -> Result<Fetched, Garbled> {
    walk(frame, partition).ok_or_else(|| Garbled::new("Fetch 3: it ends too early"))?
}

fn walk(frame: &Bytes, wanted: i32) -> Option<Result<Fetched, Garbled>> {
    let mut left: &[u8] = frame;
    left.split_off(..4)?; // correlation id
    let throttle_ms = u64::from(take_i32(&mut left)?.max(0).unsigned_abs());
    // Each element takes bytes, so a false count ends with the frame.
    for _ in 0..take_i32(&mut left)? {
        let name_bytes = i16::from_be_bytes(*left.split_off(..2)?.first_chunk()?);
        left.split_off(..usize::try_from(name_bytes).ok()?)?;
        for _ in 0..take_i32(&mut left)? {
            let partition = take_i32(&mut left)?;
            let error_code = i16::from_be_bytes(*left.split_off(..2)?.first_chunk()?);
            left.split_off(..8)?; // high watermark
            let length = usize::try_from(take_i32(&mut left)?.max(0)).ok()?;
            let messages = left.split_off(..length)?;
            if partition == wanted {
                return Some(Ok(Fetched {
                    throttle_ms,
                    error_code,
                    log_start: -1,
                    batches: frame.slice_ref(messages),
                }));
            }
        }
    }
    Some(Err(Garbled::new("Fetch: nothing about the partition")))
}

fn take_i32(left: &mut &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(*left.split_off(..4)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(partition: i32, error_code: i16, messages: &[u8]) -> Vec<u8> {
        let length = u32::try_from(messages.len()).unwrap();
        [
            &7_i32.to_be_bytes()[..],
            &250_i32.to_be_bytes(),
            &1_i32.to_be_bytes(),
            &2_i16.to_be_bytes(),
            b"t2",
            &1_i32.to_be_bytes(),
            &partition.to_be_bytes(),
            &error_code.to_be_bytes(),
            &90_i64.to_be_bytes(),
            &length.to_be_bytes(),
            messages,
        ]
        .concat()
    }

    #[test]
    fn an_answer_and_each_of_its_beginnings() {
        let whole = answer(4, 0, b"messages");
        let fetched = decode(&Bytes::from(whole.clone()), 4).unwrap();
        assert_eq!((fetched.throttle_ms, fetched.error_code, fetched.log_start), (250, 0, -1));
        assert_eq!(fetched.batches, &b"messages"[..]);
        for cut in 0..whole.len() {
            assert!(decode(&Bytes::copy_from_slice(&whole[..cut]), 4).is_err(), "{cut} bytes");
        }
        assert!(decode(&Bytes::from(answer(3, 0, b"")), 4).is_err());
        assert_eq!(decode(&Bytes::from(answer(4, 6, b"")), 4).unwrap().error_code, 6);
    }

    #[test]
    fn the_request_is_as_drawn() {
        let mut out = Vec::new();
        encode_body(&mut out, "t2", 4, 77, 500, 1000).unwrap();
        let expected = [
            &(-1_i32).to_be_bytes()[..],
            &500_i32.to_be_bytes(),
            &1_i32.to_be_bytes(),
            &1000_i32.to_be_bytes(),
            &1_i32.to_be_bytes(),
            &2_i16.to_be_bytes(),
            b"t2",
            &1_i32.to_be_bytes(),
            &4_i32.to_be_bytes(),
            &77_i64.to_be_bytes(),
            &1000_i32.to_be_bytes(),
        ]
        .concat();
        assert_eq!(out, expected);
        assert!(encode_body(&mut out, &"t".repeat(40_000), 0, 0, 0, 0).is_err());
    }
}
