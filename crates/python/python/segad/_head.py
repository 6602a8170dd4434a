"""The estimator."""

from __future__ import annotations

import itertools
import json
import os
import warnings
from dataclasses import dataclass
from typing import Any, Iterable, Iterator, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from . import _segad

# Maps that numpy has to copy (another type, order or stride) are copied this many images at a time,
# so that they are never held twice.
_BATCH = 64

Maps = Union[ArrayLike, Iterable[ArrayLike]]


@dataclass(frozen=True)
class Reason:
    """One statistic and its part in a score."""

    segment: str
    """The segment; empty for what belongs to the whole image."""
    detector: str
    """The detector, or the classifier."""
    statistic: str
    """The statistic, e.g. ``q99.5`` or ``max``."""
    value: float
    """Its value; NaN where it is missing."""
    usual: tuple[float, float]
    """Where 90 % of the good training images are."""
    contribution: float
    """What it adds to the score; positive is towards bad."""


class SegAD(ClassifierMixin, BaseEstimator):
    """Scores images by statistics of their anomaly maps inside segments.

    Parameters
    ----------
    segments : array of integers, (h, w) or (n, h, w), or None
        Label map with values 0 to L-1: one for all images, or one per training image; other images
        then come with theirs. None: the whole image is one segment.
    segment_names, detectors : list of str or None
        Names for columns and reasons.
    forest : {"brf", "rf", "bt"}
        Boosted random forest (the paper's), random forest, or boosted trees.
    forest_params : dict or None
        Changes to the forest's settings, e.g. ``{"max_depth": 3}``.
    monotone : bool
        Whether quantiles, means and maxima may only raise the score.
    statistics : sequence of {"q", "skewness", "kurtosis", "mean", "max"}
        What is computed in each segment.
    quantile : float
        Level of ``"q"``.
    global_max : bool
        Whether the maximum of each whole map is a feature too.
    cv : int or None
        Number of folds for out-of-fold scores. None: 5 where ``fit`` is given groups, else none.
    random_state : int
        Seed. The same seed and data give the same bytes on any number of threads.
    n_jobs : int or None
        Threads; None: one per core.

    Attributes
    ----------
    classes_ : the labels, the larger one being bad.
    feature_names_out_ : names of the features.
    forest_ : the fitted forest.
    oof_scores_ : scores of the training images by forests that did not see them, or None.
    """

    def __init__(
        self,
        segments: ArrayLike | None = None,
        *,
        segment_names: list[str] | None = None,
        detectors: list[str] | None = None,
        forest: str = "brf",
        forest_params: dict[str, Any] | None = None,
        monotone: bool = True,
        statistics: tuple[str, ...] = ("q", "skewness", "kurtosis", "mean"),
        quantile: float = 0.995,
        global_max: bool = True,
        cv: int | None = None,
        random_state: int = 0,
        n_jobs: int | None = None,
    ):
        self.segments = segments
        self.segment_names = segment_names
        self.detectors = detectors
        self.forest = forest
        self.forest_params = forest_params
        self.monotone = monotone
        self.statistics = statistics
        self.quantile = quantile
        self.global_max = global_max
        self.cv = cv
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(
        self,
        X: Maps,
        y: ArrayLike,
        groups: ArrayLike | None = None,
        *,
        g: ArrayLike | None = None,
    ) -> SegAD:
        """Fits the forest.

        Parameters
        ----------
        X : (n, k, h, w) or (n, h, w) array, or an iterable of (k, h, w) or (h, w) arrays
            Anomaly maps of k detectors, float32. (n, p): maps of one detector with p pixels each,
            in any order.
        y : (n,)
            Labels; the larger one is bad.
        groups : (n,) or None
            Images of the same piece: they stay in one fold of the out-of-fold scores.
        g : (n,) or None
            Scores of a classifier, a further feature.
        """
        batches = self._batches(X, fitting=True)
        labels = self._encode(y)
        label_maps = _label_maps(self.segments)
        first = next(batches)
        self._shape = first.shape[1:]
        self._names = [self._detector_names(), self._segment_names(label_maps)]
        self._extractor = self._make_extractor()
        self._has_g = g is not None
        values = self._rows(itertools.chain([first], batches), label_maps, g)
        if len(values) != len(labels):
            raise ValueError(
                "Found input variables with inconsistent numbers of samples: "
                f"{len(values)} maps, {len(labels)} labels"
            )
        columns = self._extractor.columns() + ["classifier/score"] * self._has_g
        self.feature_names_out_ = np.asarray(columns, dtype=object)
        self.forest_ = self._fit_forest(values, labels)
        self._usual = _usual_range(values[labels == 0])
        self.oof_scores_ = self._out_of_fold(values, labels, groups)
        return self

    def compute_features(
        self, X: Maps, *, g: ArrayLike | None = None, segments: ArrayLike | None = None
    ) -> NDArray[np.float32]:
        """The features, (n, columns); NaN where a statistic is missing. ``segments``: label maps of
        these images, expected where the estimator was fitted with one per image."""
        check_is_fitted(self, "forest_")
        label_maps = _label_maps(self.segments if segments is None else segments)
        if segments is None and label_maps is not None and len(label_maps) > 1:
            raise ValueError("segments = None: expected a label map per image, as in fit")
        if (g is not None) != self._has_g:
            given = "None: expected a score per image" if self._has_g else "given: expected None"
            raise ValueError(f"g = {given}, as in fit")
        return self._rows(self._batches(X, fitting=False), label_maps, g)

    def decision_function(
        self, X: Maps, *, g: ArrayLike | None = None, segments: ArrayLike | None = None
    ) -> NDArray[np.float32]:
        """Scores, (n,); higher is more anomalous."""
        values = self.compute_features(X, g=g, segments=segments)
        return self.forest_.margins(values)

    def predict(
        self, X: Maps, *, g: ArrayLike | None = None, segments: ArrayLike | None = None
    ) -> NDArray[Any]:
        """Labels: bad where the score is above 0, which weighs good and bad images alike."""
        scores = self.decision_function(X, g=g, segments=segments)
        return self.classes_[(scores > 0).astype(int)]

    def predict_proba(
        self, X: Maps, *, g: ArrayLike | None = None, segments: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Probabilities of good and bad, (n, 2), as if both were equally frequent. They are the
        forest's own; ``sklearn.calibration`` calibrates them."""
        scores = self.decision_function(X, g=g, segments=segments).astype(np.float64)
        bad = 1 / (1 + np.exp(-scores))
        return np.column_stack([1 - bad, bad])

    def explain(
        self, maps: ArrayLike, *, g: float | None = None, segments: ArrayLike | None = None
    ) -> list[Reason]:
        """Reasons for the score of one image, (k, h, w) or (h, w), those that make it worst first.
        Their contributions and the forest's mean score add up to the score (Shapley values)."""
        scores = None if g is None else np.asarray([g])
        values = self.compute_features(iter([maps]), g=scores, segments=segments)
        contributions = self.forest_.contributions(values)[0, :-1]
        order = np.argsort(-contributions, kind="stable")
        return [
            Reason(
                *_parts(self.feature_names_out_[i]),
                value=float(values[0, i]),
                usual=(float(self._usual[0, i]), float(self._usual[1, i])),
                contribution=float(contributions[i]),
            )
            for i in order
            if contributions[i] != 0
        ]

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names of the features: ``segment/detector/statistic``, ``detector/max``."""
        check_is_fitted(self, "forest_")
        return self.feature_names_out_

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "forest_" in state:
            state["forest_"] = state["forest_"].to_bytes()
            del state["_extractor"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "forest_" in state:
            self.forest_ = _segad.Forest.from_bytes(state["forest_"])
            self._extractor = self._make_extractor()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.classifier_tags.multi_class = False
        return tags

    def _encode(self, y: ArrayLike) -> NDArray[np.uint8]:
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) > 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is "
                f"{type_of_target(y)}."
            )
        if len(self.classes_) < 2:
            raise ValueError(f"y has {len(self.classes_)} class: expected good and bad images")
        return labels.astype(np.uint8)

    def _segment_names(self, label_maps: NDArray[np.uint8] | None) -> Iterable[str]:
        count = 1 if label_maps is None else int(label_maps.max()) + 1
        if self.segment_names is None:
            return [f"segment {i + 1}" for i in range(count)] if count > 1 else ["image"]
        if len(self.segment_names) < count:
            raise ValueError(
                f"segment_names = {len(self.segment_names)} names: expected {count}, one a segment"
            )
        return self.segment_names

    def _detector_names(self) -> list[str]:
        count = self._shape[0]
        if self.detectors is None:
            return [f"map {i + 1}" for i in range(count)]
        if len(self.detectors) != count:
            raise ValueError(
                f"detectors = {len(self.detectors)} names: expected {count}, one per map of an image"
            )
        return list(self.detectors)

    def _make_extractor(self) -> _segad.Features:
        settings = {
            "statistics": list(self.statistics),
            "quantile": self.quantile,
            "global_max": self.global_max,
        }
        return _segad.Features(*self._names, json.dumps(settings))

    def _threads(self) -> int:
        if self.n_jobs in (None, -1):
            return len(os.sched_getaffinity(0))
        if self.n_jobs > 0:
            return self.n_jobs
        raise ValueError(f"n_jobs = {self.n_jobs!r}: expected None, -1 or a positive number")

    def _batches(self, X: Maps, fitting: bool) -> Iterator[NDArray[np.float32]]:
        """X as arrays (n, k, h, w), contiguous; those that fit already are not copied."""
        items = isinstance(X, Iterator) or (isinstance(X, (list, tuple)) and np.ndim(X[:1]) > 2)
        if items:
            X = iter(X)
            while batch := list(itertools.islice(X, _BATCH)):
                yield self._batch(np.stack(batch), fitting)
                fitting = False
            return
        if not hasattr(X, "ndim"):
            X = np.asarray(X)
        if X.ndim <= 2:
            X = validate_data(self, X, dtype=np.float32, order="C", reset=fitting)
            yield self._batch(X[:, None, None, :], False)
            return
        ready = getattr(X, "dtype", None) == np.float32 and X.flags.c_contiguous
        for start in range(0, max(len(X), 1), len(X) or 1 if ready else _BATCH):
            yield self._batch(X[start:] if ready else X[start : start + _BATCH], fitting)
            fitting = False

    def _batch(self, maps: NDArray[Any], fitting: bool) -> NDArray[np.float32]:
        # Whether all values are finite is checked where they are read.
        maps = check_array(
            maps, dtype=np.float32, order="C", allow_nd=True, ensure_2d=False, ensure_all_finite=False
        )
        if maps.ndim == 3:
            maps = maps[:, None]
        if maps.ndim != 4:
            raise ValueError(
                f"maps = array of shape {maps.shape}: expected (n, k, h, w), (n, h, w) or (n, p)"
            )
        if fitting:
            self.n_features_in_ = int(np.prod(maps.shape[1:]))
        elif maps.shape[1:] != getattr(self, "_shape", maps.shape[1:]):
            raise ValueError(f"maps of {maps.shape[1:]}: expected {self._shape}, as in fit")
        return maps

    def _rows(
        self,
        batches: Iterator[NDArray[np.float32]],
        label_maps: NDArray[np.uint8] | None,
        g: ArrayLike | None,
    ) -> NDArray[np.float32]:
        if label_maps is None:
            label_maps = np.zeros((1, *self._shape[1:]), np.uint8)
        rows: list[NDArray[np.float32]] = []
        first = 0
        for maps in batches:
            labels = label_maps if len(label_maps) == 1 else label_maps[first : first + len(maps)]
            rows.append(self._extractor.rows(maps, labels, first, self._threads()))
            first += len(maps)
        if len(label_maps) not in (1, first):
            raise ValueError(
                f"segments = {len(label_maps)} label maps: expected one, or one for each of {first} "
                "images"
            )
        values = np.concatenate(rows) if rows else np.empty((0, 0), np.float32)
        if g is None:
            return values
        g = column_or_1d(g, dtype=np.float32)
        check_consistent_length(values, g)
        return np.column_stack([values, g])

    def _fit_forest(self, values: NDArray[np.float32], labels: NDArray[np.uint8]) -> _segad.Forest:
        columns = list(self.feature_names_out_)
        seed = self.random_state
        if not 0 <= seed < 2**63:
            raise ValueError(f"random_state = {seed!r}: expected an integer from 0 to 2**63 - 1")
        settings = {"preset": self.forest, **(self.forest_params or {})}
        monotone = _segad.rising(columns) if self.monotone else []
        return _segad.Forest.fit(
            columns,
            values,
            labels,
            monotone,
            json.dumps(settings),
            int(seed),
            self._threads(),
        )

    def _out_of_fold(
        self,
        values: NDArray[np.float32],
        labels: NDArray[np.uint8],
        groups: ArrayLike | None,
    ) -> NDArray[np.float32] | None:
        folds = self.cv if self.cv is not None else 5 if groups is not None else None
        if folds is None:
            return None
        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
        splits = kind(folds, shuffle=True, random_state=self.random_state)
        scores = np.empty(len(values), np.float32)
        for train, held_out in splits.split(values, labels, groups):
            forest = self._fit_forest(values[train], labels[train])
            scores[held_out] = forest.margins(values[held_out])
        return scores


def _label_maps(segments: ArrayLike | None) -> NDArray[np.uint8] | None:
    """Label maps as (1 or n, h, w)."""
    if segments is None:
        return None
    maps = np.asarray(segments)
    if maps.ndim == 1:
        maps = maps[None]
    if maps.ndim == 2:
        maps = maps[None]
    if maps.ndim != 3 or maps.dtype.kind not in "iub" or maps.size == 0:
        raise ValueError(
            f"segments = {maps.dtype} array of shape {maps.shape}: expected integers, (h, w) or "
            "(n, h, w)"
        )
    if maps.min() < 0 or maps.max() > 254:
        raise ValueError(
            f"segments = values {maps.min()} to {maps.max()}: expected labels from 0 to 254"
        )
    return np.ascontiguousarray(maps, dtype=np.uint8)


def _usual_range(good: NDArray[np.float32]) -> NDArray[np.float64]:
    """Where 90 % of the good images are in each column; NaN where all are missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanpercentile(good.astype(np.float64), [5, 95], axis=0)


def _parts(column: str) -> tuple[str, str, str]:
    """Segment, detector and statistic of a column's name."""
    parts = column.split("/")
    return ("", *parts) if len(parts) == 2 else tuple(parts)
