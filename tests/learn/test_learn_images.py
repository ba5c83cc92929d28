"""Estimators of images: the same named checks for both, in every form of X; files, resuming, reproducible bits."""

from __future__ import annotations

import inspect
from functools import partial

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import (
    DTypeError,
    FileFormatError,
    InvalidArgumentError,
    InvalidFeatureError,
    NotFittedError,
    ShapeError,
    UnknownNameError,
)
from gnnkit.learn import ImageClassifier, NodeClassifier, PixelClassifier, load_estimator


def stripes(count: int = 24, size: tuple[int, int] = (12, 13), *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images with a bright row (class 0) or a bright column (class 1) somewhere, in noise."""
    rng = np.random.default_rng(seed)
    X = 0.2 * rng.random((count, *size)).astype("float32")
    y = np.arange(count) % 2
    for image, label in zip(X, y):
        if label:
            image[:, rng.integers(size[1])] += 0.7
        else:
            image[rng.integers(size[0])] += 0.7
    return X, y


X, Y = stripes()
BRIGHT = (X > 0.5).astype(int)
FAST = {"epochs": 6, "batch_size": 8, "lr": 0.01, "random_state": 0}
ESTIMATORS = {
    "cnn": lambda: ImageClassifier("cnn", model_options={"widths": (4, 8)}, **FAST),
    "lenet": lambda: ImageClassifier("lenet", **FAST),
    "resnet": lambda: ImageClassifier("resnet", model_options={"widths": (4, 8), "blocks": 1}, **FAST),
    "own image model": lambda: ImageClassifier(image_model, **FAST),
    "unet": lambda: PixelClassifier("unet", model_options={"widths": (4, 8)}, **FAST),
    "own pixel model": lambda: PixelClassifier(lambda inside, classes: gk.nn.MLP([inside, 8, classes]), **FAST),
}


def image_model(inside: int, classes: int) -> gk.nn.Module:
    return gk.nn.Sequential(
        gk.nn.Conv2d(inside, 4, 3), gk.nn.ReLU(), gk.nn.GlobalPool("mean", head=gk.nn.Linear(4, classes))
    )


def of_pixels(estimator) -> bool:
    return isinstance(estimator, PixelClassifier)


def labels_for(estimator):
    return BRIGHT if of_pixels(estimator) else Y


def fitted(estimator):
    return estimator.fit(X, labels_for(estimator))


# -- the checks: each takes a fresh estimator -------------------------------------------------------------------------


def check_constructor_only_stores(estimator):
    for name, value in estimator.get_params().items():
        assert getattr(estimator, name) is value
    assert set(vars(estimator)) == set(estimator.get_params())
    for parameter in list(inspect.signature(type(estimator).__init__).parameters.values())[2:]:
        assert parameter.kind is parameter.KEYWORD_ONLY and parameter.default is not parameter.empty


def check_fit_returns_self_and_learns_underscored_names(estimator):
    before = dict(estimator.get_params())
    assert fitted(estimator) is estimator
    assert all(estimator.get_params()[k] is v for k, v in before.items())
    learnt = set(vars(estimator)) - set(before)
    assert learnt and all(name.endswith("_") or name.startswith("_") for name in learnt)
    assert (estimator.channels_, estimator.image_size_) == (1, (12, 13)) and len(estimator.history_) == 6


def check_it_learns(estimator):
    assert fitted(estimator.set_params(epochs=30)).score(X, labels_for(estimator)) > 0.8
    train_loss = estimator.history_["train_loss"]
    assert train_loss[-1] < 0.5 * train_loss[0]


def check_answers_have_the_form_of_the_question(estimator):
    fitted(estimator)
    classes = len(estimator.classes_)
    tail = X.shape[1:] if of_pixels(estimator) else ()
    assert estimator.predict(X[:3]).shape == (3, *tail)
    assert estimator.predict_proba(X[:3]).shape == estimator.decision_function(X[:3]).shape == (3, *tail, classes)
    assert estimator.predict(X[:0]).shape == (0, *tail)
    assert len(estimator.predict([])) == 0
    assert np.allclose(estimator.predict_proba(X[:3]).sum(axis=-1), 1, atol=1e-5)
    graph = estimator.predict(gk.from_image(X[:3, ..., None]))
    assert np.array_equal(graph, estimator.predict(X[:3]).reshape(graph.shape))
    assert graph.shape == ((3 * 156,) if of_pixels(estimator) else (3,))


def check_every_form_of_x_teaches_the_same(estimator):
    first = fitted(estimator).predict_proba(X)
    y = labels_for(estimator)
    graph = gk.from_image(X[..., None])
    flat = y.reshape(-1) if of_pixels(estimator) else y
    for form, target in ((X[..., None], y), (list(X), list(y)), (graph, flat), (gk.Tensor(X), y)):
        assert np.array_equal(np.asarray(estimator.fit(form, target).predict_proba(X)), first)


def check_predictions_do_not_depend_on_their_batch(estimator):
    fitted(estimator)
    whole = estimator.decision_function(X)
    assert np.allclose(estimator.set_params(batch_size=5).decision_function(X), whole, rtol=1e-5, atol=1e-5)
    assert np.allclose(estimator.decision_function(X[3:4]), whole[3:4], rtol=1e-5, atol=1e-5)


def check_labels_may_be_texts(estimator):
    y = labels_for(estimator)
    first = fitted(estimator).predict(X)
    names = np.array(["no", "yes"])[y]
    assert np.array_equal(estimator.fit(X, names).predict(X), np.array(["no", "yes"])[first])
    assert estimator.classes_.tolist() == ["no", "yes"]
    assert np.array_equal(estimator.fit(X, 5 * y - 2).predict(X), 5 * first - 2)


def check_fit_twice_gives_the_same_bits(estimator):
    first = fitted(estimator).predict_proba(X)
    assert np.array_equal(first, fitted(estimator).predict_proba(X))
    assert not np.array_equal(first, fitted(estimator.set_params(random_state=1)).predict_proba(X))


def check_set_params_and_unknown_names(estimator):
    assert estimator.set_params(lr=0.5).get_params()["lr"] == 0.5
    with pytest.raises(UnknownNameError, match=r"parameter must be one of.*Did you mean 'epochs'"):
        estimator.set_params(epoch=1)
    with pytest.raises(UnknownNameError, match="Did you mean 'augment'"):
        type(estimator)(augmnt=None)


def check_clone_forgets(estimator):
    base = pytest.importorskip("sklearn.base")
    fitted(estimator)
    other = base.clone(estimator)
    assert other is not estimator and set(vars(other)) == set(other.get_params())
    assert base.is_classifier(estimator) and not base.is_regressor(estimator)


def check_not_fitted(estimator):
    with pytest.raises(NotFittedError, match=r"It is not. Call fit\(X, y\) with images and labels first"):
        estimator.predict(X)


def check_repr_names_what_was_set(estimator):
    text = repr(estimator)
    assert text.startswith(type(estimator).__name__ + "(") and "random_state=0" in text and "clip_norm" not in text


def check_bad_images(estimator):
    y = labels_for(estimator)
    name = type(estimator).__name__
    with pytest.raises(ShapeError, match=rf"{name} takes images \[N, height, width\].*shape \(24, 156\).*X.reshape"):
        estimator.fit(X.reshape(24, -1), y)
    with pytest.raises(DTypeError, match=r"floats, uint8 .0 to 255. or booleans as pixels. Got dtype int64"):
        estimator.fit(X.astype(int), y)
    with pytest.raises(ShapeError, match=r"\(24, 3, 12, 13\), which looks like channels first. Use np.moveaxis"):
        estimator.fit(np.repeat(X[:, None], 3, axis=1), y)
    with pytest.raises(DTypeError, match="Got dtype object"):
        estimator.fit(X.astype(object), y)
    broken = X.copy()
    broken[5, 2, 3] = np.nan
    for form in (broken, list(broken)):
        with pytest.raises(InvalidFeatureError, match=r"Image 5 has \[nan\] at \(2, 3\)"):
            estimator.fit(form, y if form is broken else list(y))
    with pytest.raises(InvalidFeatureError, match="images of size 0 x 13"):
        estimator.fit(X[:, :0], y[:, :0] if of_pixels(estimator) else y)
    with pytest.raises(InvalidArgumentError, match=r"at least one image. Got none"):
        estimator.fit(X[:0], y[:0])
    with pytest.raises(DTypeError, match="This needs a graph on a grid"):
        estimator.fit(gk.path(3).replace(x=np.ones((3, 1))), [0, 1, 1])


def check_bad_labels(estimator):
    y = labels_for(estimator)
    with pytest.raises(ShapeError, match=r"y holds one label for each .*Got shape \(23"):
        estimator.fit(X, y[:23])
    other = Y if of_pixels(estimator) else BRIGHT
    right = "ImageClassifier" if of_pixels(estimator) else "PixelClassifier"
    with pytest.raises(ShapeError, match=rf"gk\.{right}"):
        estimator.fit(X, other)
    with pytest.raises(InvalidArgumentError, match=r"at least two classes apart. Got only \[0\]"):
        estimator.fit(X, np.zeros_like(y))
    missing = y.astype(float)
    missing.flat[1] = np.nan
    with pytest.raises(InvalidFeatureError, match="Got nan for"):
        estimator.fit(X, missing)
    with pytest.raises(NotFittedError):
        estimator.predict(X)  # a failed fit leaves nothing half-fitted


def check_prediction_on_other_channels_is_refused(estimator):
    fitted(estimator)
    with pytest.raises(ShapeError, match=r"Images have the channels of training, 1. Got 3"):
        estimator.predict(np.repeat(X[..., None], 3, axis=3))
    estimator.fit(np.repeat(X[..., None], 3, axis=3), labels_for(estimator))
    with pytest.raises(ShapeError, match=r"training, 3. Got 1. .*X\[None\]"):
        estimator.predict(np.repeat(X[0][..., None], 3, axis=2))


def check_bad_settings(estimator):
    for change, text in (
        ({"batch_size": 0}, "batch_size is a whole number"),
        ({"normalize": "l1"}, "value of normalize"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"augment": 3}, "augment is a function"),
        ({"border": "mirror"}, "border"),
        ({"validation": 1.5}, "share between 0 and 1"),
        ({"validation": (X,)}, "pair"),
        ({"model": 3, "model_options": None}, "model is a name"),
        ({"model": "vgg", "model_options": None}, "model must be one of"),
        ({"augment": lambda graph, rng: graph.x}, "gives a graph of the same 8 images"),
    ):
        with pytest.raises((InvalidArgumentError, UnknownNameError, DTypeError), match=text):
            fitted(type(estimator)(**{**estimator.get_params(), **change}))


def check_save_and_load(estimator, tmp_path):
    if callable(estimator.model):
        estimator.set_params(model=estimator.model(1, 2))
    fitted(estimator)
    path = estimator.save(tmp_path / "model.safetensors", metadata={"note": "stripes"})
    read = type(estimator).load(path)
    assert np.array_equal(read.predict_proba(X), estimator.predict_proba(X))
    assert read.history_ == estimator.history_ and read.lr == estimator.lr and read.image_size_ == (12, 13)
    assert np.array_equal(load_estimator(path).classes_, estimator.classes_)
    other = ImageClassifier if of_pixels(estimator) else PixelClassifier
    for wrong in (other, NodeClassifier):
        with pytest.raises(FileFormatError, match=rf"holds a {type(estimator).__name__}"):
            wrong.load(path)
    with pytest.raises(InvalidArgumentError, match=r"graph= is for estimators of nodes"):
        load_estimator(path, graph=gk.path(2))
    with pytest.raises(NotFittedError):
        type(estimator)().save(path)


def check_resuming_gives_the_same_bits(estimator, tmp_path):
    y = labels_for(estimator)
    shift = partial(gk.transforms.random_shift, pixels=1)
    estimator.set_params(augment=shift, validation=0.25, schedule=None)
    whole = estimator.fit(X, y).predict_proba(X)
    path = tmp_path / "run.safetensors"
    estimator.set_params(epochs=3).fit(X, y, checkpoint=path)
    assert len(estimator.history_) == 3
    with pytest.raises(InvalidArgumentError, match="The checkpoint disagrees about: training data"):
        estimator.fit(1 - X, y, checkpoint=path, resume=True)
    estimator.set_params(epochs=6).fit(X, y, checkpoint=path, resume=True)
    assert len(estimator.history_) == 6
    assert np.array_equal(estimator.predict_proba(X), whole)


CHECKS = [value for name, value in sorted(globals().items()) if name.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__[6:])
@pytest.mark.parametrize("make", ESTIMATORS.values(), ids=ESTIMATORS.keys())
def test_contract(make, check, tmp_path):
    arguments = {"tmp_path": tmp_path} if "tmp_path" in inspect.signature(check).parameters else {}
    check(make(), **arguments)
