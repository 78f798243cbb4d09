//! What an answer to a produce request means: the table of Kafka's error numbers.
//!
//! Every error means "perhaps appended": 7 and 6 can come after an append, 19 is decided
//! before the duplicate check. Only 10, as the first answer to a batch, is definite.

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    Success,
    /// 45, 46: not the next sequence. The partition tells whether ours landed.
    OutOfOrder,
    /// 59: the broker does not know our producer (before 2.5).
    UnknownProducer,
    /// 10: too large for the topic.
    TooLarge,
    /// Ask who leads, then send the same bytes again.
    Refresh,
    /// Send the same bytes again.
    Repeat,
    /// A person must act.
    Fatal {
        problem: &'static str,
        advice: &'static str,
    },
}

pub fn meaning(error_code: i16) -> Meaning {
    match error_code {
        0 => Meaning::Success,
        45 | 46 => Meaning::OutOfOrder,
        59 => Meaning::UnknownProducer,
        10 => Meaning::TooLarge,
        3 | 5 | 6 | 9 | 13 | 56 | 72 | 74 | 100 | 103 => Meaning::Refresh,
        17 => fatal("the topic's name is not valid (17)", "Mend KAFKA_TOPIC"),
        18 => {
            fatal("the batch is larger than a log segment (18)", "Raise segment.bytes of the topic")
        }
        21 => {
            fatal("acks=all is refused (21)", "Ask who runs the cluster: this is not Kafka's way")
        }
        29 => fatal(
            "no permission to write to the topic (29)",
            "Grant WRITE and READ on the topic to this user",
        ),
        31 => fatal(
            "no permission to use a producer id (31)",
            "Grant WRITE on the topic, and before Kafka 2.8 IDEMPOTENT_WRITE on the cluster",
        ),
        32 => fatal(
            "the records' time is refused (32): this machine's clock is wrong",
            "Set the clock (chrony, systemd-timesyncd) and start again",
        ),
        35 => fatal("the protocol version is refused (35)", "Report this: it is our defect"),
        42 => fatal("the request is refused as invalid (42)", "Report this: it is our defect"),
        43 => fatal(
            "the topic's message format is too old for exactly-once (43)",
            "Remove log.message.format.version from the topic or the brokers",
        ),
        44 => fatal(
            "a policy of the cluster refuses the records (44)",
            "Ask who runs the cluster which policy that is",
        ),
        47 => fatal(
            "our producer epoch is fenced (47): another program used this job's producer id",
            "Stop that program; load the source under a new JOB_ID",
        ),
        48 => fatal("a transaction stands in the way (48)", "Report this: it is our defect"),
        76 => {
            fatal("the broker does not know this compression (76)", "Set KAFKA_COMPRESSION to gzip")
        }
        87 => fatal(
            "the records are refused as invalid (87): is the topic compacted?",
            "Set cleanup.policy=delete on the topic",
        ),
        // 2, 7, 14, 19, 20, 75, 89 and whatever else a broker may think of.
        _ => Meaning::Repeat,
    }
}

fn fatal(problem: &'static str, advice: &'static str) -> Meaning {
    Meaning::Fatal { problem, advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_its_group() {
        let group = |code| match meaning(code) {
            Meaning::Success => "success",
            Meaning::OutOfOrder => "out of order",
            Meaning::UnknownProducer => "unknown producer",
            Meaning::TooLarge => "too large",
            Meaning::Refresh => "refresh",
            Meaning::Repeat => "repeat",
            Meaning::Fatal { .. } => "fatal",
        };
        let groups = [
            ("success", &[0][..]),
            ("out of order", &[45, 46]),
            ("unknown producer", &[59]),
            ("too large", &[10]),
            ("refresh", &[3, 5, 6, 9, 13, 56, 72, 74, 100, 103]),
            ("repeat", &[2, 7, 14, 19, 20, 75, 89, -1, 1234]),
            ("fatal", &[17, 18, 21, 29, 31, 32, 35, 42, 43, 44, 47, 48, 76, 87]),
        ];
        for (expected, codes) in groups {
            for code in codes {
                assert_eq!(group(*code), expected, "error {code}");
            }
        }
    }
}
