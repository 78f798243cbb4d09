//! file_ledger
