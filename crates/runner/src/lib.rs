//! Runs cells; the binary segad
