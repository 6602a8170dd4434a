//! What is printed. Where nobody reads any more, as in `cargo xtask doctor | head -1`, nothing is;
//! `println!` and `eprintln!` would panic there.

/// A line on standard output, for programs.
macro_rules! output {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// A line on standard error, for people.
macro_rules! tell {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}
