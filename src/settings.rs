//! The one table of settings: name, flag, default, meaning, secret or not.
