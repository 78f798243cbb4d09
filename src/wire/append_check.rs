//! What a partition leader answers to an append: Kafka's idempotent producer state.
