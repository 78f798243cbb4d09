//! The simulation: worlds that cut, delay, repeat and kill, around the real flow.
