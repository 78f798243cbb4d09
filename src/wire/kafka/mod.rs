//! Kafka's protocol: frames, versions, messages.
