//! One gzip member (RFC 1951 and 1952), a block of deflate for each slice.
//!
//! ```text
//! 1f 8b 08 00 00000000 00 ff │ block │ block │ ... │ last │ CRC-32 │ length
//!
//! block   its codes (dynamic), then literals, repeats and the end of the block;
//!         or, where that would be longer, its bytes as they are (stored)
//! last    an empty block that says so
//! ```
//! A block ends in mid-byte: up to seven bits wait for the next one.
#![expect(clippy::cast_possible_truncation, reason = "symbols and counts of a block of 2^16 bytes")]

use super::bits::{Bits, DRAIN_BYTES, PUT_MAX};
use super::huffman;
use super::repeats::{Finder, Repeat};

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const TRAILER_BYTES: usize = 8;
/// What a stored block holds at most.
const STORED_BYTES_MAX: usize = 65_535;
/// How far back deflate reaches, and how long a repeat of it is.
const REACH: usize = 32_768;
const LENGTH_MIN: usize = 3;
const LENGTH_MAX: usize = 258;

const LITERAL_SYMBOLS: usize = 286;
const DISTANCE_SYMBOLS: usize = 30;
const LENGTHS_SYMBOLS: usize = 19;
const END_OF_BLOCK: usize = 256;
const FIRST_LENGTH: usize = 257;
const BITS_MAX: u8 = 15;
const LENGTHS_BITS_MAX: u8 = 7;
/// The kinds of a block, behind the bit that says whether it is the last one.
const STORED: u32 = 0;
const FIXED: u32 = 1;
const DYNAMIC: u32 = 2;

pub(super) struct Deflate {
    finder: Finder,
    bits: Bits,
    checksum: crc32fast::Hasher,
    raw_bytes: u32,
    literals: Code<LITERAL_SYMBOLS>,
    distances: Code<DISTANCE_SYMBOLS>,
}

impl Deflate {
    pub(super) fn new() -> Deflate {
        Deflate {
            finder: Finder::new(),
            bits: Bits::default(),
            checksum: crc32fast::Hasher::new(),
            raw_bytes: 0,
            literals: Code::new(),
            distances: Code::new(),
        }
    }

    /// For so many bytes; the header is part of it.
    pub(super) const fn worst_case(raw_bytes: usize) -> usize {
        const STORED_BYTES: usize = 6;
        HEADER.len() + raw_bytes + raw_bytes.div_ceil(STORED_BYTES_MAX) * STORED_BYTES
    }

    pub(super) const fn worst_case_end() -> usize {
        const LAST_BYTES: usize = 3;
        LAST_BYTES + TRAILER_BYTES
    }

    pub(super) fn begin(&mut self, out: &mut Vec<u8>) {
        self.bits = Bits::default();
        self.checksum.reset();
        self.raw_bytes = 0;
        out.extend_from_slice(&HEADER);
    }

