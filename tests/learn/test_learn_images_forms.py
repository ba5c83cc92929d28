"""Images in all their forms: sizes, holes, colours, ignored pixels; what is learnt from pixels; validation; threads."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import InvalidArgumentError, ShapeError, UnknownNameError
from gnnkit.learn import ImageClassifier, PixelClassifier, mean_iou
from gnnkit.learn.image_batches import ImageBatches, PixelScale
from gnnkit.learn.image_stack import ImageStack

RNG = np.random.default_rng(0)
TINY = {"model_options": {"widths": (4, 8)}, "batch_size": 8, "random_state": 0}


def squares(sizes: list[tuple[int, int]]) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Noise with a bright square of 3 or 5 pixels a side: images, masks of the squares, which side (0 or 1)."""
    rng = np.random.default_rng(1)
    images, masks, kinds = [], [], np.arange(len(sizes)) % 2
    for (height, width), kind in zip(sizes, kinds):
        image, mask = 0.3 * rng.random((height, width)).astype("float32"), np.zeros((height, width), int)
        side = 5 if kind else 3
        row, column = rng.integers(height - side + 1), rng.integers(width - side + 1)
        image[row : row + side, column : column + side] += 0.6
        mask[row : row + side, column : column + side] = 1
        images.append(image)
        masks.append(mask)
    return images, masks, kinds


MIXED = [(8 + i % 3, 9 + i % 2) for i in range(24)]


# -- sizes, holes, colours --------------------------------------------------------------------------------------------


def test_images_of_many_sizes_are_classified_without_padding():
    images, _, kinds = squares(MIXED)
    model = ImageClassifier(epochs=25, lr=0.01, **TINY).fit(images, kinds)
    assert model.score(images, kinds) > 0.9 and model.image_size_ is None
    assert model.predict([np.zeros((20, 5), "float32")]).shape == (1,)
    with pytest.raises(InvalidArgumentError, match=r"'lenet' needs images of one size. Got several"):
        ImageClassifier("lenet").fit(images, kinds)


def test_pixels_of_many_sizes_come_back_as_a_list():
    images, masks, _ = squares(MIXED)
    model = PixelClassifier(epochs=12, lr=0.01, **TINY).fit(images, masks)
    predicted = model.predict(images)
    assert [p.shape for p in predicted] == MIXED
    assert [p.shape for p in model.predict_proba(images[:2])] == [(8, 9, 2), (9, 10, 2)]
    flat = np.concatenate([p.ravel() for p in predicted]), np.concatenate([m.ravel() for m in masks])
    assert model.score(images, masks) == mean_iou(flat[1], flat[0]) > 0.8
    assert model.accuracy(images, masks) == np.mean(flat[0] == flat[1])
    with pytest.raises(ShapeError, match=r"shape \(8, 9\) for image 1 of size \(9, 10\)"):
        model.fit(images, [masks[0]] * len(masks))
    with pytest.raises(ShapeError, match="23 arrays for 24 images"):
        model.fit(images, masks[:-1])
    with pytest.raises(ShapeError, match="a list of arrays"):
        model.fit(images, np.concatenate([m.ravel() for m in masks]))


def test_pixels_that_do_not_exist_are_neither_seen_nor_labelled():
    images, masks, kinds = squares([(10, 10)] * 24)
    stack, labels = np.stack(images), np.stack(masks)
    exists = RNG.random(stack.shape) > 0.3
    broken = np.where(exists, stack, np.nan)
    g = gk.from_image(broken[..., None], mask=exists, nodes={"y": labels})
    model = PixelClassifier(epochs=12, lr=0.01, **TINY).fit(g.without("y"), g.nodes["y"])
    assert model.predict(g).shape == (g.num_nodes,) and model.score(g, g.nodes["y"]) > 0.75
    with pytest.raises(ShapeError, match=rf"shape \[{g.num_nodes}\]. Got shape \(24, 10, 10\)"):
        model.score(g, labels)
    whole = ImageClassifier(epochs=25, lr=0.01, **TINY).fit(g, kinds)
    assert whole.score(g, kinds) > 0.8
    # the same images one by one, in another order
    order = RNG.permutation(24)
    other = gk.batch([gk.unbatch(g)[i] for i in order])
    assert np.array_equal(whole.predict(other), whole.predict(g)[order])


def test_an_image_without_any_pixel_is_a_legal_nothing():
    images = RNG.random((6, 8, 8, 1)).astype("float32")
    exists = np.ones((6, 8, 8), bool)
    exists[2] = False
    g = gk.from_image(images, mask=exists)
    model = ImageClassifier(epochs=2, **TINY).fit(g, np.arange(6) % 2)
    assert np.isfinite(model.predict_proba(g)).all()
    alone = gk.from_image(images[2:3], mask=exists[2:3])
    assert model.predict(alone).shape == (1,)
    pixels = PixelClassifier(epochs=2, **{**TINY, "batch_size": 1}).fit(g, (g.x[:, 0] > 0.5).astype(int))
    assert pixels.predict(g).shape == (320,) and pixels.predict(alone).shape == (0,)


