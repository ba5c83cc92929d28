"""Hyper-parameters per model and data set: one readable table, nothing else. May import errors.

Every row starts from ``DEFAULT``, then the row of the model (``"*"``), then the row of the data set, so a row lists only
what differs. Keys in ``TRAINING`` go to the training loop, all others to the model.

Sources
-------
gcn     Kipf and Welling 2017 (arXiv:1609.02907), section 5.2 and github.com/tkipf/gcn: 200 epochs, lr .01, 16 hidden
        units, dropout .5, L2 5e-4 on the first layer, row-normalised features. Here the best validation epoch counts.
gat     Velickovic et al. 2018 (arXiv:1710.10903), section 3.3 and github.com/PetarV-/GAT: 8 heads x 8, one output head
        (PubMed 8), dropout .6 on inputs and attention, lr .005, L2 5e-4 (PubMed .01, 1e-3), patience 100 on loss and
        accuracy together.
sgc     Wu et al. 2019 (arXiv:1902.07153), section 5 and github.com/Tiiiger/SGC: K=2, lr .2, 100 epochs, weight decay
        tuned per data set.
appnp   Gasteiger et al. 2019 (arXiv:1810.05997), section 5: hidden 64, dropout .5, K=10, alpha .1, lr .01, L2 5e-3 on
        the first layer, patience 100.
sage    Hamilton et al. 2017 (arXiv:1706.02216) has no planetoid numbers; training as for GCN, mean aggregation.
cheb    Defferrard et al. 2016 (arXiv:1606.09375) with the planetoid protocol of Kipf and Welling 2017, table 3: K=2 or 3.
mlp     Kipf and Welling 2017, table 3 (MLP baseline): training as for GCN.
gin, gatv2, graphconv have no planetoid numbers in their papers; training as for GCN or GAT.
"""

from __future__ import annotations

from typing import Any

from gnnkit.errors import unknown_name

TRAINING = ("lr", "weight_decay", "decay_on", "optimizer", "epochs", "patience", "monitor", "normalize")

DEFAULT: dict[str, Any] = {
    "hidden": 16,
    "layers": 2,
    "dropout": 0.5,
    "lr": 0.01,
    "weight_decay": 5e-4,
    "decay_on": "all",  # or "first": only the first layer's weights decay
    "optimizer": "adam",
    "epochs": 200,
    "patience": None,
    "monitor": "val_loss",
    "normalize": "l1",  # every row of the features divided by its sum
}

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "gcn": {
        "*": {"decay_on": "first"},
    },
    "gat": {
        "*": {
            "hidden": 8, "heads": 8, "out_heads": 1, "dropout": 0.6, "attention_dropout": 0.6, "lr": 0.005,
            "epochs": 1000, "patience": 100, "monitor": "both",
        },
        "pubmed": {"out_heads": 8, "lr": 0.01, "weight_decay": 1e-3},
    },
    "gatv2": {
        "*": {
            "hidden": 8, "heads": 8, "out_heads": 1, "dropout": 0.6, "attention_dropout": 0.6, "lr": 0.005,
            "epochs": 1000, "patience": 100, "monitor": "both",
        },
    },
    "sgc": {
        "*": {"hops": 2, "lr": 0.2, "weight_decay": 1e-5, "epochs": 100},
        "citeseer": {"weight_decay": 2e-5, "epochs": 150},
    },
    "appnp": {
        "*": {
            "hidden": 64, "hops": 10, "alpha": 0.1, "weight_decay": 5e-3, "decay_on": "first", "epochs": 1000,
            "patience": 100,
        },
    },
    "sage": {"*": {}},
    "cheb": {"*": {"order": 2, "decay_on": "first"}},
    "mlp": {"*": {"decay_on": "first"}},
    "gin": {"*": {}},
    "graphconv": {"*": {}},
}  # fmt: skip


def preset(model: str, dataset: str | None = None, **changes: Any) -> dict[str, Any]:
    """The hyper-parameters for ``model`` on ``dataset``; unknown data sets get the row of the model.

    Parameters
    ----------
    model : str
        A name in the table.
    dataset : str, optional
    **changes
        Values that replace those of the table; None is a value too.

    Examples
    --------
    >>> from gnnkit.learn import preset
    >>> row = preset("gat", "pubmed", lr=0.02)
    >>> row["lr"], row["out_heads"], row["weight_decay"], row["heads"]
    (0.02, 8, 0.001, 8)
    """
    if model not in PRESETS:
        raise unknown_name("model", model, PRESETS)
    rows = PRESETS[model]
    return {**DEFAULT, **rows.get("*", {}), **rows.get(dataset or "", {}), **changes}


def decay_first_layer_only(model: Any) -> None:
    """Switch weight decay off outside the first layer that has weights, as the GCN and APPNP papers do.

    A layer is a direct part of the model: what stands in the list that its representation shows.
    """
    first: str | None = None
    for name, parameter in model.named_parameters():
        layer = _layer_of(name)
        first = layer if first is None else first
        if layer != first:
            parameter.decay = 0.0


def _layer_of(name: str) -> str:
    """"layers.0.linear.weight" and "0.linear.weight" both belong to the layer that the number names."""
    parts = name.split(".")
    numbers = [place for place, part in enumerate(parts) if part.isdigit()]
    return ".".join(parts[: numbers[0] + 1]) if numbers else parts[0]


def split_preset(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two dicts: what the model is built with, and what the training loop is given."""
    return (
        {k: v for k, v in values.items() if k not in TRAINING},
        {k: v for k, v in values.items() if k in TRAINING},
    )
