//! Content-addressed results; anomaly maps as Parquet
