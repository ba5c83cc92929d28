"""Holding a module to its word: every group that it declares is checked, on graphs that fit it and the group.

Imports the declarations, the choice of graphs and the checker.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gnnkit.errors import DTypeError, InvalidArgumentError, SymmetryError, type_name
from gnnkit.graph import Graph
from gnnkit.nn.check_graphs import graphs_for, group_for
from gnnkit.nn.declared import Symmetry, declared_by
from gnnkit.symmetry import Report, check
from gnnkit.symmetry.subjects import refuse_class


def check_declared(
    module: Any,
    graphs: Graph | Iterable[Graph] | None = None,
    *,
    group: str | Sequence[str] | None = None,
    expect: str | None = None,
    channels: int | None = None,
    edge_channels: int = 0,
    global_channels: int = 0,
    dimensions: int = 0,
    categories: int | None = None,
    size: Sequence[int] | None = None,
    step: int | None = None,
    **options: Any,
) -> dict[str, Report]:
    """Check every group that a module declares in its ``symmetry``.

    Parameters
    ----------
    module : Module or function
        A function declares nothing: name the ``group``.
    graphs : Graph or list of Graph, optional
        Where to look; else small random ones with every corner case, or images where the module or the group needs
        them, with the channels below. Of those there is a new one for every case, larger and larger; a list of your
        own is taken in turn.
    group : str or sequence of str, optional
        Which group or groups; else all that the module declares.
    expect : {"equivariant", "invariant"}, optional
        Else as declared, and "equivariant" for a group that is not.
    channels, edge_channels, global_channels, dimensions, categories, size, step
        What the graphs hold; see :func:`gnnkit.nn.check_graphs.graphs_for`.
    **options
        As of :func:`gnnkit.symmetry.check`: ``cases``, ``output``, ``rng``, ``dtype``, ``tolerance``, ...

    Returns
    -------
    dict of str to Report
        By group, in the order of ``gk.symmetry.GROUPS``.

    Raises
    ------
    InvalidArgumentError
        If nothing is declared and no group is named.
    DTypeError
        If the module is a class that was not built, or a group is no name.
    GroupError
        If a group cannot act on the graphs.

    Examples
    --------
    >>> import gnnkit as gk
    >>> reports = gk.nn.check_declared(gk.nn.GCNConv(3, 2, rng=0), cases=5)
    >>> {name: report.passed for name, report in reports.items()}
    {'nodes': True, 'edges': True, 'union': True, 'euclidean': True}
    """
    shape: dict[str, Any] = {"channels": channels, "edge_channels": edge_channels, "global_channels": global_channels}
    shape |= {"dimensions": dimensions, "categories": categories, "size": size, "step": step}
    shape["count"] = options.get("cases", 0)
    reports = {}
    for name, word in promised(module, group, expect).items():
        where = graphs_for(module, name, **shape) if graphs is None else graphs
        chosen = group_for(module, name, size=size, step=step)
        reports[name] = check(module, where, group=chosen, expect=word, **options)
    return reports


def promised(module: Any, group: str | Sequence[str] | None = None, expect: str | None = None) -> dict[str, str]:
    """What is to be checked, group -> expectation: the groups that are named, or all that the module declares.

    Raises
    ------
    DTypeError
        If the module is a class, or the groups are not given by their names.
    InvalidArgumentError
        If there is no group to check.
    """
    refuse_class(module)
    if not isinstance(group, str | Sequence | None) or not all(isinstance(name, str) for name in group or ()):
        raise DTypeError(
            f"group is the name of a group, or a list of names. Got {group!r}. "
            "For a group with options call gk.symmetry.check(module, graphs, group=...)."
        )
    declared = declared_by(module) if getattr(module, "symmetry", None) is not None else Symmetry()
    names = [group] if isinstance(group, str) else list(declared if group is None else group)
    if not names:
        raise InvalidArgumentError(
            f"What is checked must be declared or named. {type_name(module)} declares no symmetry, and no group is "
            "named. Name one, such as 'nodes', or add to the class: symmetry = gk.nn.EQUIVARIANT"
        )
    return {name: expect or declared.promises(name) or "equivariant" for name in names}


class AssertSymmetry:
    """The fixture ``assert_symmetry``: :func:`check_declared` that raises where a report failed.

    Parameters
    ----------
    cases : int
        Pairs of a graph and a group element to try for each group, unless a call says otherwise.

    Examples
    --------
    >>> import gnnkit as gk
    >>> from gnnkit.nn.held import AssertSymmetry
    >>> sorted(AssertSymmetry(cases=5)(gk.nn.GINConv(gk.nn.Linear(3, 2, rng=0))))
    ['edges', 'euclidean', 'nodes', 'union']
    """

    def __init__(self, *, cases: int) -> None:
        self.cases = cases

    def __call__(
        self, module: Any, graphs: Any = None, *, group: str | Sequence[str] | None = None, **options: Any
    ) -> dict[str, Report]:
        """Check what ``module`` declares, or ``group``; raises SymmetryError with the first report that failed."""
        __tracebackhide__ = True
        reports = check_declared(module, graphs, group=group, **{"cases": self.cases, **options})
        for report in reports.values():
            if not report.passed:
                raise SymmetryError(str(report))
        return reports