    pub(super) fn encode(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        self.checksum.update(raw);
        for block in raw.chunks(STORED_BYTES_MAX) {
            // The trailer has the length modulo 2^32.
            self.raw_bytes = self.raw_bytes.wrapping_add(block.len() as u32);
            self.block(block, out);
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.bits.put(1, 1);
        self.bits.put(FIXED, 2);
        self.bits.put(0, 7);
        self.bits.align(out);
        out.extend_from_slice(&self.checksum.clone().finalize().to_le_bytes());
        out.extend_from_slice(&self.raw_bytes.to_le_bytes());
    }

    fn block(&mut self, block: &[u8], out: &mut Vec<u8>) {
        let repeats = self.finder.find(block, REACH, LENGTH_MAX);
        let extra_bits = count(block, repeats, &mut self.literals, &mut self.distances);
        self.literals.build(BITS_MAX);
        self.distances.build(BITS_MAX);
        let head = Head::new(&self.literals.lengths, &self.distances.lengths);
        let bits = head.bits() + self.literals.bits() + self.distances.bits() + extra_bits;

        let start = out.len();
        let bytes = bits.div_ceil(8);
        if bytes >= block.len() {
            store(block, &mut self.bits, out);
            return;
        }
        out.resize(start + bytes + DRAIN_BYTES, 0);
        let mut writer = Writer { bits: self.bits, out, at: start };
        writer.head(&head);
        writer.body(block, repeats, &self.literals, &self.distances);
        let Writer { bits, at, .. } = writer;
        self.bits = bits;
        out.truncate(at);
    }
}

fn store(block: &[u8], bits: &mut Bits, out: &mut Vec<u8>) {
    bits.put(0, 1);
    bits.put(STORED, 2);
    bits.align(out);
    let length = block.len() as u16;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    out.extend_from_slice(block);
}

/// Counts the symbols of a block; answers the bits that stand beside them.
fn count(
    block: &[u8],
    repeats: &[Repeat],
    literals: &mut Code<LITERAL_SYMBOLS>,
    distances: &mut Code<DISTANCE_SYMBOLS>,
) -> usize {
    literals.counts = [0; LITERAL_SYMBOLS];
    distances.counts = [0; DISTANCE_SYMBOLS];
    let add = |count: &mut u32| *count = count.wrapping_add(1);
    let (mut rest, mut extra_bits) = (block, 0);
    for repeat in repeats {
        let (before, after) = rest.split_at(usize::from(repeat.literals));
        for byte in before {
            add(&mut literals.counts[usize::from(*byte)]);
        }
        let length = LENGTHS[usize::from(repeat.length) - LENGTH_MIN];
        let distance = Step::of_distance(repeat.distance);
        add(&mut literals.counts[usize::from(length.symbol)]);
        add(&mut distances.counts[usize::from(distance.symbol)]);
        extra_bits += usize::from(length.extra_bits) + usize::from(distance.extra_bits);
        rest = &after[usize::from(repeat.length)..];
    }
    for byte in rest {
        add(&mut literals.counts[usize::from(*byte)]);
    }
    add(&mut literals.counts[END_OF_BLOCK]);
    extra_bits
}

struct Writer<'a> {
    bits: Bits,
    out: &'a mut [u8],
    at: usize,
}

type Words<const SYMBOLS: usize> = [Word; SYMBOLS];

impl Writer<'_> {
    fn head(&mut self, head: &Head) {
        self.bits.put(0, 1);
        self.bits.put(DYNAMIC, 2);
        self.bits.put((head.literal_count - FIRST_LENGTH) as u32, 5);
        self.bits.put((head.distance_count - 1) as u32, 5);
        self.bits.put((head.length_count - 4) as u32, 4);
        for symbol in &LENGTHS_ORDER[..head.length_count] {
            self.drain();
            self.bits.put(u32::from(head.code.lengths[*symbol]), 3);
        }
        for step in &head.steps[..head.step_count] {
            self.drain();
            self.symbol(head.code.words[usize::from(step.symbol)]);
            self.bits.put(u32::from(step.extra), u32::from(step.extra_bits));
        }
        self.drain();
    }

    fn body(
        &mut self,
        block: &[u8],
        repeats: &[Repeat],
        literals: &Code<LITERAL_SYMBOLS>,
        distances: &Code<DISTANCE_SYMBOLS>,
    ) {
        let mut rest = block;
        for repeat in repeats {
            let (before, after) = rest.split_at(usize::from(repeat.literals));
            self.literals(before, &literals.words);
            let length = LENGTHS[usize::from(repeat.length) - LENGTH_MIN];
            let distance = Step::of_distance(repeat.distance);
            self.symbol(literals.words[usize::from(length.symbol)]);
            self.bits.put(u32::from(length.extra), u32::from(length.extra_bits));
            self.symbol(distances.words[usize::from(distance.symbol)]);
            self.bits.put(u32::from(distance.extra), u32::from(distance.extra_bits));
            self.drain();
            rest = &after[usize::from(repeat.length)..];
        }
        self.literals(rest, &literals.words);
        self.symbol(literals.words[END_OF_BLOCK]);
        self.drain();
    }

    #[inline]
    fn literals(&mut self, bytes: &[u8], words: &Words<LITERAL_SYMBOLS>) {
        const AT_ONCE: usize = 3;
        const { assert!(AT_ONCE as u32 * (BITS_MAX as u32) <= PUT_MAX) };
        let (triples, rest) = bytes.as_chunks::<AT_ONCE>();
        for triple in triples {
            for &byte in triple {
                self.symbol(words[usize::from(byte)]);
            }
            self.drain();
        }
        for &byte in rest {
            self.symbol(words[usize::from(byte)]);
        }
        self.drain();
    }

    #[inline]
    fn symbol(&mut self, word: Word) {
        self.bits.put(u32::from(word.code), u32::from(word.bits));
    }

    #[inline]
    fn drain(&mut self) {
        self.bits.drain(self.out, &mut self.at);
    }
}

