//! Statistics of an anomaly map inside each segment
