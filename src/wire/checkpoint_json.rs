//! Checkpoint item to JSON and back: the ledger file, and DynamoDB's typed attributes.
