"""segad.Model against the program, on images that the program made."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import segad

PROGRAM = os.environ["SEGAD_PROGRAM"]


def run(folder, *words):
    ended = subprocess.run([PROGRAM, *words], cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with images and a model of them."""
    folder = tmp_path_factory.mktemp("product")
    run(folder, "data", "miniature", "mini")
    for label, count in [("good", 12), ("bad", 8)]:
        (folder / "images" / label).mkdir(parents=True)
        for image in sorted((folder / "mini/vad/train" / label).iterdir())[:count]:
            shutil.copy(image, folder / "images" / label)
    run(folder, "fit", "images", "--out", "trial.segad", "--head", "segad", "--folds", "2")
    return folder


@pytest.fixture(scope="module")
def model(place):
    return segad.Model.load(place / "trial.segad")


def records(place, *paths):
    lines = run(place, "inspect", "trial.segad", *map(str, paths), "--json").splitlines()
    return [json.loads(line) for line in lines]


def test_records_are_the_programs_to_the_last_bit(place, model):
    paths = sorted((place / "mini/vad/test/bad").iterdir())[:6]
    expected = records(place, *paths)
    assert [model.inspect(path) for path in paths] == expected
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(model.inspect, paths * 3)) == expected * 3
    assert expected[0].pop("reasons")
    assert model.inspect(str(paths[0]), reasons=0) == expected[0]


def test_pixels_give_what_their_file_gives(place, model):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    colour, grey = place / "colour.ppm", place / "grey.pgm"
    colour.write_bytes(b"P6 56 40 255\n" + pixels.tobytes())
    grey.write_bytes(b"P5 56 40 255\n" + pixels[:, :, 0].tobytes())
    expected = records(place, colour, grey)
    assert "unusual aspect" in expected[0]["warnings"][0]
    fixed = pixels.copy()
    fixed.setflags(write=False)
    for form in [pixels, fixed, np.asfortranarray(pixels), np.flip(np.flip(pixels, 1).copy(), 1)]:
        assert model.inspect(form, name=str(colour)) == expected[0]
    assert model.inspect(pixels[:, :, 0], name=str(grey)) == expected[1]


def test_the_card_is_the_models(place, model):
    told = json.loads(run(place, "info", "trial.segad", "--json"))
    assert model.card == told["card"]


@pytest.mark.parametrize(
    "image, message",
    [
        (np.zeros((4, 4)), "float64 array: expected uint8"),
        (np.zeros((4, 4, 4), np.uint8), r"shape \(4, 4, 4\)"),
        (np.zeros((0, 4), np.uint8), r"shape \(0, 4, 3\)"),
        (np.full((4, 4), "x", object), "object array: expected uint8"),
    ],
)
def test_bad_pixels_are_value_errors(model, image, message):
    with pytest.raises(ValueError, match=message):
        model.inspect(image)


def test_bad_files_are_errors_with_the_programs_text(place, model):
    with pytest.raises(FileNotFoundError, match="gone.png"):
        model.inspect(place / "gone.png")
    with pytest.raises(FileNotFoundError, match="gone.segad"):
        segad.Model.load(place / "gone.segad")
    damaged = bytearray((place / "trial.segad").read_bytes())
    damaged[100] ^= 1
    (place / "damaged.segad").write_bytes(damaged)
    with pytest.raises(ValueError, match="its digest does not fit its content"):
        segad.Model.load(place / "damaged.segad")
    (place / "text.png").write_text("no image")
    ended = subprocess.run(
        [PROGRAM, "inspect", "trial.segad", "text.png", "--json"],
        cwd=place,
        capture_output=True,
        text=True,
    )
    with pytest.raises(ValueError) as error:
        model.inspect(place / "text.png")
    assert json.loads(ended.stdout)["error"] in str(error.value)


def test_exported_onnx_gives_what_the_model_gives(place):
    words = ["export", "trial.segad", "--out", "onnx", "--format", "onnx"]
    words += ["--python", sys.executable]
    told = run(place, *words)
    for name in ["patchcore.onnx", "forest.onnx"]:
        assert f"{name}, onnxruntime: its output" in told
        assert (place / "onnx" / name).stat().st_size > 1000
    refused = subprocess.run(
        [PROGRAM, *words, "--force", "--epsilon=-1"], cwd=place, capture_output=True, text=True
    )
    assert refused.returncode == 6 and "the file was removed" in refused.stderr
    words[-1] = "/nowhere/python"
    refused = subprocess.run([PROGRAM, *words, "--force"], cwd=place, capture_output=True, text=True)
    assert refused.returncode == 3 and "pip install onnxruntime" in refused.stderr