/// A symbol with the bits that stand behind it.
#[derive(Debug, Clone, Copy)]
struct Step {
    symbol: u16,
    extra_bits: u8,
    extra: u16,
}

impl Step {
    const fn of_length(length: usize) -> Step {
        let rest = (length - LENGTH_MIN) as u16;
        if length == LENGTH_MAX {
            return Step { symbol: 285, extra_bits: 0, extra: 0 };
        }
        if rest < 8 {
            return Step { symbol: FIRST_LENGTH as u16 + rest, extra_bits: 0, extra: 0 };
        }
        let extra_bits = rest.ilog2() as u16 - 2;
        Step {
            symbol: FIRST_LENGTH as u16 + 4 * extra_bits + (rest >> extra_bits),
            extra_bits: extra_bits as u8,
            extra: rest & ((1 << extra_bits) - 1),
        }
    }

    #[inline]
    fn of_distance(distance: u16) -> Step {
        let rest = distance - 1;
        if rest < 4 {
            return Step { symbol: rest, extra_bits: 0, extra: 0 };
        }
        let extra_bits = rest.ilog2() as u16 - 1;
        Step {
            symbol: 2 * extra_bits + (rest >> extra_bits),
            extra_bits: extra_bits as u8,
            extra: rest & ((1 << extra_bits) - 1),
        }
    }
}

const LENGTHS: [Step; LENGTH_MAX - LENGTH_MIN + 1] = {
    let mut steps = [Step::of_length(LENGTH_MIN); LENGTH_MAX - LENGTH_MIN + 1];
    let mut length = LENGTH_MIN;
    while length <= LENGTH_MAX {
        steps[length - LENGTH_MIN] = Step::of_length(length);
        length += 1;
    }
    steps
};

/// How a symbol is written.
#[derive(Debug, Clone, Copy, Default)]
struct Word {
    code: u16,
    bits: u16,
}

struct Code<const SYMBOLS: usize> {
    counts: [u32; SYMBOLS],
    lengths: [u8; SYMBOLS],
    words: [Word; SYMBOLS],
}

impl<const SYMBOLS: usize> Code<SYMBOLS> {
    fn new() -> Self {
        Code { counts: [0; SYMBOLS], lengths: [0; SYMBOLS], words: [Word::default(); SYMBOLS] }
    }

    /// The best code for what was counted: words of one length follow each other, the shorter
    /// come first, and each is written from its highest bit on.
    fn build(&mut self, bits_max: u8) {
        huffman::lengths(&self.counts, bits_max, &mut self.lengths);
        let mut next = [0_u16; BITS_MAX as usize + 2];
        for &bits in &self.lengths {
            next[usize::from(bits) + 1] += u16::from(bits > 0);
        }
        for bits in 1..=usize::from(bits_max) {
            next[bits] = 2 * (next[bits] + next[bits - 1]);
        }
        // next[bits] is now the first word of so many bits.
        for (word, &bits) in self.words.iter_mut().zip(&self.lengths) {
            *word = Word::default();
            if bits > 0 {
                let next = &mut next[usize::from(bits)];
                *word = Word { code: next.reverse_bits() >> (16 - bits), bits: u16::from(bits) };
                *next = next.wrapping_add(1);
            }
        }
    }

