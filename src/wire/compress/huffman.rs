//! Prefix codes: for how often each symbol occurs, how many bits it takes.

/// No alphabet has more symbols (deflate's literals and lengths).
const SYMBOLS_MAX: usize = 288;

/// The lengths of the best code in which no symbol takes more than `bits_max` bits; a symbol
/// that does not occur has 0. At least two symbols get a length, as readers expect.
pub(super) fn lengths(counts: &[u32], bits_max: u8, lengths: &mut [u8]) {
    lengths.fill(0);
    let (mut symbols, mut used) = ([0_u16; SYMBOLS_MAX], 0);
    for (symbol, count) in (0_u16..).zip(counts) {
        if *count > 0 {
            symbols[used] = symbol;
            used += 1;
        }
    }
    for symbol in 0..2 {
        if used < 2 && counts[usize::from(symbol)] == 0 {
            symbols[used] = symbol;
            used += 1;
        }
    }
    let symbols = &mut symbols[..used];
    symbols.sort_unstable_by_key(|symbol| (counts[usize::from(*symbol)], *symbol));

    // The most frequent symbols take the shortest lengths.
    let mut frequent_first = symbols.iter().rev();
    for (bits, count) in (1_u8..).zip(shape(symbols, counts, bits_max)) {
        for symbol in frequent_first.by_ref().take(count) {
            lengths[usize::from(*symbol)] = bits;
        }
    }
}

const BITS_LIMIT: usize = 15;

/// How many symbols take 1 bit, 2 bits and so on.
fn shape(symbols: &[u16], counts: &[u32], bits_max: u8) -> [usize; BITS_LIMIT] {
    let leaves = symbols.len();
    let nodes = 2 * leaves - 1;
    let mut weights = [0_u32; 2 * SYMBOLS_MAX];
    let mut parents = [0_u16; 2 * SYMBOLS_MAX];
    for (weight, symbol) in weights.iter_mut().zip(symbols) {
        *weight = counts[usize::from(*symbol)];
    }
    // Leaves are sorted, and inner nodes come into being sorted: the two lightest of all are
    // at the front of either.
    let (mut leaf, mut inner) = (0, leaves);
    for (node, name) in (0..nodes).zip(0_u16..).skip(leaves) {
        for _ in 0..2 {
            let is_leaf = leaf < leaves && (inner == node || weights[leaf] <= weights[inner]);
            let lightest = if is_leaf { &mut leaf } else { &mut inner };
            weights[node] += weights[*lightest];
            parents[*lightest] = name;
            *lightest += 1;
        }
    }
    let bits_max = usize::from(bits_max);
    let mut depths = [0_u8; 2 * SYMBOLS_MAX];
    let mut by_bits = [0; BITS_LIMIT];
    for node in (0..nodes - 1).rev() {
        depths[node] = depths[usize::from(parents[node])] + 1;
        if node < leaves {
            by_bits[usize::from(depths[node]).min(bits_max) - 1] += 1;
        }
    }
    // Those that were cut short take room that others give: each takes one place among the
    // longest beside another symbol, which goes a bit deeper for it.
    let room = 1_usize << bits_max;
    let room_of = |(bits, count): (usize, usize)| count << (bits_max - bits);
    let mut taken: usize = (1..=bits_max).zip(by_bits).map(room_of).sum();
    while taken > room {
        by_bits[bits_max - 1] -= 1;
        let shorter = (0..bits_max - 1).rev().find(|bits| by_bits[*bits] > 0);
        let Some(shorter) = shorter else { unreachable!("so many symbols have no such code") };
        by_bits[shorter] -= 1;
        by_bits[shorter + 1] += 2;
        taken -= 1;
    }
    by_bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(counts: &[u32], bits_max: u8) -> Vec<u8> {
        let mut found = vec![9; counts.len()];
        lengths(counts, bits_max, &mut found);
        found
    }

    #[test]
    fn rare_symbols_take_more_bits() {
        assert_eq!(of(&[5, 1, 1, 2], 15), [1, 3, 3, 2]);
        assert_eq!(of(&[0, 7, 0, 7, 7, 7], 15), [0, 2, 0, 2, 2, 2]);
        // Two symbols at least.
        assert_eq!(of(&[0, 0, 3], 15), [1, 0, 1]);
        assert_eq!(of(&[3, 0, 0], 15), [1, 1, 0]);
        assert_eq!(of(&[0, 0, 0], 15), [1, 1, 0]);
    }

    /// Counts that grow like rabbits make the deepest tree.
    #[test]
    fn no_symbol_takes_too_many_bits() {
        let mut rabbits = vec![1_u32, 1];
        while rabbits.len() < 30 {
            rabbits.push(rabbits[rabbits.len() - 2..].iter().sum());
        }
        for bits_max in [5, 7, 15] {
            for symbols in 2..=rabbits.len() {
                let found = of(&rabbits[..symbols], bits_max);
                assert!(found.iter().all(|bits| (1..=bits_max).contains(bits)), "{found:?}");
                let room: u32 = found.iter().map(|bits| 1 << (bits_max - bits)).sum();
                assert_eq!(room, 1 << bits_max, "all of the room is used, {symbols} of {bits_max}");
                assert!(found.is_sorted_by(|one, next| one >= next), "{found:?}");
            }
        }
    }
}
