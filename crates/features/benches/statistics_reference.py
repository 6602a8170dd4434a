"""Times what benches/statistics.rs times, in numpy and scipy as the SegAD authors' table is made: for each segment a
boolean mask, then quantile, skewness, kurtosis and mean; then the maximum of the map.

Versions: numpy 1.24.4, scipy 1.10.1. Run: python statistics_reference.py [rounds]
"""
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
import scipy
from scipy.stats import kurtosis, skew

SIDE, SEGMENTS, MAPS = 256, 7, 16


def unit(i):
    return ((i * 2654435761 + 40503) % 2**32).astype(np.float64) / 2**32


def anomaly_map(k):
    i = np.arange(SIDE * SIDE, dtype=np.uint64) * np.uint64(MAPS) + np.uint64(k)
    a, b = unit(i), unit(i + np.uint64(7919))
    return (a * b + 0.1 * a).astype(np.float32).reshape(SIDE, SIDE)


def labels():
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    inside = (x % 85 < 64) & (y % 128 < 64) & (x < 255)
    return np.where(inside, 1 + x // 85 + 3 * (y // 128), 0)


def row(m, segments):
    out = []
    for j in range(SEGMENTS):
        v = m[segments == j]
        out += [np.quantile(v, 0.995), skew(v), kurtosis(v), np.mean(v)]
    return out + [np.max(m)]


def main():
    maps, segments = [anomaly_map(k) for k in range(MAPS)], labels()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    times = []
    for _ in range(rounds + 1):
        start = time.process_time()
        for m in maps:
            row(m, segments)
        times.append((time.process_time() - start) / MAPS)
    times = sorted(times[1:])  # the first round warms up
    print(f"numpy {np.__version__}, scipy {scipy.__version__}, one thread: median {1e3 * times[len(times) // 2]:.3f} ms, "
          f"least {1e3 * times[0]:.3f} ms of processor time a map")


if __name__ == "__main__":
    main()
