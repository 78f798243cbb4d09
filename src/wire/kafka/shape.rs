//! Walks an answer before the `kafka-protocol` crate decodes it.
//!
//! The crate sizes each array by the count that came off the wire (`Vec::with_capacity`), so
//! nine bytes could ask for hundreds of gigabytes and end the process. All else in its decoders
//! is checked: lengths of strings and bytes against what is left, varints to five bytes, and
//! tagged fields by their size, except that those it knows are decoded without regard to the
//! size that they claim. So each answer is walked first, by a table of its fields: every element
//! that a count promises must be there. What is decoded after that is at most some ten times
//! the size of the frame, and the frame is bounded
//! ([`BROKER_ANSWER_BYTES_MAX`](crate::limits::BROKER_ANSWER_BYTES_MAX)).

use super::Garbled;

/// An answer's fields, and from which version on it is flexible.
#[derive(Debug)]
pub struct Shape {
    pub name: &'static str,
    pub flexible: i16,
    /// The version from which on the answer's header has tagged fields too.
    pub header_tags: i16,
    pub fields: &'static [Field],
}

#[derive(Debug)]
pub struct Field {
    since: i16,
    until: i16,
    part: Part,
}

#[derive(Debug)]
enum Part {
    Fixed(usize),
    Text,
    Blob,
    List(&'static [Field]),
    /// Tagged fields; those listed are known to the crate.
    Tags(&'static [(u32, &'static [Field])]),
}

/// Checks that a frame, correlation id included, has this shape and nothing after it.
pub fn check(shape: &Shape, version: i16, frame: &[u8]) -> Result<(), Garbled> {
    let mut walker = Walker { left: frame, version, flexible: version >= shape.flexible };
    walker
        .answer(version >= shape.header_tags, shape.fields)
        .map_err(|why| Garbled::new(format!("{} {version}: {why}", shape.name)))
}

const CORRELATION_BYTES: usize = 4;

struct Walker<'a> {
    left: &'a [u8],
    version: i16,
    flexible: bool,
}

impl Walker<'_> {
    fn answer(&mut self, header_has_tags: bool, fields: &[Field]) -> Result<(), String> {
        self.skip(CORRELATION_BYTES)?;
        if header_has_tags {
            self.tags(&[])?;
        }
        self.fields(fields)?;
        match self.left.len() {
            0 => Ok(()),
            more => Err(format!("{more} bytes too many")),
        }
    }

    fn fields(&mut self, fields: &[Field]) -> Result<(), String> {
        for field in fields {
            if (field.since..=field.until).contains(&self.version) {
                self.part(&field.part)?;
            }
        }
        Ok(())
    }

    fn part(&mut self, part: &Part) -> Result<(), String> {
        match part {
            Part::Fixed(bytes) => self.skip(*bytes),
            Part::Text if !self.flexible => {
                let length = self.take()?;
                self.skip_length(i64::from(i16::from_be_bytes(length)))
            }
            Part::Text | Part::Blob => {
                let length = self.length()?;
                self.skip_length(length)
            }
            // Each element takes at least a byte, so a false count ends with the frame.
            Part::List(fields) => {
                for _ in 0..self.length()? {
                    self.fields(fields)?;
                }
                Ok(())
            }
            Part::Tags(known) if self.flexible => self.tags(known),
            Part::Tags(_) => Ok(()),
        }
    }

    fn tags(&mut self, known: &[(u32, &'static [Field])]) -> Result<(), String> {
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let bytes = self.varint()? as usize;
            let before = self.left.len();
            match known.iter().find(|(number, _)| *number == tag) {
                None => self.skip(bytes)?,
                Some((_, fields)) => {
                    self.fields(fields)?;
                    if before - self.left.len() != bytes {
                        return Err(format!("tagged field {tag} is not of the size it claims"));
                    }
                }
            }
        }
        Ok(())
    }

    /// The length of bytes or count of a list; -1 is null.
    fn length(&mut self) -> Result<i64, String> {
        if self.flexible {
            Ok(i64::from(self.varint()?) - 1)
        } else {
            self.take().map(|bytes| i64::from(i32::from_be_bytes(bytes)))
        }
    }

    fn varint(&mut self) -> Result<u32, String> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.take()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return u32::try_from(value).map_err(|_| "a length beyond 32 bits".into());
            }
        }
        Err("a length of more than five bytes".into())
    }

    fn skip_length(&mut self, length: i64) -> Result<(), String> {
        match length {
            -1 => Ok(()),
            _ => match usize::try_from(length) {
                Ok(bytes) => self.skip(bytes),
                Err(_) => Err(format!("a length of {length}")),
            },
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (head, rest) = self.left.split_first_chunk().ok_or("it ends too early")?;
        self.left = rest;
        Ok(*head)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), String> {
        self.left = self.left.get(bytes..).ok_or("it ends too early")?;
        Ok(())
    }
}

const fn always(part: Part) -> Field {
    Field { since: 0, until: i16::MAX, part }
}

const fn since(version: i16, part: Part) -> Field {
    Field { since: version, until: i16::MAX, part }
}

const fn until(version: i16, part: Part) -> Field {
    Field { since: 0, until: version, part }
}

