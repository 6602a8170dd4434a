"""What the Python package costs beside the same work in Rust, and saves beside numpy and scipy.

    cargo build --package segad-python --example thousand_maps
    python crates/python/benches/head.py target/debug/examples/thousand_maps

The features of 1000 maps of 256x256 with 7 segments, one thread: `compute_features` of the package,
a Rust program without Python, and the loop of the SegAD authors' table (on 16 maps). The package
and Rust take turns, since machines are shared; printed are medians and the median of each turn's
quotient. With other work on the machine, only the quotients mean something.
"""

import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np
import segad

sys.path.insert(0, str(pathlib.Path(__file__).parent / "../../features/benches"))
import statistics_reference as reference

TURNS = 7


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main():
    sixteen = np.stack([reference.anomaly_map(k) for k in range(reference.MAPS)])
    maps = sixteen[np.arange(1000) % reference.MAPS][:, None]
    labels = reference.labels()
    head = segad.SegAD(segments=labels, forest_params={"rounds": 1, "trees_per_round": 1}, n_jobs=1)
    head.fit(maps[:40], np.arange(40) % 2)
    python, rust, authors = [], [], []
    for _ in range(TURNS):
        python.append(seconds(lambda: head.compute_features(maps)))
        rust.append(float(subprocess.check_output(sys.argv[1], text=True).split()[0]))
        loop = seconds(lambda: [reference.row(m, labels) for m in sixteen])
        authors.append(loop / reference.MAPS * len(maps))
    for name, times in {"package": python, "Rust": rust, "numpy and scipy": authors}.items():
        print(f"{name}: {statistics.median(times):.3f} s, {min(times):.3f} to {max(times):.3f}")
    overhead = statistics.median(p / r for p, r in zip(python, rust)) - 1
    print(f"package over Rust: {100 * overhead:+.1f} %")
    times = statistics.median(a / p for a, p in zip(authors, python))
    print(f"numpy and scipy over package: {times:.1f} times")


main()
