//! What a lint can not hold: the direction of imports between the layers, a //! in every file.
