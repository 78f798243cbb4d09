//! Writes numbers of so many bits one behind the other, the lowest bit first.

/// What does not fill a byte yet waits here.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bits {
    held: u64,
    count: u32,
}

/// `drain` may write so many, whatever it counts.
pub(super) const DRAIN_BYTES: usize = 8;
/// `drain` leaves fewer than eight behind; between two calls so many can be put.
pub(super) const PUT_MAX: u32 = u64::BITS - 8;

impl Bits {
    /// `value` has no more bits than that.
    #[inline]
    pub(super) fn put(&mut self, value: u32, bits: u32) {
        // The caller keeps to `PUT_MAX`: nothing wraps, and nothing is checked for each symbol.
        self.held |= u64::from(value).wrapping_shl(self.count);
        self.count = self.count.wrapping_add(bits);
    }

    /// Writes the bytes that are full to `out[*at..]`, which has room for eight.
    #[inline]
    pub(super) fn drain(&mut self, out: &mut [u8], at: &mut usize) {
        out[*at..*at + DRAIN_BYTES].copy_from_slice(&self.held.to_le_bytes());
        self.held = self.held.wrapping_shr(self.count & !7);
        *at += (self.count / 8) as usize;
        self.count %= 8;
    }

    /// Fills the last byte up, and appends it.
    pub(super) fn align(&mut self, out: &mut Vec<u8>) {
        let bytes = self.count.div_ceil(8) as usize;
        out.extend_from_slice(&self.held.to_le_bytes()[..bytes]);
        *self = Bits::default();
    }
}
