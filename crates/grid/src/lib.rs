//! TOML experiments, checked, as a plan of cells