def test_a_graph_keeps_its_border():
    images, _, kinds = squares([(8, 8)] * 12)
    wrapped = gk.from_image(np.stack(images)[..., None], border="wrap")
    model = ImageClassifier(epochs=2, **TINY).fit(wrapped, kinds)
    same = ImageClassifier(epochs=2, border="wrap", **TINY).fit(np.stack(images), kinds)
    other = ImageClassifier(epochs=2, **TINY).fit(np.stack(images), kinds)
    assert np.array_equal(model.predict_proba(wrapped), same.predict_proba(np.stack(images)))
    assert not np.array_equal(model.predict_proba(wrapped), other.predict_proba(np.stack(images)))


def test_uint8_is_what_from_image_makes_of_it():
    images = RNG.integers(0, 256, (10, 6, 6, 3)).astype(np.uint8)
    y = np.arange(10) % 2
    stored = ImageClassifier(epochs=2, **TINY).fit(images, y).predict_proba(images)
    scaled = (images / np.float32(255)).astype(np.float32)
    assert np.array_equal(stored, ImageClassifier(epochs=2, **TINY).fit(scaled, y).predict_proba(scaled))
    assert np.array_equal(stored, ImageClassifier(epochs=2, **TINY).fit(list(images), y).predict_proba(list(images)))
    marks = images[..., 0] > 100
    ImageClassifier(epochs=1, **TINY).fit(marks, y)