const I8: Part = Part::Fixed(1);
const I16: Part = Part::Fixed(2);
const I32: Part = Part::Fixed(4);
const I64: Part = Part::Fixed(8);
const ID: Part = Part::Fixed(16);
const TAGS: Field = always(Part::Tags(&[]));
const NEVER: i16 = i16::MAX;

pub const API_VERSIONS: Shape = Shape {
    name: "ApiVersions",
    flexible: 3,
    // Its header never has: the broker can not know yet what the client understands.
    header_tags: NEVER,
    fields: &[
        always(I16),
        always(Part::List(&[always(I16), always(I16), always(I16), TAGS])),
        since(1, I32),
        always(Part::Tags(&[
            (0, &[always(FEATURES)]),
            (1, &[always(I64)]),
            (2, &[always(FEATURES)]),
            (3, &[always(I8)]),
        ])),
    ],
};
const FEATURES: Part = Part::List(&[always(Part::Text), always(I16), always(I16), TAGS]);

pub const METADATA: Shape = Shape {
    name: "Metadata",
    flexible: 9,
    header_tags: 9,
    fields: &[
        since(3, I32),
        always(Part::List(&[
            always(I32),
            always(Part::Text),
            always(I32),
            since(1, Part::Text),
            TAGS,
        ])),
        since(2, Part::Text),
        since(1, I32),
        always(Part::List(&[
            always(I16),
            always(Part::Text),
            since(10, ID),
            since(1, I8),
            always(Part::List(&[
                always(I16),
                always(I32),
                always(I32),
                since(7, I32),
                always(Part::List(&[always(I32)])),
                always(Part::List(&[always(I32)])),
                since(5, Part::List(&[always(I32)])),
                TAGS,
            ])),
            since(8, I32),
            TAGS,
        ])),
        Field { since: 8, until: 10, part: I32 },
        since(13, I16),
        TAGS,
    ],
};

pub const PRODUCE: Shape = Shape {
    name: "Produce",
    flexible: 9,
    header_tags: 9,
    fields: &[
        always(Part::List(&[
            until(12, Part::Text),
            since(13, ID),
            always(Part::List(&[
                always(I32),
                always(I16),
                always(I64),
                since(2, I64),
                since(5, I64),
                since(8, Part::List(&[always(I32), always(Part::Text), TAGS])),
                since(8, Part::Text),
                always(Part::Tags(&[(0, &[always(I32), always(I32), TAGS])])),
            ])),
            TAGS,
        ])),
        since(1, I32),
        always(Part::Tags(&[(
            0,
            &[always(Part::List(&[
                always(I32),
                always(Part::Text),
                always(I32),
                always(Part::Text),
                TAGS,
            ]))],
        )])),
    ],
};

pub const INIT_PRODUCER_ID: Shape = Shape {
    name: "InitProducerId",
    flexible: 2,
    header_tags: 2,
    fields: &[always(I32), always(I16), always(I64), always(I16), TAGS],
};

pub const LIST_OFFSETS: Shape = Shape {
    name: "ListOffsets",
    flexible: 6,
    header_tags: 6,
    fields: &[
        since(2, I32),
        always(Part::List(&[
            always(Part::Text),
            always(Part::List(&[
                always(I32),
                always(I16),
                always(I64),
                always(I64),
                since(4, I32),
                TAGS,
            ])),
            TAGS,
        ])),
        TAGS,
    ],
};

pub const EPOCH_END: Shape = Shape {
    name: "OffsetForLeaderEpoch",
    flexible: 4,
    header_tags: 4,
    fields: &[
        since(2, I32),
        always(Part::List(&[
            always(Part::Text),
            always(Part::List(&[always(I16), always(I32), always(I32), always(I64), TAGS])),
            TAGS,
        ])),
        TAGS,
    ],
};

pub const FETCH: Shape = Shape {
    name: "Fetch",
    flexible: 12,
    header_tags: 12,
    fields: &[
        since(1, I32),
        since(7, I16),
        since(7, I32),
        always(Part::List(&[
            always(Part::Text),
            always(Part::List(&[
                always(I32),
                always(I16),
                always(I64),
                since(4, I64),
                since(5, I64),
                since(4, Part::List(&[always(I64), always(I64)])),
                since(11, I32),
                always(Part::Blob),
            ])),
        ])),
    ],
};

pub const DESCRIBE_CONFIGS: Shape = Shape {
    name: "DescribeConfigs",
    flexible: 4,
    header_tags: 4,
    fields: &[
        always(I32),
        always(Part::List(&[
            always(I16),
            always(Part::Text),
            always(I8),
            always(Part::Text),
            always(Part::List(&[
                always(Part::Text),
                always(Part::Text),
                always(I8),
                since(1, I8),
                always(I8),
                since(1, Part::List(&[always(Part::Text), always(Part::Text), always(I8), TAGS])),
                since(3, I8),
                since(3, Part::Text),
                TAGS,
            ])),
            TAGS,
        ])),
        TAGS,
    ],
};

pub const SASL_HANDSHAKE: Shape = Shape {
    name: "SaslHandshake",
    flexible: NEVER,
    header_tags: NEVER,
    fields: &[always(I16), always(Part::List(&[always(Part::Text)]))],
};

pub const SASL_AUTHENTICATE: Shape = Shape {
    name: "SaslAuthenticate",
    flexible: 2,
    header_tags: 2,
    fields: &[always(I16), always(Part::Text), always(Part::Blob), since(1, I64), TAGS],
};
