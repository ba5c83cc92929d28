"""Every file in examples/ on a small setting: it runs, prints its result and saves its pictures.

A file without a setting here fails, so that no example rots; examples with tests of their own are named in ELSEWHERE.
"""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")

FOLDER = Path(__file__).resolve().parents[2] / "examples"

# name: (arguments, texts that it prints, pictures that it saves)
SETTINGS: dict[str, tuple[list[str], list[str], list[str]]] = {
    "karate": (
        ["--epochs", "40", "--seeds", "2"],
        ["person 0 is Mr. Hi", "label propagation", "over 2 initial weights"],
        ["karate.png"],
    ),
    "embedding": (
        ["--epochs", "4", "--points", "60"],
        ["140 labelled papers of 2708", "test accuracy", "Two maps of 60 papers"],
        ["embedding.png"],
    ),
    "message_passing": (
        ["--length", "5"],
        ["(69, 58)", "(258, 242)", "node 0 depends on node 4 of a path of 5"],
        ["message_passing.png"],
    ),
    "backpropagation": (
        ["--hidden", "2"],
        ["v3    sin(v2)", "reverse schedule: v6 -> v5 ->", "2 (y - t) C s' x^T", "2 hidden units"],
        ["tape_function.png", "tape_network.png"],
    ),
    "own_layer": (
        ["--epochs", "3", "--hidden", "4"],
        ["gradient error", "equivariance error", "Cora: test accuracy"],
        ["own_layer.png"],
    ),
    "symmetry": (
        ["--cases", "20"],
        [
            "Mean       nodes passed, edges passed, union passed",
            "LastWins   nodes FAILED",
            "differs at: nodes x, node 2",
        ],
        ["symmetry.png"],
    ),
    "deep_residual": (
        ["--depths", "2", "4", "--epochs", "3", "--hidden", "8"],
        ["     2  plain", "     4  residual", "training loss"],
        ["deep_residual.png"],
    ),
    "typed_graph": (
        ["--epochs", "20", "--seeds", "2", "--hidden", "8"],
        [
            "woman -> attended -> event  89 edges",
            "over 2 initial weights",
            "Events from the first group to the second: E",
        ],
        ["typed_graph.png"],
    ),
    "message_program": (
        ["--heads", "2", "--channels", "4"],
        [
            "difference from a loop",
            "MessageProgram(gated_attention(src, dst, edge)) on",
            "gradient of edge.score",
            "np.where(",
        ],
        [],
    ),
    "cnn_vs_mlp": (
        ["--images", "64", "--epochs", "1"],
        ["64 training digits, 1000 test digits", "MLP, untrained, linear classifier", "differ by 0e+00"],
        ["cnn_vs_mlp.png"],
    ),
    "holes": (
        ["--images", "64", "--epochs", "1"],
        ["trained with 40% missing", "graph, partial conv", "array and mask"],
        ["holes.png"],
    ),
    "image_sizes": (
        ["--images", "64", "--epochs", "1"],
        ["28 x 28 only", "all sizes", "has the same bits as the answer to it alone", "padded to the largest"],
        ["image_sizes.png"],
    ),
    "blur_inpaint": (
        ["--images", "32", "--epochs", "1"],
        ["scipy's uniform filter by 1e-07", "Mean of known pixels   0.332", "Repeated blurring      0.231", "U-Net"],
        ["blur_inpaint.png"],
    ),
    "segmentation": (
        ["--images", "8", "--epochs", "1"],
        ["8 canvases of 48 x 48", "perceptron per pixel", "U-Net without skips"],
        ["segmentation.png"],
    ),
    "deep_residual_images": (
        ["--deep", "10", "--epochs", "1"],
        ["     8  plain", "    10  residual", "training loss"],
        ["deep_residual_images.png"],
    ),
    "hexagons": (
        ["--images", "64", "--epochs", "1"],
        ['(border "wrap"): 0e+00 apart', "hexagonal  1,384 weights", "Turned by 60 degrees"],
        ["hexagons.png"],
    ),
    "expressiveness": (
        ["--draws", "1"],
        [
            "GIN (sum)                                yes",
            "GIN + node numbers                   invalid",
            "smallest k of k-WL",
        ],
        ["expressiveness.png"],
    ),
    "oversmoothing": (
        ["--layers", "8"],
        ["input, and after 8 layers", "GCN2 ", "path, virtual node", "at distance 12"],
        ["oversmoothing.png"],
    ),
    "volume_table": (
        [],
        ["0         Conv2d             100  28 x 28 x 10", "1,473", "99,883,155,456", "[0 0 0 1 2]"],
        ["volume_table.png"],
    ),
    "citation_table": (
        ["--models", "sgc", "--datasets", "cora", "--seeds", "1", "--epochs", "3", "--jobs", "1"],
        ["| sgc | cora |", "Protocols"],
        [],
    ),
}
ELSEWHERE = {"molecules": "test_examples_molecules.py"}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.py"))


def test_every_example_has_a_small_setting_and_a_line_in_the_readme() -> None:
    assert set(names()) == SETTINGS.keys() | ELSEWHERE.keys()
    assert all((Path(__file__).parent / file).exists() for file in ELSEWHERE.values())
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in names() if f"python examples/{name}.py" not in readme] == []
    for name, (_, _, pictures) in SETTINGS.items():
        assert all(f"`{picture}`" in readme for picture in pictures), name