def test_image_files_are_read(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    images = RNG.integers(0, 256, (6, 7, 8)).astype(np.uint8)
    paths = [tmp_path / f"{i}.png" for i in range(6)]
    for path, image in zip(paths, images):
        pillow.fromarray(image).save(path)
    y = np.arange(6) % 2
    model = ImageClassifier(epochs=1, **TINY).fit(images, y)
    assert np.array_equal(model.predict_proba(paths), model.predict_proba(images))


# -- what is learnt from pixels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_channels_are_standardised_by_their_training_pixels(dtype):
    images = RNG.integers(0, 256, (9, 5, 4, 3)).astype(dtype)
    images[..., 2] = 7
    stack, chosen = ImageStack.read(images), np.array([1, 4, 5])
    scale = PixelScale.learn(stack, chosen)
    pixels = (images[chosen] / (255 if dtype == np.uint8 else 1)).reshape(-1, 3)
    assert np.allclose(scale.mean, pixels.mean(axis=0))
    assert np.allclose(scale.scale, [*pixels.std(axis=0)[:2], 1.0])
    x = scale.apply(stack.graph(chosen, np.float64)).x
    assert np.allclose(x.mean(axis=0), 0, atol=1e-6) and np.allclose(x.std(axis=0), [1, 1, 0], atol=1e-6)


def test_a_far_away_mean_costs_no_digits():
    images = 1e6 + RNG.random((40, 8, 8))
    scale = PixelScale.learn(ImageStack.read(images), np.arange(40))
    assert scale.scale == pytest.approx([images.std()], rel=1e-9)


def test_pixels_may_stay_as_they_are():
    images, _, kinds = squares([(8, 8)] * 12)
    model = ImageClassifier(epochs=1, normalize=None, **TINY).fit(np.stack(images), kinds)
    assert not hasattr(model, "pixel_mean_") and model.predict(np.stack(images)).shape == (12,)


def test_batches_are_slices_of_the_images_and_share_topologies():
    images = RNG.random((10, 4, 5)).astype("float32")
    batches = ImageBatches(
        ImageStack.read(images), np.arange(10), np.arange(10), level="graphs", batch_size=4, scale=PixelScale(),
        dtype=np.float32,
    )  # fmt: skip
    tasks = list(batches.epoch(np.random.default_rng(0)))
    assert len(batches) == 3 and [task.num_rows for task in tasks] == [4, 4, 2]
    assert tasks[0].graph.topology is tasks[1].graph.topology
    order = np.concatenate([task.target for task in tasks])
    assert sorted(order.tolist()) == list(range(10)) and order.tolist() != list(range(10))
    assert np.array_equal(np.concatenate([gk.to_image(task.graph)[..., 0] for task in tasks]), images[order])


def test_only_training_images_are_augmented():
    images, masks, _ = squares([(8, 8)] * 12)
    seen = []

    def spy(graph, rng):
        seen.append(graph)
        return gk.transforms.random_shift(graph, rng=rng)

    model = PixelClassifier(epochs=2, augment=spy, validation=1 / 3, **TINY).fit(np.stack(images), np.stack(masks))
    model.score(np.stack(images), np.stack(masks))
    assert [g.num_graphs for g in seen] == [8, 8] and all("y" in g.nodes for g in seen)
    assert all(float(g.x.min()) >= 0 and float(g.x.max()) < 1 for g in seen)  # in the units of the images
    assert {"val_accuracy", "val_mean_iou"} <= set(model.history_.columns)


def test_augmentation_with_lost_pixels_keeps_labels_beside_them():
    images, masks, _ = squares([(8, 8)] * 12)
    lose = partial(gk.transforms.drop_pixels, share=0.3, how="mask")
    joined = gk.transforms.compose(gk.transforms.random_flip, lose, gk.transforms.colour_jitter)
    model = PixelClassifier(epochs=12, lr=0.01, augment=joined, **TINY).fit(np.stack(images), np.stack(masks))
    assert model.score(np.stack(images), np.stack(masks)) > 0.7


# -- ignored labels ---------------------------------------------------------------------------------------------------


def test_ignored_pixels_are_neither_learnt_nor_scored():
    images, masks, _ = squares([(8, 8)] * 12)
    X, y = np.stack(images), np.stack(masks)
    partly = np.where(RNG.random(y.shape) < 0.5, 255, y)
    model = PixelClassifier(ignore_label=255, epochs=10, lr=0.01, **TINY).fit(X, partly)
    assert model.classes_.tolist() == [0, 1]
    known = partly != 255
    assert model.score(X, partly) == mean_iou(y[known], model.predict(X)[known]) > 0.7
    assert model.accuracy(X, partly) == np.mean(y[known] == model.predict(X)[known])
    # what stands under an ignored label does not matter: only one bit of information, that it is ignored
    assert set(np.unique(model.predict(X))) <= {0, 1}
    with pytest.raises(InvalidArgumentError, match="none labelled"):
        model.score(X, np.full_like(y, 255))
    with pytest.raises(InvalidArgumentError, match=r"at least two classes apart. Got only \[\]"):
        model.fit(X, np.full_like(y, 255))
    nowhere = partly.copy()
    nowhere[:8] = 255  # whole batches without any label are passed over
    model.set_params(epochs=3).fit(X, nowhere)
    with pytest.raises(UnknownNameError, match=r"labels of validation must be among the classes.*Got 7"):
        model.fit(X, partly, validation=(X, np.full_like(y, 7)))


# -- validation and scikit-learn --------------------------------------------------------------------------------------


def test_a_share_for_validation_is_the_same_of_every_class():
    images, masks, kinds = squares([(8, 8)] * 20)
    kinds = np.array([0] * 15 + [1] * 5)
    model = ImageClassifier(epochs=3, validation=0.4, **TINY).fit(np.stack(images), kinds)
    assert "val_accuracy" in model.history_ and model.history_.best_epoch in range(3)
    with pytest.raises(InvalidArgumentError, match="Training and validation each need images"):
        ImageClassifier(validation=0.01).fit(np.stack(images), kinds)
    given = ImageClassifier(epochs=2, **TINY)
    given.fit(images, kinds, validation=(images[:3], kinds[:3]), test=(images[3:6], kinds[3:6]))
    assert "test_accuracy" in given.history_
    with pytest.raises(UnknownNameError, match="labels of validation must be among the classes"):
        given.fit(images, kinds, validation=(images[:1], [9]))
    with pytest.raises(InvalidArgumentError, match="validation needs at least one image"):
        given.fit(images, kinds, validation=([], []))
    early = PixelClassifier(epochs=50, patience=2, validation=0.3, monitor="val_mean_iou", lr=0.02, **TINY)
    early.fit(np.stack(images), np.stack(masks))
    assert early.history_.best_epoch == int(np.argmax(early.history_["val_mean_iou"]))


def test_scikit_learn_selects_models():
    selection = pytest.importorskip("sklearn.model_selection")
    images, masks, kinds = squares([(8, 8)] * 12)
    X = np.stack(images)
    base = ImageClassifier(epochs=1, batch_size=4, random_state=0, model_options={"widths": (4,)})
    search = selection.GridSearchCV(base, {"lr": [0.01, 0.001]}, cv=2).fit(X, kinds)
    assert search.best_params_["lr"] in (0.01, 0.001) and search.predict(X).shape == (12,)
    pixels = PixelClassifier(epochs=1, random_state=0, model_options={"widths": (4,)})
    assert selection.cross_val_score(pixels, X, np.stack(masks), cv=2).shape == (2,)


def test_own_modules_are_copied_and_keep_what_they_learnt():
    images, _, kinds = squares([(8, 8)] * 12)
    own = gk.nn.SmallCNN(1, 2, widths=(4, 8), rng=0)
    before = own.state_dict()
    frozen = ImageClassifier(own, epochs=0).fit(np.stack(images), kinds)
    assert all(np.array_equal(v, before[k]) for k, v in frozen.model_.state_dict().items())
    ImageClassifier(own, epochs=1).fit(np.stack(images), kinds)
    assert all(np.array_equal(v, before[k]) for k, v in own.state_dict().items())
    with pytest.raises(InvalidArgumentError, match=r"model_options are arguments of a network by name"):
        ImageClassifier(own, model_options={"widths": (4,)}).fit(np.stack(images), kinds)
    with pytest.raises(UnknownNameError, match=r"option of the model 'cnn'.*Did you mean 'widths'"):
        ImageClassifier(model_options={"width": 4}).fit(np.stack(images), kinds)
    with pytest.raises(ShapeError, match=r"one score for each of the 2 classes, \[1, 2\].*Got shape \(1, 5\)"):
        ImageClassifier(gk.nn.SmallCNN(1, 5, widths=(4,))).fit(np.stack(images), kinds)
    double = ImageClassifier(gk.nn.SmallCNN(1, 2, widths=(4,)).astype("float64"), epochs=1)
    assert double.fit(np.stack(images), kinds).predict_proba(np.stack(images)).dtype == np.float64


def test_small_images_for_lenet_are_refused_with_its_reason():
    with pytest.raises(ShapeError, match=r"'lenet' needs images of at least 12 x 12.*Got 8 x 8"):
        ImageClassifier("lenet").fit(np.zeros((4, 8, 8)), [0, 1, 0, 1])


@pytest.mark.parametrize("kind", ["images", "pixels"])
def test_any_number_of_threads_gives_the_same_bits(kind):
    X = RNG.random((16, 24, 20, 2)).astype("float32")
    found = []
    threads = gk.kernels.get_num_threads()
    try:
        for count in (1, 3):
            gk.kernels.set_num_threads(count)
            if kind == "images":
                model = ImageClassifier(epochs=2, augment=gk.transforms.random_shift, **TINY).fit(X, np.arange(16) % 3)
            else:
                model = PixelClassifier(epochs=1, **TINY).fit(X, (X[..., 0] > 0.5).astype(int))
            found.append((model.predict_proba(X), model.history_["train_loss"]))
    finally:
        gk.kernels.set_num_threads(threads)
    assert np.array_equal(found[0][0], found[1][0]) and found[0][1] == found[1][1]


# -- real images, short -----------------------------------------------------------------------------------------------


def test_digits_are_learnt():
    X, y = gk.datasets.load_images("digits")
    order = np.random.default_rng(0).permutation(len(X))
    train, test = order[:1200], order[1200:]
    model = ImageClassifier(model_options={"widths": (8, 16, 32)}, epochs=6, lr=5e-3, random_state=0)
    assert model.fit(X[train], y[train]).score(X[test], y[test]) > 0.95


def test_the_strokes_of_digits_are_found_among_clutter():
    X, y = gk.datasets.cluttered_digits(120, size=20, source="digits", num_pieces=6, rng=0)
    new, truth = gk.datasets.cluttered_digits(40, size=20, source="digits", num_pieces=6, rng=1)
    model = PixelClassifier(model_options={"widths": (8, 16)}, epochs=8, lr=0.01, random_state=0).fit(X, y)
    alone = PixelClassifier(lambda inside, classes: gk.nn.MLP([inside, 16, classes]), epochs=8, random_state=0)
    assert model.score(new, truth) > alone.fit(X, y).score(new, truth) + 0.1


def test_a_few_hundred_images_of_mnist_go_a_long_way(shared_data: Path):
    with np.load(shared_data / "mnist.npz", allow_pickle=False) as mnist:
        X, y, new, truth = (
            mnist["x_train"][:1500],
            mnist["y_train"][:1500],
            mnist["x_test"][:500],
            mnist["y_test"][:500],
        )
    model = ImageClassifier("lenet", epochs=4, lr=5e-3, random_state=0).fit(X, y)
    assert model.score(new, truth) > 0.88


def test_streets_of_camvid_are_segmented(shared_data: Path):
    with np.load(shared_data / "camvid_60x80.npz", allow_pickle=False) as camvid:
        X, y, new, truth = (
            camvid["x_train"][::12],
            camvid["y_train"][::12],
            camvid["x_test"][::40],
            camvid["y_test"][::40],
        )
    model = PixelClassifier(ignore_label=11, model_options={"widths": (8, 16, 32)}, epochs=8, lr=0.01, random_state=0)
    assert model.fit(X, y).accuracy(new, truth) > 0.5
    assert len(model.classes_) == 11 and model.predict(new).shape == truth.shape
