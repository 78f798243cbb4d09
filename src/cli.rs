//! Arguments and environment into settings; every problem at once.
