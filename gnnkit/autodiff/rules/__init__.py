"""The table of derivatives: importing this package registers every rule. Imports the tape and primitives."""

from gnnkit.autodiff.rules import elementwise as elementwise
from gnnkit.autodiff.rules import indexing as indexing
from gnnkit.autodiff.rules import joins as joins
from gnnkit.autodiff.rules import linalg as linalg
from gnnkit.autodiff.rules import plain as plain
from gnnkit.autodiff.rules import reductions as reductions
from gnnkit.autodiff.rules import shapes as shapes
