"""The command line on arrays: what each option does, what is printed, and how it fails."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import deltaloop as dl
from deltaloop import _scaling, _scores, _splits
from deltaloop._activations import TRAINABLE
from deltaloop.cli import main
from deltaloop.datasets import load_digits
from tests.helpers.files import metadata_of
from tests.helpers.samples import blobs, smooth

TRAIN_KEYS = {
    "task",
    "data",
    "n_train",
    "n_test",
    "layers",
    "activation",
    "output",
    "loss",
    "init",
    "residual",
    "seed",
    "n_parameters",
    "solver",
    "epochs",
    "cost",
    "seconds",
    "stopped",
    "times",
    "metrics",
    "baseline",
    "verdict",
    "warnings",
    "stop_reason",
    "isa",
    "version",
    "classes",
    "model",
}


class TestDigits:
    @pytest.mark.parametrize("seed", range(5))
    def test_accuracy_and_time(self, report, seed, record_property):
        result = report("train", "digits", "--seed", seed)
        record_property("accuracy", round(result["accuracy"], 4))
        record_property("seconds", round(result["seconds"], 2))
        assert result["accuracy"] >= 0.95
        assert result["seconds"] < 30

    def test_json(self, report):
        result = report("train", "digits")
        assert set(result) == TRAIN_KEYS | {"accuracy", "per_class"}
        assert result["task"] == "classification"
        assert result["data"] == "digits"
        assert (result["n_train"], result["n_test"]) == (1438, 359)
        assert result["layers"] == [64, 64, 10]
        assert result["activation"] == ["tanh"]
        assert (result["output"], result["loss"]) == ("softmax", "cross_entropy")
        assert result["seed"] == 0
        assert result["n_parameters"] == 65 * 64 + 65 * 10
        assert result["solver"] == {
            "name": "GradientDescent",
            "learning_rate": 0.05 / 32,
            "momentum": 0.9,
            "nesterov": False,
            "batch_size": 32,
            "shuffle": True,
            "clip_norm": None,
            "clip_value": None,
        }
        assert result["epochs"] == 100
        assert result["stop_reason"] == "max_epochs"
        assert 0 < result["cost"] < 50
        assert result["classes"] == list(range(10))
        assert result["model"] is None
        assert result["isa"] == dl.runtime()["isa"]
        assert result["version"] == dl.__version__

    def test_text(self, run, report):
        status, out, err = run("train", "digits", "--seed", 3)
        assert (status, err) == (0, "")
        result = report("train", "digits", "--seed", 3)
        lines = out.splitlines()
        assert lines.pop(3).startswith("times    reading ")
        assert lines[:4] == [
            "data     digits: 1,797 rows, 64 inputs, 10 classes",
            "rows     1,438 to learn from, 359 held out to measure",
            "stopped  after 100 rounds: all rounds were done",
            "",
        ]
        assert lines[4] == result["verdict"]
        assert lines[4].startswith("Right for 9")
        verbose = run("train", "digits", "--seed", 3, "--verbose")[1].splitlines()
        assert verbose[4:10] == [
            "layers   64-64-10 (tanh, softmax), 4810 parameters",
            "solver   GradientDescent, learning rate 0.0015625, momentum 0.9, batch size 32",
            "seed     3",
            "epochs   100, stopped by max_epochs",
            f"cost     {result['cost']:.6g} (cross_entropy, sum over the training rows)",
            f"ISA      {result['isa']}",
        ]
        assert verbose[-1] == "model  not saved; --output-model PATH saves it"

    def test_the_model_has_the_accuracy_that_was_reported(self, report, tmp_path):
        path = tmp_path / "model"
        result = report("train", "digits", "--seed", 1, "--output-model", path)
        X, y = load_digits()
        rows, held_out = _splits.split(len(X), 0.2, 1)
        network = dl.load(path)
        assert np.mean(network.classify(X[held_out]) == y[held_out]) == result["accuracy"]
        assert network.cost(X[rows], y[rows]) == pytest.approx(result["cost"], rel=1e-9)


class TestOptions:
    def test_levenberg_marquardt(self, report, run):
        options = ("train", "digits", "--solver", "lm", "--hidden", 3, "--epochs", 15)
        result = report(*options)
        assert result["accuracy"] > 0.6
        assert result["solver"]["name"] == "LevenbergMarquardt"
        assert result["solver"]["damping_rule"] == "nielsen"
        assert re.search(
            r"^solver +LevenbergMarquardt$", run(*options, "--verbose")[1], re.MULTILINE
        )

    def test_options_reach_the_fit(self, report, npz):
        """The model and its cost are those of the same fit in Python."""
        X, y = blobs()
        result = report(
            *("train", npz(X=X, y=y), "--hidden", "5,5", "--residual", "--init", "he_normal"),
            *("--solver", "adam,lbfgs", "--epochs", "6,9", "--schedule", "cosine,warmup=2"),
            *("--option", "memory=4", "-o", "clip_norm=5", "--batch-size", 16, "--seed", 3),
            *("--l2", 0.1, "--class-weight", "balanced", "--validation", 0.2, "--threads", 1),
        )
        rows, _ = _splits.split(len(X), 0.2, 3)
        scaling = _scaling.Scaling.of(X[rows], "X", constant=np.inf)
        net = dl.Network(
            [3, 5, 5, 3],
            activation="tanh",
            loss="cross_entropy",
            residual=True,
            init="he_normal",
            seed=3,
        )
        solvers = [
            dl.Adam(dl.schedules.Cosine(0.001, epochs=6, warmup=2), batch_size=16, clip_norm=5),
            dl.LBFGS(4),
        ]
        expected = net.fit(
            scaling.apply(X[rows]),
            y[rows],
            solver=solvers,
            max_epochs=[6, 9],
            l2=0.1,
            class_weight="balanced",
            validation=0.2,
        )
        assert result["cost"] == expected.cost
        assert result["validation_cost"] == expected.validation_cost
        assert result["best_epoch"] == expected.best_epoch
        assert [stage["epochs"] for stage in result["stages"]] == [6, 9]
        assert result["solver"][0]["learning_rate"]["name"] == "Cosine"
        assert result["solver"][1]["memory"] == 4

    def test_dropout_patience_goal_and_time(self, report, run, npz):
        X, y = blobs()
        path = npz(X=X, y=y)
        options = ("train", path, "--hidden", "9,7", "--solver", "adam", "--dropout", "0.2,0.5")
        plain, thinned = report(*options[:-2], "--epochs", 3), report(*options, "--epochs", 3)
        assert plain["cost"] != thinned["cost"]
        noisy = ("--learning-rate", 0.1, "--validation", 0.3, "--patience", 2)
        result = report(*options, *noisy, "--epochs", 500)
        assert result["stop_reason"] == "patience"
        assert result["epochs"] == result["best_epoch"] + 2
        assert report("train", path, "--goal", 50, "--tol", 0)["stop_reason"] == "goal"
        assert report("train", path, "--max-time", 1e-9)["stop_reason"] == "max_time"
        text = run("train", path, "--validation", 0.3, "--verbose")[1]
        assert re.search(r"^validation +[0-9.]+; lowest after epoch [0-9]+$", text, re.MULTILINE)

    def test_solver_that_does_not_take_the_loss(self, run):
        status, out, err = run("train", "digits", "--solver", "br")
        assert (status, out) == (1, "")
        assert "BayesianRegularization needs a network with the loss squared_error" in err

    @pytest.mark.parametrize(
        ("text", "hidden"),
        [("8", [8]), ("8,5", [8, 5]), ("8, 5,2", [8, 5, 2]), ("none", []), ("", [])],
    )
    def test_hidden(self, report, npz, text, hidden):
        X, y = blobs()
        result = report("train", npz(X=X, y=y), "--hidden", text, "--epochs", 2)
        assert result["layers"] == [3, *hidden, 3]
        assert result["activation"] == ["tanh"] * len(hidden)

    @pytest.mark.parametrize("name", [name for name in TRAINABLE if name != "exp"])
    def test_activation(self, report, npz, name):
        X, y = blobs()
        result = report("train", npz(X=X, y=y), "--hidden", "6,4", "--activation", name)
        assert result["activation"] == [name, name]
        assert result["accuracy"] >= 0.9

    @pytest.mark.parametrize(
        ("name", "value", "loss"),
        [
            ("squared_error", None, "squared_error"),
            ("absolute_error", None, "absolute_error"),
            ("huber", None, "huber"),
            ("huber", "0.25", "huber(0.25)"),
            ("quantile", None, "quantile"),
            ("quantile", "0.75", "quantile(0.75)"),
        ],
    )
    def test_loss(self, run, report, npz, tmp_path, name, value, loss):
        X = np.random.default_rng(0).uniform(-1, 1, (300, 2))
        data, model = npz(X=X, y=3 * X[:, 0] + 10), tmp_path / "m.safetensors"
        argv = ["train", data, "--loss", name, "--output-model", model]
        result = report(*argv, *([] if value is None else ["--loss-parameter", value]))
        assert (result["loss"], result["output"]) == (loss, "identity")
        assert result["r2"] > 0.8
        assert str(dl.load(model).loss) == loss
        assert report("info", model)["loss"] == loss
        assert report("predict", model, data)["r2"] > 0.8

    def test_losses_that_do_not_fit_the_data(self, run, fails, npz):
        values = npz(X=np.eye(9), y=np.arange(9.0) - 1)
        status, _, err = run("train", values, "--loss", "cross_entropy")
        assert status == 2
        assert "argument --loss: cross_entropy does not go with values (floats in y)" in err
        status, _, err = run("train", values, "--loss", "quantile", "--loss-parameter", "1")
        assert status == 2
        assert "argument --loss-parameter: expected a number below 1 for quantile, got 1" in err
        message = fails("train", values, "--loss", "poisson")
        assert "y holds -1.0; counts for poisson are at least 0" in message

    def test_poisson(self, run, report, npz, tmp_path):
        rng = np.random.default_rng(0)
        X = rng.uniform(-1, 1, (400, 1))
        data, model = npz(X=X, y=10 * np.exp(X[:, 0])), tmp_path / "m.safetensors"
        argv = ["train", data, "--loss", "poisson", "--learning-rate", "1e-4"]
        result = report(*argv, "--output-model", model)
        assert (result["loss"], result["output"]) == ("poisson", "exp")
        assert result["r2"] > 0.9
        assert "(poisson, sum over the training rows)\n" in run(*argv, "--verbose")[1]
        assert report("predict", model, data)["r2"] > 0.9

    def test_epochs(self, report, npz):
        X, y = blobs()
        few, more = (report("train", npz(X=X, y=y), "--epochs", n) for n in (3, 7))
        assert (few["epochs"], more["epochs"]) == (3, 7)
        assert few["stop_reason"] == "max_epochs"
        assert more["cost"] < few["cost"]

    def test_learning_rate(self, report, npz):
        X, y = blobs()
        argv = "train", npz(X=X, y=y), "--epochs", 3
        slow, fast = (report(*argv, "--learning-rate", rate) for rate in ("1e-9", "0.001"))
        assert slow["solver"]["learning_rate"] == 1e-9
        assert fast["solver"]["learning_rate"] == 0.001
        assert fast["cost"] < slow["cost"] / 2

    @pytest.mark.parametrize("batch_size", [1, 5, 96])
    def test_batch_size(self, report, npz, batch_size):
        X, y = blobs()
        result = report("train", npz(X=X, y=y), "--batch-size", batch_size, "--epochs", 2)
        assert result["solver"]["batch_size"] == batch_size
        assert result["solver"]["learning_rate"] == 0.05 / batch_size

    def test_batch_size_of_few_rows(self, report, npz):
        X, y = blobs(n=20)
        result = report("train", npz(X=X, y=y), "--epochs", 2)
        assert result["n_train"] == 16
        assert result["solver"]["batch_size"] == 16

    @pytest.mark.parametrize("task", ["classes", "values"])
    @pytest.mark.parametrize(
        ("name", "solver"), [("lbfgs", dl.LBFGS), ("scg", dl.ScaledConjugateGradient)]
    )
    def test_solver(self, run, report, npz, name, solver, task):
        X, y = blobs()
        argv = "train", npz(X=X, y=y if task == "classes" else X[:, 0] ** 2), "--solver", name
        result = report(*argv, "--epochs", 30)
        assert result["solver"] == {"name": solver.__name__, **vars(solver())}
        assert result["accuracy" if task == "classes" else "r2"] >= 0.9
        assert re.search(rf"^solver +{solver.__name__}$", run(*argv, "--verbose")[1], re.MULTILINE)

    def test_momentum(self, report, npz):
        X, y = blobs()
        argv = "train", npz(X=X, y=y), "--epochs", 5
        none, some = (report(*argv, "--momentum", value) for value in (0, 0.5))
        assert none["solver"]["momentum"] == 0
        assert some["solver"]["momentum"] == 0.5
        assert some["cost"] < none["cost"]

    @pytest.mark.parametrize(
        ("fraction", "n_test"), [(0.5, 60), (0.1, 12), (0.001, 2), (0.98, 118)]
    )
    def test_test_fraction(self, report, npz, fraction, n_test):
        X, y = blobs()
        result = report("train", npz(X=X, y=y), "--test-fraction", fraction, "--epochs", 1)
        assert (result["n_train"], result["n_test"]) == (120 - n_test, n_test)

    @pytest.mark.parametrize("task", ["classification", "regression"])
    def test_seed_repeats_every_bit(self, report, npz, tmp_path, task):
        X, y = blobs() if task == "classification" else smooth()
        data = npz(X=X, y=y)
        contents, results = [], []
        for run, seed in enumerate((7, 7, 8, 0, None)):
            path = tmp_path / f"model{run}"
            seeded = [] if seed is None else ["--seed", seed]
            results.append(report("train", data, "--epochs", 5, "--output-model", path, *seeded))
            contents.append(path.read_bytes())
        for result in results:
            del result["seconds"], result["times"], result["model"]
        assert contents[0] == contents[1] != contents[2]
        assert results[0] == results[1] != results[2]
        assert contents[3] == contents[4]

    def test_seed_repeats_in_another_process(self, report, npz, tmp_path):
        X, y = blobs()
        y = np.array(["red", "green", "blue"])[y]
        data = npz(X=X, y=y)
        argv = ["train", data, "--epochs", "5", "--seed", "123456789012345678901234567890"]
        report(*argv, "--output-model", tmp_path / "here")
        for name in ("there", "again"):
            command = [sys.executable, "-m", "deltaloop", *argv, "--output-model", tmp_path / name]
            subprocess.run(command, check=True)
            assert (tmp_path / name).read_bytes() == (tmp_path / "here").read_bytes()

    def test_output_model(self, run, report, npz, tmp_path):
        X, y = blobs()
        path = tmp_path / "model.safetensors"
        result = report("train", npz(X=X, y=y), "--output-model", path)
        assert result["model"] == str(path)
        assert metadata_of(path) == {"task": "classification", "classes": "[0, 1, 2]"}
        _, out, _ = run("train", npz(X=X, y=y), "--output-model", path)
        assert re.search(rf"^model  {re.escape(str(path))};", out, re.MULTILINE)


class TestTraining:
    @pytest.mark.parametrize("hidden", [[], [16], [16, 8]])
    def test_classification_is_what_the_api_does(self, report, npz, tmp_path, hidden):
        X, y = blobs()
        path, text = tmp_path / "model", ",".join(map(str, hidden))
        result = report("train", npz(X=X, y=y), "--hidden", text, "--output-model", path)
        rows, held_out = _splits.split(len(X), 0.2, 0)
        mean, deviation = X[rows].mean(axis=0), X[rows].std(axis=0)
        scaled = (X - mean) / deviation
        network = dl.Network([3, *hidden, 3], activation="tanh", loss="cross_entropy", seed=0)
        solver = dl.GradientDescent(0.05 / 32, momentum=0.9, batch_size=32)
        fitted = network.fit(scaled[rows], y[rows], solver=solver, max_epochs=100)
        assert (fitted.cost, fitted.epochs) == (result["cost"], result["epochs"])
        folded = dl.load(path)
        np.testing.assert_array_equal(folded.classify(X), network.classify(scaled))
        np.testing.assert_allclose(folded.predict(X), network.predict(scaled), atol=1e-9)
        accuracy = np.mean(network.classify(scaled[held_out]) == y[held_out])
        assert result["accuracy"] == accuracy >= 0.95

    @pytest.mark.parametrize("hidden", [[], [16], [16, 8]])
    @pytest.mark.parametrize("k", [1, 3])
    def test_regression_is_what_the_api_does(self, report, npz, tmp_path, hidden, k):
        X, Y = smooth(k=k)
        path, text = tmp_path / "model", ",".join(map(str, hidden))
        result = report("train", npz(X=X, y=Y), "--hidden", text, "--output-model", path)
        rows, held_out = _splits.split(len(X), 0.2, 0)
        inputs, outputs = _scaling.Scaling.of(X[rows], "X"), _scaling.Scaling.of(Y[rows], "Y")
        network = dl.Network([3, *hidden, k], activation="tanh", output="identity", seed=0)
        solver = dl.GradientDescent(0.05 / 32, momentum=0.9, batch_size=32)
        scaled = inputs.apply(X)
        fitted = network.fit(scaled[rows], outputs.apply(Y[rows]), solver=solver, max_epochs=100)
        assert (fitted.cost, fitted.epochs) == (result["cost"], result["epochs"])
        predicted = network.predict(scaled) * Y[rows].std(axis=0) + Y[rows].mean(axis=0)
        np.testing.assert_allclose(dl.load(path).predict(X), predicted, rtol=1e-9)
        score = _scores.r2(Y[held_out], predicted[held_out])
        assert result["r2"] == pytest.approx(score, rel=1e-9)
        assert result["r2"] > (0.9 if hidden else 0.5)

    @pytest.mark.parametrize("shape", [(200,), (200, 1), (200, 2)])
    def test_regression_json(self, report, npz, shape):
        X, Y = smooth(k=2)
        y = Y[:, 0] if shape == (200,) else Y[:, : shape[1]]
        assert y.shape == shape
        result = report("train", npz(X=X, y=y))
        several = {"per_target"} if shape == (200, 2) else set()
        assert set(result) == TRAIN_KEYS | {"r2"} | several
        assert result["task"] == "regression"
        assert (result["output"], result["loss"]) == ("identity", "squared_error")
        assert result["layers"] == [3, 64, y.size // 200]
        assert result["classes"] is None
        assert result["r2"] > 0.9

    def test_regression_text(self, run, npz):
        X, Y = smooth(k=2)
        status, out, _ = run("train", npz(X=X, y=Y), "--verbose")
        assert status == 0
        assert "200 rows, 3 inputs, 2 outputs\n" in out
        assert re.search(r"^R\^2 +0\.9\d\d +-0\.\d+ ", out, re.MULTILINE)
        assert "(squared_error, sum over the training rows, in standardised units)\n" in out

    @pytest.mark.parametrize(
        "labels",
        [
            ["cat", "dog", "emu"],
            [-5, 7, 1000],
            [1, 2, 3],
            np.array([b"a", b"b", "\u00e9".encode()]),
            np.array([0, 100, 255], np.uint8),
            np.array([0, 1, 2**64 - 1], np.uint64),
        ],
        ids=repr,
    )
    def test_labels(self, report, run, npz, tmp_path, labels):
        X, y = blobs()
        labels = np.array(labels)
        model, data = tmp_path / "model", npz(X=X, y=labels[y])
        result = report("train", data, "--output-model", model)
        plain = [x.decode() if isinstance(x, bytes) else x for x in labels.tolist()]
        assert result["classes"] == plain
        assert result["accuracy"] >= 0.95
        predictions = report("predict", model, data)
        assert set(predictions["predictions"]) == set(plain)
        assert predictions["accuracy"] >= 0.95
        status, out, _ = run("predict", model, data)
        assert status == 0
        assert out.splitlines() == [str(label) for label in predictions["predictions"]]

    def test_two_classes(self, report, run, npz, tmp_path):
        X, y = blobs(k=2)
        model, data = tmp_path / "model", npz(X=X, y=y == 1)
        result = report("train", data, "--output-model", model)
        assert result["layers"] == [3, 64, 2]
        assert result["classes"] == [False, True]
        assert result["accuracy"] >= 0.95
        assert set(run("predict", model, data)[1].splitlines()) == {"False", "True"}

    @pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8, ">f8", np.float16])
    def test_types_of_X(self, report, npz, dtype):
        rng = np.random.default_rng(0)
        y = rng.integers(0, 2, 100)
        X = (rng.integers(0, 20, (100, 3)) + 50 * y[:, np.newaxis]).astype(dtype)
        result = report("train", npz("other", X=X, y=y))
        del result["seconds"], result["times"], result["data"]
        expected = report("train", npz("float", X=X.astype(float), y=y))
        del expected["seconds"], expected["times"], expected["data"]
        assert result == expected

    @pytest.mark.parametrize("value", [0.0, 0.1, -1e300])
    def test_constant_columns(self, report, npz, tmp_path, value):
        X, y = blobs()
        X = np.column_stack([X, np.full(len(X), value)])
        model, data = tmp_path / "model", npz(X=X, y=y)
        assert report("train", data, "--output-model", model)["accuracy"] >= 0.95
        assert report("predict", model, data)["accuracy"] >= 0.95

    def test_constant_target(self, report, npz):
        X, Y = smooth(k=2)
        Y[:, 1] = 7
        assert report("train", npz(X=X, y=Y))["r2"] >= 0.45

    def test_diverges(self, fails, npz, tmp_path):
        X, Y = smooth()
        model = tmp_path / "model"
        argv = "train", npz(X=X, y=Y), "--activation", "relu", "--output-model", model
        message = fails(*argv, "--learning-rate", "10")
        assert re.search(r"diverged in epoch \d+: try a learning rate below 10$", message)
        assert not model.exists()

    def test_a_failed_run_leaves_the_old_model(self, fails, npz, tmp_path):
        X, Y = smooth()
        model = tmp_path / "model"
        model.write_bytes(b"old")
        fails("train", npz(X=X, y=Y), "--learning-rate", "1e9", "--output-model", model)
        assert model.read_bytes() == b"old"


class TestDataErrors:
    X, y = blobs(n=40)

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"X": X}, "expected an array named y, the file holds X"),
            ({"y": y}, "expected an array named X, the file holds y"),
            ({"a": X, "b": y}, "expected an array named X, the file holds a, b"),
            ({}, "expected an array named X, the file holds nothing"),
            ({"a\nb": X}, r"expected an array named X, the file holds a\\nb"),
            ({"X": X, "y": y[:-1]}, "X has 40 rows, y has 39; they must be as many"),
            ({"X": X, "y": y[:-1] * 1.0}, "X has 40 rows, y has 39; they must be as many"),
            ({"X": X[0], "y": y[:3]}, r"X must have shape \(n, inputs\), got \(3,\); X\.reshape"),
            ({"X": X.reshape(5, 8, 3), "y": y[:5]}, r"X must have shape .* got \(5, 8, 3\)"),
            ({"X": X[:0], "y": y[:0]}, r"X is empty, its shape is \(0, 3\)"),
            ({"X": X[:, :0], "y": y}, r"X is empty, its shape is \(40, 0\)"),
            ({"X": np.float64(1), "y": y}, r"X must have shape \(n, inputs\), got \(\)"),
            ({"X": X.astype(str), "y": y}, "X must hold real numbers, got dtype <U"),
            ({"X": X.astype(complex), "y": y}, "X must hold real numbers, got dtype complex128"),
            ({"X": X.astype(object), "y": y}, "holds Python objects, which are not read"),
            ({"X": X, "y": y.astype(object)}, "holds Python objects, which are not read"),
            ({"X": X, "y": y.astype(complex)}, "y must hold numbers, strings or booleans"),
            ({"X": X, "y": y.astype("m8[s]")}, "y must hold numbers, strings or booleans"),
            (
                {"X": X, "y": y.reshape(-1, 1)},
                r"y of classes must have shape \(n,\), got \(40, 1\)",
            ),
            ({"X": X, "y": np.int64(1)}, r"y of classes must have shape \(n,\), got \(\)"),
            ({"X": X, "y": np.float64(1)}, r"y of values must have shape .* got \(\)"),
            (
                {"X": X, "y": np.ones((40, 2, 2))},
                r"y of values must have shape .* got \(40, 2, 2\)",
            ),
            ({"X": X, "y": np.ones((40, 0))}, r"y of values must have shape .* got \(40, 0\)"),
            ({"X": X, "y": np.array([b"\xff", b"b"] * 20)}, "y holds bytes that are not UTF-8"),
            ({"X": X, "y": y * 0}, "y holds the class 0 alone, two are needed"),
            ({"X": X, "y": np.array(["a"] * 40)}, "y holds the class 'a' alone, two are needed"),
            ({"X": X, "y": np.arange(40)}, "40 classes in 40 rows, too few .* store y as float"),
            (
                {"X": X[:3], "y": y[:3] * 1.0},
                "3 rows are too few to train on some and hold out 0.2",
            ),
            ({"X": X[:3], "y": np.array([0, 1, 0])}, "too few"),
            ({"X": X * 1e305, "y": y}, "column 0 of X in .* too large or too small to standardise"),
            ({"X": X * 1e-200, "y": y}, "column 0 of X in .* too large or too small"),
            ({"X": X, "y": y * 1e300}, "column 0 of y in .* too large or too small"),
        ],
    )
    def test_arrays(self, fails, npz, arrays, message):
        path = npz(**arrays)
        line = fails("train", path)
        assert re.search(message, line)
        assert str(path) in line

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_values_that_are_not_finite(self, fails, npz, value):
        X, y = self.X.copy(), self.y * 1.0
        X[7, 2] = value
        message = f"X holds {value} at row 7, column 2; every value must be finite"
        assert message in fails("train", npz(X=X, y=y))
        y[3] = value
        assert f"y holds {value} at row 3;" in fails("train", npz(X=self.X, y=y))
        Y = np.column_stack([self.y * 1.0, y])
        assert f"y holds {value} at row 3, column 1;" in fails("train", npz(X=self.X, y=Y))

    def test_scaling_that_overflows_the_weights(self, fails, npz):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(50, 1)) * 1e-160
        line = fails("train", npz(X=X, y=X[:, 0] * 1e306 * 1e7), "--hidden", "none")
        assert "overflows the weights" in line

    def test_files(self, fails, tmp_path):
        path = tmp_path / "data.npz"
        assert fails("train", path) == f"{path}: No such file or directory"
        assert fails("train", tmp_path).startswith(f"{tmp_path}: ")
        for content in (b"", b"PK", b"a,b\n1,2\n", b"PK\x03\x04" + b"x" * 100, b"\x93NUMPY\x01"):
            path.write_bytes(content)
            assert fails("train", path).startswith(f"{path}: ")
        np.save(path.with_suffix(".npy"), self.X)
        line = fails("train", path.with_suffix(".npy"))
        assert "expected an array named y, the file holds X" in line

    def test_pickles_are_not_read(self, fails, tmp_path):
        marker = tmp_path / "ran"

        class Bomb:
            def __reduce__(self):
                return Path.touch, (marker,)

        path = tmp_path / "data.npz"
        np.savez(path, X=np.array([Bomb()], dtype=object), y=self.y)
        assert "Python objects" in fails("train", path)
        assert not marker.exists()


@pytest.mark.slow
@hypothesis.settings(
    max_examples=200, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=4))
@pytest.mark.filterwarnings("ignore:Reading `.npy` or `.npz` file required:UserWarning")
def test_damaged_data_files(npz, capsys, flips):
    X, y = blobs(n=20, k=2)
    path = npz(X=X, y=y)
    content = bytearray(path.read_bytes())
    for place, bits in flips:
        content[min(int(place * len(content)), len(content) - 1)] ^= bits
    path.write_bytes(content)
    status = main(["train", str(path), "--epochs", "1", "--hidden", "2"])
    err = capsys.readouterr().err
    assert status in (0, 1)
    assert err == "" if status == 0 else str(path) in err


class TestPredict:
    def test_classes(self, run, report, model):
        path, data = model
        X, y = blobs()
        expected = dl.load(path).classify(X)
        accuracy = np.mean(expected == y)
        status, out, err = run("predict", path, data)
        assert status == 0
        assert out == "".join(f"{label}\n" for label in expected)
        assert err == f"accuracy {accuracy:.4f} on 120 rows\n"
        assert report("predict", path, data) == {
            "task": "classification",
            "model": str(path),
            "n": 120,
            "predictions": expected.tolist(),
            "accuracy": accuracy,
        }

    @pytest.mark.parametrize("suffix", [".npy", ".npz"])
    def test_without_y(self, run, report, model, tmp_path, suffix):
        path, _ = model
        X, _ = blobs(n=7, seed=1)
        file = tmp_path / f"rows{suffix}"
        if suffix == ".npy":
            np.save(file, X)
        else:
            np.savez(file, X=X, other=np.array([None]))
        status, out, err = run("predict", path, file)
        assert (status, err) == (0, "")
        assert len(out.splitlines()) == 7
        assert "accuracy" not in report("predict", path, file)

    @pytest.mark.parametrize("k", [1, 3])
    def test_values(self, run, report, npz, tmp_path, k):
        X, Y = smooth(k=k)
        path, data = tmp_path / "model", npz(X=X, y=Y[:, 0] if k == 1 else Y)
        report("train", data, "--output-model", path)
        expected = dl.load(path).predict(X)
        status, out, err = run("predict", path, data)
        assert status == 0
        printed = np.array([[float(value) for value in line.split()] for line in out.splitlines()])
        np.testing.assert_array_equal(printed, expected)
        result = report("predict", path, data)
        np.testing.assert_array_equal(np.array(result["predictions"]).reshape(-1, k), expected)
        assert result["task"] == "regression"
        assert result["r2"] == _scores.r2(Y, expected) > 0.9
        assert err == f"R^2 {result['r2']:.4f} on 200 rows\n"

    def test_integers_are_values_to_a_regression(self, report, npz, tmp_path):
        path = tmp_path / "model"
        dl.Network.from_weights([[[2.0]]], [[1.0]], activation="identity").save(path)
        data = npz(X=np.array([[1], [2]]), y=np.array([3, 5]))
        assert report("predict", path, data)["r2"] == 1

    def test_model_of_the_api(self, run, npz, tmp_path):
        path = tmp_path / "model"
        X = np.array([[-1.0], [1.0]])
        w, b = [[[1.0, -1.0, 0.0]]], [[0.0, 0.0, 0.0]]
        data = npz(X=X)
        for settings, expected in (
            ({"output": "softmax", "loss": "cross_entropy"}, "1\n0\n"),
            ({"output": "sigmoid", "loss": "binary_cross_entropy"}, "0 1 0\n1 0 0\n"),
            ({"output": "identity"}, "-1.0 1.0 0.0\n1.0 -1.0 0.0\n"),
        ):
            dl.Network.from_weights(w, b, **settings).save(path)
            assert run("predict", path, data) == (0, expected, "")
        dl.Network.from_weights([[[1.0]]], [[0.0]], loss="cross_entropy").save(path)
        assert run("predict", path, data) == (0, "0\n1\n", "")
        names = {"classes": '["no", "yes"]'}
        dl.Network.from_weights([[[1.0]]], [[0.0]]).save(path, metadata=names)
        assert run("predict", path, data) == (0, "no\nyes\n", "")

    def test_accuracy_of_models_of_the_api(self, report, npz, tmp_path):
        path = tmp_path / "model"
        X = np.array([[-1.0], [1.0]])
        w, b = [[[1.0, -1.0, 0.0]]], [[0.0, 0.0, 0.0]]
        dl.Network.from_weights(w, b, loss="cross_entropy").save(path)
        assert report("predict", path, npz(X=X, y=np.array([1, 1])))["accuracy"] == 0.5
        dl.Network.from_weights(w, b, loss="binary_cross_entropy").save(path)
        Y = np.array([[0, 1, 0], [1, 0, 1]])
        assert report("predict", path, npz(X=X, y=Y))["accuracy"] == 0.5

    def test_wrong_rows(self, fails, model, npz):
        path, _ = model
        X, y = blobs()
        for arrays, message in (
            ({"X": X[:, :2]}, "X has 2 columns, the model takes 3 inputs"),
            ({"X": X[0]}, "X must have shape"),
            ({"X": X * np.nan}, "X holds nan at row 0, column 0"),
            ({"y": y}, "expected an array named X, the file holds y"),
            ({"X": X, "y": y[:5]}, "X has 120 rows, y has 5"),
            ({"X": X, "y": y.astype(str)}, "y has dtype <U21, the model's classes are like 0"),
            ({"X": X, "y": y * 1.0}, "y must hold numbers, strings or booleans"),
        ):
            data = npz(**arrays)
            line = fails("predict", path, data)
            assert message in line
            assert str(data) in line

    def test_wrong_values(self, fails, npz, tmp_path):
        path = tmp_path / "model"
        dl.Network([2, 2], activation="identity", seed=0).save(path)
        X = np.ones((5, 2))
        for y, message in (
            (np.ones(5), "y has 1 columns, the model gives 2"),
            (np.ones((5, 3)), "y has 3 columns, the model gives 2"),
            (np.ones((4, 2)), "X has 5 rows, y has 4"),
            (np.array(["a"] * 5), "y must hold real numbers"),
        ):
            assert message in fails("predict", path, npz(X=X, y=y))

    def test_wrong_models(self, fails, model, tmp_path):
        _, data = model
        path = tmp_path / "other"
        assert fails("predict", path, data) == f"{path}: No such file or directory"
        line = fails("predict", data, path)
        assert line.startswith(f"{data}: expected a model file (safetensors), found a zip archive")
        assert line.endswith("; is MODEL the first argument?")
        assert fails("predict", tmp_path, data) == f"{tmp_path}: Is a directory"

    @pytest.mark.parametrize(
        "classes", ["", "[", "{}", "3", "[1, 2]", "[1, 2, 3, 4]", "[1, 2, 2.5]", "[1, 2, [3]]"]
    )
    def test_hostile_classes(self, fails, model, tmp_path, classes):
        path = tmp_path / "hostile"
        dl.load(model[0]).save(path, metadata={"classes": classes})
        line = fails("predict", path, model[1])
        assert line == f"{path}: expected metadata classes to be a JSON list of 3 labels"


class TestInfo:
    def test_runtime(self, run, report):
        expected = json.loads(json.dumps(dl.runtime()))
        assert report("info") == expected
        status, out, err = run("info")
        assert (status, err) == (0, "")
        assert [line.split()[0] for line in out.splitlines()] == list(expected)
        assert re.search(rf"^version +{re.escape(dl.__version__)}$", out, re.MULTILINE)

    def test_model(self, run, report, model):
        path, _ = model
        network = dl.load(path)
        assert report("info", path) == {
            "model": str(path),
            "bytes": path.stat().st_size,
            "layers": [3, 64, 3],
            "activation": ["tanh"],
            "output": "softmax",
            "loss": "cross_entropy",
            "init": "glorot_uniform",
            "residual": False,
            "seed": 0,
            "n_parameters": network.n_parameters,
            "metadata": {"task": "classification", "classes": "[0, 1, 2]"},
        }
        status, out, err = run("info", path)
        assert (status, err) == (0, "")
        assert re.search(r"^layers +3, 64, 3$", out, re.MULTILINE)

    def test_a_file_that_is_no_model(self, fails, model):
        assert fails("info", model[1]).startswith(f"{model[1]}: ")

    def test_unknown_isa(self, fails, monkeypatch):
        monkeypatch.setenv("DELTALOOP_ISA", "abacus")
        assert "abacus" in fails("info")