    fn bits(&self) -> usize {
        self.counts
            .iter()
            .zip(&self.lengths)
            .map(|(count, bits)| *count as usize * usize::from(*bits))
            .sum()
    }
}

/// What stands before a dynamic block: the lengths of both codes, themselves in a code.
struct Head {
    literal_count: usize,
    distance_count: usize,
    length_count: usize,
    steps: [Step; LITERAL_SYMBOLS + DISTANCE_SYMBOLS],
    step_count: usize,
    code: Code<LENGTHS_SYMBOLS>,
}

/// The order in which the lengths of that code are written.
const LENGTHS_ORDER: [usize; LENGTHS_SYMBOLS] =
    [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const FIELDS_BITS: usize = 1 + 2 + 5 + 5 + 4;

impl Head {
    fn new(literals: &[u8; LITERAL_SYMBOLS], distances: &[u8; DISTANCE_SYMBOLS]) -> Head {
        let used = |lengths: &[u8], least: usize| {
            lengths.iter().rposition(|bits| *bits > 0).map_or(least, |last| least.max(last + 1))
        };
        let (literal_count, distance_count) = (used(literals, FIRST_LENGTH), used(distances, 1));
        let mut all = [0; LITERAL_SYMBOLS + DISTANCE_SYMBOLS];
        all[..literal_count].copy_from_slice(&literals[..literal_count]);
        all[literal_count..literal_count + distance_count]
            .copy_from_slice(&distances[..distance_count]);
        let mut head = Head {
            literal_count,
            distance_count,
            length_count: 0,
            steps: [Step { symbol: 0, extra_bits: 0, extra: 0 };
                LITERAL_SYMBOLS + DISTANCE_SYMBOLS],
            step_count: 0,
            code: Code::new(),
        };
        let mut rest = &all[..literal_count + distance_count];
        while let Some(&bits) = rest.first() {
            let run = rest.iter().take_while(|next| **next == bits).count();
            head.run(bits, run);
            rest = &rest[run..];
        }
        head.code.build(LENGTHS_BITS_MAX);
        let last = LENGTHS_ORDER.iter().rposition(|symbol| head.code.lengths[*symbol] > 0);
        head.length_count = last.map_or(4, |last| 4.max(last + 1));
        head
    }

    /// So many symbols with codes of so many bits: 18 and 17 stand for many that have none, 16
    /// for three to six more of the same.
    fn run(&mut self, bits: u8, mut run: usize) {
        if bits == 0 {
            while run >= 3 {
                let most = run.min(138);
                let (symbol, least, extra_bits) = if most > 10 { (18, 11, 7) } else { (17, 3, 3) };
                self.push(symbol, extra_bits, most - least);
                run -= most;
            }
        } else {
            self.push(u16::from(bits), 0, 0);
            run -= 1;
            while run >= 3 {
                let most = run.min(6);
                self.push(16, 2, most - 3);
                run -= most;
            }
        }
        for _ in 0..run {
            self.push(u16::from(bits), 0, 0);
        }
    }

    fn push(&mut self, symbol: u16, extra_bits: u8, extra: usize) {
        self.steps[self.step_count] = Step { symbol, extra_bits, extra: extra as u16 };
        self.step_count += 1;
        self.code.counts[usize::from(symbol)] += 1;
    }

    fn bits(&self) -> usize {
        let extra: usize =
            self.steps[..self.step_count].iter().map(|step| usize::from(step.extra_bits)).sum();
        FIELDS_BITS + 3 * self.length_count + self.code.bits() + extra
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Decompress, FlushDecompress};

    /// As the tables of RFC 1951, 3.2.5 have them: from symbol 257 on, and from 0 on, the
    /// smallest length and distance, and how many bits say how much more it is.
    const LENGTHS_OF_RFC: [(usize, u8); 29] = [
        (3, 0),
        (4, 0),
        (5, 0),
        (6, 0),
        (7, 0),
        (8, 0),
        (9, 0),
        (10, 0),
        (11, 1),
        (13, 1),
        (15, 1),
        (17, 1),
        (19, 2),
        (23, 2),
        (27, 2),
        (31, 2),
        (35, 3),
        (43, 3),
        (51, 3),
        (59, 3),
        (67, 4),
        (83, 4),
        (99, 4),
        (115, 4),
        (131, 5),
        (163, 5),
        (195, 5),
        (227, 5),
        (258, 0),
    ];
    const DISTANCES_OF_RFC: [(usize, u8); 30] = [
        (1, 0),
        (2, 0),
        (3, 0),
        (4, 0),
        (5, 1),
        (7, 1),
        (9, 2),
        (13, 2),
        (17, 3),
        (25, 3),
        (33, 4),
        (49, 4),
        (65, 5),
        (97, 5),
        (129, 6),
        (193, 6),
        (257, 7),
        (385, 7),
        (513, 8),
        (769, 8),
        (1_025, 9),
        (1_537, 9),
        (2_049, 10),
        (3_073, 10),
        (4_097, 11),
        (6_145, 11),
        (8_193, 12),
        (12_289, 12),
        (16_385, 13),
        (24_577, 13),
    ];

    fn inflated(bytes: &[u8], raw_bytes: usize) -> Vec<u8> {
        let mut back = Vec::with_capacity(raw_bytes + 1);
        let mut inflate = Decompress::new(false);
        inflate.decompress_vec(bytes, &mut back, FlushDecompress::Finish).unwrap();
        back
    }

    #[test]
    fn every_length_and_distance_has_the_symbol_of_the_rfc() {
        let of = |table: &[(usize, u8)], number: usize| {
            let symbol = table.partition_point(|(least, _)| *least <= number) - 1;
            let (least, extra_bits) = table[symbol];
            (symbol, extra_bits, number - least)
        };
        for length in LENGTH_MIN..=LENGTH_MAX {
            let Step { symbol, extra_bits, extra } = LENGTHS[length - LENGTH_MIN];
            let found = (usize::from(symbol) - FIRST_LENGTH, extra_bits, usize::from(extra));
            assert_eq!(found, of(&LENGTHS_OF_RFC, length), "length {length}");
        }
        for distance in 1..=REACH {
            let Step { symbol, extra_bits, extra } = Step::of_distance(distance as u16);
            let found = (usize::from(symbol), extra_bits, usize::from(extra));
            assert_eq!(found, of(&DISTANCES_OF_RFC, distance), "distance {distance}");
        }
    }

    /// How often each of so many symbols occurs, so that the tree is as deep as it can be.
    fn rabbits(symbols: usize) -> Vec<usize> {
        let mut counts = vec![1, 1];
        while counts.len() < symbols {
            counts.push(counts[counts.len() - 2..].iter().sum());
        }
        counts
    }

    /// Literals, lengths and distances whose words have 15 bits stand side by side, with as many
    /// bits beside them as there can be.
    #[test]
    fn the_longest_words_that_there_are() {
        let mut block = Vec::new();
        let mut letters = 8;
        for letter in b'c'..=b'p' {
            block.resize(block.len() + letters, letter);
            letters += letters * 3 / 4;
        }
        // Distances from far to near, the farthest ones seldom.
        let counts = rabbits(15).into_iter().zip(DISTANCES_OF_RFC.iter().rev());
        let distances = counts.flat_map(|(count, (distance, _))| vec![*distance; count]);
        let mut repeats = Vec::new();
        for (index, distance) in distances.enumerate() {
            let from = if index == 0 { 0 } else { block.len() };
            // No literal, one, or two, the first ones of the rarest.
            let letters = if index < 5 { &b"ab"[..index % 3] } else { b"" };
            block.extend_from_slice(letters);
            let literals = (block.len() - from) as u16;
            // The longest ones with most bits beside them, once each, and then but the shortest.
            let (least, extra_bits) = LENGTHS_OF_RFC[27 - index.min(5)];
            let length = least + (1 << extra_bits) - 1;
            let length = if index < 5 { length.min(LENGTH_MAX - 1) } else { LENGTH_MIN };
            for _ in 0..length {
                block.push(block[block.len() - distance]);
            }
            repeats.push(Repeat { literals, length: length as u16, distance: distance as u16 });
        }
        block.extend_from_slice(b"ab");
        assert!(block.len() <= STORED_BYTES_MAX);

        let mut deflate = Deflate::new();
        for waiting in 0..8 {
            let extra = count(&block, &repeats, &mut deflate.literals, &mut deflate.distances);
            deflate.literals.build(BITS_MAX);
            deflate.distances.build(BITS_MAX);
            assert_eq!(deflate.literals.lengths.iter().max(), Some(&BITS_MAX));
            assert!(deflate.distances.lengths.iter().max() >= Some(&13));
            let head = Head::new(&deflate.literals.lengths, &deflate.distances.lengths);
            let (words, far) = (&deflate.literals, &deflate.distances);
            let bits = head.bits() + words.bits() + far.bits() + extra;
            let mut out = vec![0; waiting + bits.div_ceil(8) + DRAIN_BYTES];
            let mut writer = Writer { bits: Bits::default(), out: &mut out, at: 0 };
            // Empty blocks of ten bits, so that this one begins at any place in a byte.
            for _ in 0..waiting {
                writer.bits.put(FIXED << 1, 10);
                writer.drain();
            }
            let before = 10 * waiting;
            writer.head(&head);
            writer.body(&block, &repeats, words, far);
            let Writer { bits: mut rest, at, .. } = writer;
            out.truncate(at);
            assert_eq!(at, (before + bits) / 8, "as many bits as were counted");
            rest.put(1 | FIXED << 1, 10);
            rest.align(&mut out);
            assert!(inflated(&out, block.len()) == block, "{before} bits before it");
        }
    }

    /// The lengths of both codes may be as uneven as lengths can be: their own code has words of
    /// at most seven bits, and fills its room.
    #[test]
    fn the_code_of_the_lengths_keeps_to_its_seven_bits() {
        for symbols in 2..=9_u8 {
            // No length twice in a row, so that each is written by itself.
            let mut left: Vec<u32> = (0..symbols).map(|at| 1 << at.max(1) >> 1).collect();
            let mut lengths = Vec::new();
            while let Some((bits, count)) = left
                .iter_mut()
                .enumerate()
                .filter(|(bits, _)| lengths.last() != Some(&(*bits as u8 + 1)))
                .max_by_key(|(_, count)| **count)
                .filter(|(_, count)| **count > 0)
            {
                *count -= 1;
                lengths.push(bits as u8 + 1);
            }
            let mut literals = [0; LITERAL_SYMBOLS];
            literals[LITERAL_SYMBOLS - lengths.len()..].copy_from_slice(&lengths);
            let mut distances = [0; DISTANCE_SYMBOLS];
            distances[..2].fill(symbols);
            let head = Head::new(&literals, &distances);
            let words = head.code.lengths.iter().filter(|bits| **bits > 0);
            assert!(words.clone().all(|bits| *bits <= LENGTHS_BITS_MAX), "{symbols}");
            let room: u32 = words.map(|bits| 1 << (LENGTHS_BITS_MAX - bits)).sum();
            assert_eq!(room, 1 << LENGTHS_BITS_MAX, "{symbols}");
            assert!(symbols < 8 || head.code.lengths.contains(&LENGTHS_BITS_MAX), "{symbols}");
        }
    }
}
