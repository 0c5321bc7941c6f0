"""What every framework inherits: write a notebook in frameworks/, or a class in the room `model_utils`, and get these tests."""
import io
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest

from epochkit.core.errors import BadInputError
from epochkit.models.frameworks.base import TASKS, known_frameworks

CASES = [(name, task) for task in TASKS for name, cls in known_frameworks().items() if task in cls.tasks]
QUICK = {"n_estimators": 40, "epochs": 25}


def easy_problem(task: str, rows: int = 200) -> tuple[pd.DataFrame, np.ndarray]:
    "Five features, two of which carry nearly all of the target"
    random = np.random.default_rng(7)
    frame = pd.DataFrame(random.normal(size=(rows, 5)), columns=["plain", "with space", "brack[et]", "d:e", "umlaut ä"])
    signal = 2 * frame["plain"] - 1.5 * frame["with space"] + random.normal(scale=0.2, size=rows)
    if task == "regression":
        return frame, (5_000 + 1_000 * signal).to_numpy()
    edges = [0.0] if task == "binary" else [-1.0, 1.0]
    return frame, np.searchsorted(edges, signal)


def quick_model(name: str, task: str, seed: int = 3):
    cls = known_frameworks()[name]
    known = cls(task=task).defaults
    return cls(task=task, seed=seed, **{key: value for key, value in QUICK.items() if key in known})


@pytest.fixture(scope="module")
def trained():
    "Each adapter trained once per task on 150 rows, with 50 rows to stop early on"
    models = {}

    def get(name, task):
        if (name, task) not in models:
            X, y = easy_problem(task)
            models[name, task] = quick_model(name, task).fit(X[:150], y[:150], X[150:], y[150:])
        return models[name, task]
    return get


@pytest.mark.parametrize("name,task", CASES)
def test_predictions_have_the_right_shape(trained, name, task):
    model, (X, y) = trained(name, task), easy_problem(task)
    assert model.predict(X).shape == (200,)
    assert np.isfinite(model.predict(X)).all()
    if task == "regression":
        with pytest.raises(BadInputError, match="no probabilities"):
            model.predict_proba(X)
    else:
        probabilities = model.predict_proba(X)
        assert probabilities.shape == (200, len(np.unique(y)))
        assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5) and (probabilities >= 0).all()
        assert set(model.predict(X)) <= set(np.unique(y))


@pytest.mark.parametrize("name,task", CASES)
def test_column_order_does_not_matter_and_missing_columns_are_named(trained, name, task):
    model, (X, _) = trained(name, task), easy_problem(task)
    assert np.array_equal(model.predict(X), model.predict(X[X.columns[::-1]]))
    with pytest.raises(BadInputError, match="brack"):
        model.predict(X.drop(columns="brack[et]"))


@pytest.mark.parametrize("name,task", CASES)
def test_the_same_seed_gives_the_same_model(trained, name, task):
    X, y = easy_problem(task)
    np.random.seed(99)
    again = quick_model(name, task).fit(X[:150], y[:150], X[150:], y[150:])
    assert np.array_equal(scores(trained(name, task), X), scores(again, X))


@pytest.mark.parametrize("name,task", CASES)
def test_a_saved_model_predicts_the_same(trained, name, task):
    model, (X, _) = trained(name, task), easy_problem(task)
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    loaded = joblib.load(file)
    assert np.array_equal(scores(model, X), scores(loaded, X))
    assert loaded.device == model.device and loaded.get_params() == model.get_params()


@pytest.mark.parametrize("name,task", CASES)
def test_it_learns_what_the_dummy_cannot(trained, name, task):
    X, y = easy_problem(task)
    model = trained(name, task)
    if model.baseline:
        assert len(np.unique(model.predict(X))) == 1
        return
    dummy = trained("dummy", task)
    if task == "regression":
        error, floor = np.mean((model.predict(X) - y) ** 2), np.mean((dummy.predict(X) - y) ** 2)
        assert error < 0.5 * floor
    else:
        assert np.mean(model.predict(X) == y) > np.mean(dummy.predict(X) == y) + 0.2


@pytest.mark.parametrize("name,task", CASES)
def test_the_device_is_the_one_that_trained(trained, name, task):
    model = trained(name, task)
    assert quick_model(name, task).device == "not fitted"
    assert model.device in ("cpu", "cuda", "gpu")
    if not model._card():
        assert model.device == "cpu", "there is no card that could have trained this"


@pytest.mark.parametrize("name,task", CASES)
def test_the_search_space_draws_known_parameters(name, task):
    import optuna
    model = known_frameworks()[name](task=task)
    trial = optuna.trial.FixedTrial({key: values[len(values) // 2] for key, values in model.parameter_grid().items()})
    drawn = model.search_space(trial)
    assert set(drawn) == set(model.parameter_grid()) <= set(model.defaults)
    assert model.baseline or drawn, "only the baseline has nothing to tune"
    assert all(len(values) == len(set(map(str, values))) > 1 for values in model.parameter_grid().values())


@pytest.mark.parametrize("name,task", CASES)
def test_it_trains_without_validation_rows_and_without_noise(name, task, capfd):
    X, y = easy_problem(task, rows=80)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)  # of the frameworks' own insides
        model = quick_model(name, task).fit(X, y)
        if name not in ("tensorflow", "torch"):  # the fixture trains these with validation rows already
            quick_model(name, task).fit(X, y, X, y)
    said = capfd.readouterr()
    assert len(model.predict(X)) == 80 and not said.out and not said.err


def scores(model, X):
    return model.predict(X) if model.task == "regression" else model.predict_proba(X)