@pytest.mark.parametrize("name", [name for name in names() if name not in ELSEWHERE])
def test_example(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert name in SETTINGS, f"examples/{name}.py has no small setting. Add one to SETTINGS in {__file__}."
    arguments, texts, pictures = SETTINGS[name]
    monkeypatch.chdir(tmp_path)  # whatever is written without being asked for would be found here
    where = ["--out", "pictures/new"] if pictures else []
    results = load(name).main([*arguments, *where])
    printed = capsys.readouterr().out
    assert results and [text for text in texts if text not in printed] == []
    saved = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert saved == sorted(f"pictures/new/{picture}" for picture in pictures)
    for picture in saved:
        head = (tmp_path / picture).read_bytes()
        width, height = struct.unpack(">II", head[16:24])  # of a PNG
        assert head[:8] == b"\x89PNG\r\n\x1a\n" and width > 500 and height > 300 and len(head) > 15_000


def test_the_states_computed_by_hand(tmp_path: Path) -> None:
    results = load("message_passing").main(["--length", "6", "--out", str(tmp_path)])
    np.testing.assert_array_equal(results["alone"][1], [[13, 6], [7, -2], [16, 10], [1, -10]])
    np.testing.assert_array_equal(results["alone"][2], [[69, 58], [11, 26], [98, 74], [-47, -6]])
    np.testing.assert_array_equal(results["messages"][1][0], [20, 4])
    assert results["the path alone"] == 5
    assert results["with a dummy node joined to all"] == results["with a global state u"] == 2


def test_numbers_that_examples_claim(tmp_path: Path) -> None:
    errors = load("backpropagation").main(["--out", str(tmp_path)])
    assert max(errors.values()) < 1e-12
    layer = load("own_layer").main(["--epochs", "1", "--hidden", "2", "--out", str(tmp_path)])
    assert layer["gradient error"] < 1e-8 and layer["equivariance error"] < 1e-12
    club = load("karate").main(["--seeds", "3", "--out", str(tmp_path)])
    assert club["label propagation"] > 0.9 and club["gcn"] > 0.85
    layers = load("symmetry").main(["--cases", "30", "--out", str(tmp_path)])
    failed = {name: [group for group, report in reports.items() if not report] for name, reports in layers.items()}
    assert failed == {"Mean": [], "LastWins": ["nodes"], "Places": ["nodes"], "Centred": ["union"]}
    found = [report.counterexample for reports in layers.values() for report in reports.values() if not report]
    assert max(example.num_nodes for example in found) <= 5
    program = load("message_program").main(["--heads", "2", "--channels", "4"])
    assert program["difference from a loop"] < 1e-12
    assert max(program["gradient error"], program["second gradient error"]) < 1e-7
    women = load("typed_graph").main(["--seeds", "3", "--out", str(tmp_path)])
    assert women["accuracy"] > 0.95 and women["together"] == 1.0


def test_what_examples_on_expressiveness_and_depth_claim(tmp_path: Path) -> None:
    table = load("expressiveness").main(["--out", str(tmp_path)])
    told = {model: [name for name in table if table[name][model] == "yes"] for model in table["hexagon, prism"]}
    assert told["SAGE max"] == [] and told["SAGE mean"] == told["GAT"] == told["GCN"] == ["coloured cubes"]
    assert told["GIN (sum)"] == told["PNA"] == ["coloured cubes", "hexagon, prism"]
    assert told["GIN + returns"] == list(table)[:4] and "Shrikhande, rook" in told["GIN + cliques"]
    assert {table[name]["GIN + node numbers"] for name in table} == {"invalid"}
    for seed in ("0", "1", "2"):
        depth = load("oversmoothing").main(["--out", str(tmp_path), "--seed", seed])
        assert depth["GCN"][-1] < 1e-5 < 1e-3 < depth["GCN2"][-1] and depth["GCN"][-1] < depth["residual GCN"][-1]
        for graph in ("path", "barbell"):
            assert depth[graph] < 0.02 < 0.1 < depth[f"{graph}, virtual node"]


def test_numbers_that_examples_on_images_claim(tmp_path: Path) -> None:
    table = load("volume_table").main(["--out", str(tmp_path)])
    assert table["parameters"] == 100 + 910 + 1473
    assert (table["output height"], table["convolution"], table["dense"]) == (126, 2400, 99_883_155_456)
    networks = load("cnn_vs_mlp").main(["--images", "300", "--epochs", "1", "--out", str(tmp_path)])
    assert networks["CNN, untrained"][0] > networks["MLP, untrained"][0] + 0.02  # an untrained one
    lattices = load("hexagons").main(["--images", "32", "--epochs", "1", "--out", str(tmp_path)])
    assert lattices["shift, border wrap"] == 0 < lattices["shift, border zero"]
    assert lattices["60 degrees, isotropic"] < 1e-14 < 0.1 < lattices["60 degrees, any weights"]
    nets = load("deep_residual_images").main(["--epochs", "3", "--deep", "40", "--out", str(tmp_path)])
    assert nets["residual", 40] > nets["plain", 40] + 0.2


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("karate", ["--seeds", "0"]),
        ("embedding", ["--points", "1"]),
        ("message_passing", ["--length", "2"]),
        ("backpropagation", ["--hidden", "0"]),
        ("own_layer", ["--epochs", "0"]),
        ("message_program", ["--heads", "0"]),
        ("deep_residual", ["--depths", "1"]),
        ("cnn_vs_mlp", ["--images", "0"]),
        ("holes", ["--missing", "1.5"]),
        ("image_sizes", ["--epochs", "0"]),
        ("blur_inpaint", ["--images", "0"]),
        ("segmentation", ["--epochs", "0"]),
        ("deep_residual_images", ["--deep", "3"]),
        ("hexagons", ["--epochs", "0"]),
        ("volume_table", ["--size", "3"]),
        ("expressiveness", ["--draws", "0"]),
        ("oversmoothing", ["--layers", "1"]),
        ("symmetry", ["--cases", "0"]),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    name: str, wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        load(name).main(wrong)
    assert "must be at least" in capsys.readouterr().err
