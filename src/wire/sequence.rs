//! Ordinals and producer sequence numbers.
