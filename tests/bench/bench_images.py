"""Accuracy of the estimators of images, with the time that training takes: MNIST, digits, CamVid, cluttered digits.

    python tests/bench/bench_images.py --root FOLDER                  all of them
    python tests/bench/bench_images.py --only digits --seeds 2        one of them, quickly
    python tests/bench/bench_images.py --only mnist --seeds 1

MNIST is downloaded once (see gk.datasets) or read from FOLDER; CamVid is read from FOLDER/camvid_60x80.npz. A seed
draws the initial parameters, the order of the batches and the augmentation; for digits and cluttered digits also the
split, or the canvases. Printed: test scores, and the seconds of ``fit``.

How settings were chosen: all are first guesses. MNIST's was tried with 5 epochs on the last 10,000 training images,
seed 100; digits' was compared with three others on the splits of seeds 100 to 103, and kept. The weights are those of
the last epoch, for CamVid of the one with the best validation mean IoU.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, table

import gnnkit as gk

Scores = dict[str, float]
SHIFT = gk.transforms.random_shift
MNIST = {"model": "cnn", "epochs": 6, "lr": 3e-3, "augment": partial(SHIFT, pixels=2)}
DIGITS = {"model": "cnn", "model_options": {"widths": (16, 32, 64)}, "epochs": 40, "lr": 3e-3, "batch_size": 32}
DIGITS |= {"augment": partial(SHIFT, pixels=1)}
PIXELS = {"epochs": 40, "lr": 4e-3, "batch_size": 8}


def pixel_mlp(inside: int, classes: int) -> gk.nn.Module:
    """Every pixel by itself: what colour alone tells."""
    return gk.nn.MLP([inside, 64, 64, classes])


SEGMENTERS: dict[str, dict[str, Any]] = {
    "U-Net": {"model": "unet"},
    "the same without skips": {"model": "unet", "model_options": {"skip": False}},
    "per-pixel MLP": {"model": pixel_mlp},
}


def fitted(estimator: Any, X: Any, y: Any, **more: Any) -> tuple[Any, float]:
    start = time.perf_counter()
    estimator.fit(X, y, **more)
    return estimator, time.perf_counter() - start


def mnist(seed: int, args: argparse.Namespace) -> Iterator[tuple[str, Scores]]:
    """60,000 training images, the last epoch's weights, 10,000 test images."""
    X, y = gk.datasets.load_images("mnist", part="train", raw=True, root=args.root)
    new, truth = gk.datasets.load_images("mnist", part="test", raw=True, root=args.root)
    model, seconds = fitted(gk.ImageClassifier(random_state=seed, progress=None, **MNIST), X, y)
    yield "cnn", {"accuracy": model.score(new, truth), "seconds": seconds, "parameters": model.model_.num_parameters}


def digits(seed: int, args: argparse.Namespace) -> Iterator[tuple[str, Scores]]:
    """A quarter of every class held out, drawn by the seed; the last epoch's weights."""
    X, y = gk.datasets.load_images("digits")
    rng = np.random.default_rng(seed)
    held = np.concatenate([rng.permutation(np.flatnonzero(y == k))[: round(np.sum(y == k) / 4)] for k in range(10)])
    train = np.setdiff1d(np.arange(len(y)), held)
    model, seconds = fitted(gk.ImageClassifier(random_state=seed, progress=None, **DIGITS), X[train], y[train])
    score = model.score(X[held], y[held])
    yield "cnn", {"accuracy": score, "seconds": seconds, "parameters": model.model_.num_parameters}


def camvid(seed: int, args: argparse.Namespace) -> Iterator[tuple[str, Scores]]:
    """367 training, 101 validation, 233 test images of 60 x 80; 11 classes; the epoch best in validation mean IoU."""
    with np.load(Path(args.root) / "camvid_60x80.npz", allow_pickle=False) as arrays:
        parts = {part: (arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "val", "test")}
    augment = gk.transforms.compose(gk.transforms.random_flip, partial(SHIFT, pixels=4))
    common = {**PIXELS, "augment": augment, "ignore_label": 11, "monitor": "val_mean_iou"}
    for name, settings in SEGMENTERS.items():
        estimator = gk.PixelClassifier(random_state=seed, progress=None, **common, **settings)
        yield name, segmentation(*fitted(estimator, *parts["train"], validation=parts["val"]), *parts["test"])


def cluttered(seed: int, args: argparse.Namespace) -> Iterator[tuple[str, Scores]]:
    """600 training and 200 test canvases of 48 x 48, drawn by the seed; the last epoch's weights."""
    X, y = gk.datasets.cluttered_digits(600, rng=2 * seed)
    new, truth = gk.datasets.cluttered_digits(200, rng=2 * seed + 1)
    for name, settings in SEGMENTERS.items():
        estimator = gk.PixelClassifier(random_state=seed, progress=None, **{**PIXELS, "epochs": 12}, **settings)
        yield name, segmentation(*fitted(estimator, X, y), new, truth)


def segmentation(model: Any, seconds: float, new: Any, truth: Any) -> Scores:
    scores = {"mean IoU": model.score(new, truth), "accuracy": model.accuracy(new, truth)}
    return {**scores, "seconds": seconds, "parameters": model.model_.num_parameters}


TASKS: dict[str, tuple[Callable[..., Iterator[tuple[str, Scores]]], int]] = {
    "mnist": (mnist, 3),
    "digits": (digits, 5),
    "camvid": (camvid, 3),
    "cluttered": (cluttered, 3),
}  # task -> its function and number of seeds


def summary(runs: dict[str, list[Scores]]) -> str:
    """One line per model: mean and standard deviation of the scores, in %; every seed's first score; mean seconds."""
    first = next(iter(runs.values()))[0]
    scores = [name for name in first if name not in ("seconds", "parameters")]
    rows = []
    for name, found in runs.items():
        values = {key: np.array([run[key] for run in found]) for key in first}
        cells = [f"{100 * values[key].mean():.2f} +- {100 * values[key].std():.2f}" for key in scores]
        each = " ".join(f"{100 * value:.2f}" for value in values[scores[0]])
        rows.append([name, int(values["parameters"][0]), *cells, each, f"{values['seconds'].mean():.0f}"])
    return table(["model", "parameters", *scores, f"{scores[0]} of each seed", "s to train"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument(
        "--seeds", type=int, help="seeds 0 .. SEEDS - 1 (default: 3 for MNIST and CamVid, 5 for digits)"
    )
    parser.add_argument("--root", help="folder with mnist.npz and camvid_60x80.npz")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    args = parser.parse_args()
    if "camvid" in args.only and args.root is None:
        parser.error("camvid needs --root FOLDER, with camvid_60x80.npz in it")
    print(machine(), flush=True)
    results: dict[str, dict[str, list[Scores]]] = {}
    for task in args.only:
        run, seeds = TASKS[task]
        runs: dict[str, list[Scores]] = {}
        for seed in range(args.seeds or seeds):
            for name, scores in run(seed, args):
                runs.setdefault(name, []).append(scores)
                print(f"  {task} seed {seed} {name}: {scores}", flush=True)
        results[task] = runs
        print(f"\n{task}: {run.__doc__}\n{summary(runs)}\n", flush=True)
        if args.json:
            args.json.write_text(json.dumps({"machine": machine(), **results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
