"""The Python head against the numbers of the Rust side, scikit-learn's conventions, bad input."""

import json
import pathlib
import pickle
import tracemalloc

import numpy as np
import pytest
import segad
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

SMALL = {"rounds": 3, "trees_per_round": 20}
FIXTURE = json.loads((pathlib.Path(__file__).parent / "fixtures/head.json").read_text())
BAD = np.repeat([0, 1], [30, 10])


def generated():
    """The maps of tests/head.rs."""
    state, values = 1, []
    for _ in range(40 * 2 * 256):
        state = (state * 1_664_525 + 1_013_904_223) % 2**32
        values.append((state >> 8) / 16_777_216)
    maps = np.asarray(values, np.float32).reshape(40, 2, 16, 16)
    maps[30:, 1, 2, :5] += np.float32(0.5)
    return maps


def head(**changes):
    parameters = dict(
        segments=np.repeat([0, 1], 8)[:, None].repeat(16, axis=1),
        segment_names=["top", "bottom"],
        detectors=["a", "b"],
        forest_params=SMALL,
        random_state=333,
    )
    return segad.SegAD(**{**parameters, **changes})


def bits(values):
    return np.ascontiguousarray(values, np.float32).view(np.uint32).tolist()


def test_numbers_are_those_of_the_rust_side_to_the_last_bit():
    maps = generated()
    fitted = head().fit(maps, BAD)
    assert fitted.feature_names_out_.tolist() == FIXTURE["columns"]
    features = fitted.compute_features(maps)
    assert bits(features[-1]) == FIXTURE["features of the last image"]
    assert bits(fitted.decision_function(maps)) == FIXTURE["margins"]
    contributions = fitted.forest_.contributions(features[-1:])[0, :-1]
    assert bits(contributions) == FIXTURE["contributions to the last"]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_no_bit(threads):
    maps = generated()
    fitted = head(n_jobs=threads).fit(maps, BAD)
    assert bits(fitted.decision_function(maps)) == FIXTURE["margins"]


@pytest.mark.parametrize(
    "form",
    [
        lambda maps: iter(maps),
        lambda maps: list(maps),
        lambda maps: np.asfortranarray(maps),
        lambda maps: maps.astype(np.float64),
        lambda maps: np.flip(np.flip(maps, 3).copy(), 3),
        lambda maps: maps.astype(object),
    ],
    ids=["generator", "list", "Fortran order", "float64", "negative strides", "objects"],
)
def test_any_form_of_the_maps_gives_the_same(form):
    fitted = head().fit(form(generated()), BAD)
    assert bits(fitted.decision_function(form(generated()))) == FIXTURE["margins"]


def test_read_only_maps_are_read():
    maps = generated()
    maps.setflags(write=False)
    assert bits(head().fit(maps, BAD).decision_function(maps)) == FIXTURE["margins"]


def test_label_maps_may_differ_from_image_to_image():
    maps = generated()
    per_image = np.broadcast_to(head().segments, (40, 16, 16))
    fitted = head(segments=per_image).fit(maps, BAD)
    assert bits(fitted.decision_function(maps, segments=per_image)) == FIXTURE["margins"]
    with pytest.raises(ValueError, match="expected a label map per image"):
        fitted.decision_function(maps)


def test_contiguous_maps_are_not_copied():
    maps = np.random.default_rng(0).random((400, 1, 64, 64), np.float32)
    tracemalloc.start()
    segad.SegAD(forest_params=SMALL).fit(maps, np.arange(400) % 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < maps.nbytes / 4


def test_reasons_add_up_and_name_the_place():
    fitted = head().fit(generated(), BAD)
    last = generated()[-1]
    reasons = fitted.explain(last)
    assert (reasons[0].segment, reasons[0].detector) == ("top", "b")
    assert reasons[0].value > reasons[0].usual[1]
    mean = fitted.forest_.contributions(fitted.compute_features(last[None]))[0, -1]
    total = mean + sum(reason.contribution for reason in reasons)
    assert total == pytest.approx(fitted.decision_function(last[None])[0], abs=1e-5)


def test_groups_stay_in_one_fold():
    groups = np.arange(40) // 2
    fitted = head().fit(generated(), BAD, groups=groups)
    assert np.isfinite(fitted.oof_scores_).all()
    assert (fitted.oof_scores_ != fitted.decision_function(generated())).any()
    assert head().fit(generated(), BAD).oof_scores_ is None


def test_a_classifiers_score_is_a_further_feature():
    fitted = head().fit(generated(), BAD, g=BAD)
    assert fitted.feature_names_out_[-1] == "classifier/score"
    with pytest.raises(ValueError, match="g = None"):
        fitted.decision_function(generated())


def test_pickles_and_clones():
    maps = generated()
    fitted = head().fit(maps, BAD)
    again = pickle.loads(pickle.dumps(fitted))
    assert bits(again.decision_function(maps)) == FIXTURE["margins"]
    assert bits(clone(fitted).fit(maps, BAD).decision_function(maps)) == FIXTURE["margins"]


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda m: (np.where(np.arange(16) == 3, np.nan, m), BAD), r"image 0: .*NaN"),
        (lambda m: (m[..., None], BAD), "expected"),
        (lambda m: (m, np.zeros(40, int)), "1 class"),
        (lambda m: (m, np.arange(40)), "Only binary"),
        (lambda m: (m[:20], BAD), "20 maps, 40 labels"),
        (lambda m: (m[:, :, :8], BAD), "label map"),
        (lambda m: (m[:, :1], BAD), "detectors = 2 names"),
        (lambda m: (m.astype(complex), BAD), "Complex data not supported"),
        (lambda m: (np.full((40, 2, 16, 16), "x", object), BAD), "could not convert"),
        (lambda m: (m[:0], BAD[:0]), "0 class"),
    ],
)
def test_bad_maps_are_value_errors(change, message):
    with pytest.raises(ValueError, match=message):
        head().fit(*change(generated()))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"forest": "xgb"}, "unknown variant `xgb`"),
        ({"forest_params": {"max_depth": 0}}, "forest.max_depth = 0: expected 1 to 16"),
        ({"statistics": ["median"]}, "median"),
        ({"quantile": 99.5}, "99.5"),
        ({"segments": np.full((16, 16), 300)}, "labels from 0 to 254"),
        ({"segments": np.zeros((16, 16))}, "expected integers"),
        ({"segment_names": ["only one"]}, "segment_names = 1 names: expected 2"),
        ({"n_jobs": 0}, "n_jobs = 0"),
        ({"random_state": -1}, "random_state = -1"),
    ],
)
def test_bad_settings_are_value_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        head(**settings).fit(generated(), BAD)


# Rows of two unrelated numbers are no maps: their statistics cannot tell the check's classes apart.
NOT_MAPS = {"check_classifiers_train": "expects accuracy on tabular data"}


@parametrize_with_checks(
    [segad.SegAD(forest_params=SMALL)], expected_failed_checks=lambda _: NOT_MAPS
)
def test_scikit_learn_accepts_the_estimator(estimator, check):
    check(estimator)
