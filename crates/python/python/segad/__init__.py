"""SegAD in Python: learn from a few labelled bad images which anomalies matter.

``SegAD`` is a scikit-learn estimator for anomaly maps that you already have, from any detector. It
takes statistics of each map inside each segment of the part and fits a boosted random forest to
them ("Supervised Anomaly Detection for Complex Industrial Images", CVPR 2024).

>>> import numpy as np, segad
>>> rng = np.random.default_rng(0)
>>> maps = rng.random((40, 1, 32, 32), dtype=np.float32)
>>> maps[30:, 0, 4:8, 4:8] += 1
>>> y = np.repeat([0, 1], [30, 10])
>>> head = segad.SegAD().fit(maps, y)
>>> scores = head.decision_function(maps)
>>> bool(scores[y == 1].min() > scores[y == 0].max())
True
>>> head.explain(maps[35])[0].detector
'map 1'

``Model`` inspects images with a model that the program ``segad`` fitted; it needs libtorch.
"""

from ._head import Reason, SegAD
from ._inspect import Model
from ._segad import xgboost_version

__all__ = ["Model", "Reason", "SegAD", "xgboost_version"]
__version__ = "0.1.0"
