"""Learning: the training loop, metrics, estimators, checkpoints, presets, protocol. Floor 5; imports nn and below."""

from gnnkit.learn.checkpoint import Checkpoint as Checkpoint
from gnnkit.learn.evaluation import evaluate as evaluate
from gnnkit.learn.files import load_estimator as load_estimator
from gnnkit.learn.history import History as History
from gnnkit.learn.loop import fit as fit
from gnnkit.learn.metrics import METRICS as METRICS
from gnnkit.learn.metrics import Metric as Metric
from gnnkit.learn.metrics import accuracy as accuracy
from gnnkit.learn.metrics import average_precision as average_precision
from gnnkit.learn.metrics import f1 as f1
from gnnkit.learn.metrics import mae as mae
from gnnkit.learn.metrics import mean_iou as mean_iou
from gnnkit.learn.metrics import r2 as r2
from gnnkit.learn.metrics import rmse as rmse
from gnnkit.learn.metrics import roc_auc as roc_auc
from gnnkit.learn.nodes import NodeClassifier as NodeClassifier
from gnnkit.learn.nodes import NodeRegressor as NodeRegressor
from gnnkit.learn.presets import PRESETS as PRESETS
from gnnkit.learn.presets import preset as preset
from gnnkit.learn.propagation import LabelPropagation as LabelPropagation
from gnnkit.learn.propagation import label_propagation as label_propagation
from gnnkit.learn.protocol import Report as Report
from gnnkit.learn.protocol import run_seeds as run_seeds
from gnnkit.learn.stopping import EarlyStopping as EarlyStopping
from gnnkit.learn.tasks import GraphBatches as GraphBatches
from gnnkit.learn.tasks import Task as Task
