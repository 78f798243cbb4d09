//! A row, or a bad row, as the JSON of its record.
