"""tf.contrib.rnn: recurrent cells, and networks that apply them along sequences."""

from weftwork.graph.contrib.sequences import (
    EmbeddingWrapper,
    InputProjectionWrapper,
    OutputProjectionWrapper,
    stack_bidirectional_dynamic_rnn,
)
from weftwork.graph.recurrent.cells import (
    BasicLSTMCell,
    BasicRNNCell,
    GRUCell,
    LSTMCell,
    LSTMStateTuple,
    RNNCell,
)
from weftwork.graph.recurrent.cells import (
    BasicLSTMCell as LSTMBlockCell,
)
from weftwork.graph.recurrent.cells import (
    GRUCell as GRUBlockCell,
)
from weftwork.graph.recurrent.cells import (
    GRUCell as GRUBlockCellV2,
)
from weftwork.graph.recurrent.static import (
    static_bidirectional_rnn,
    static_rnn,
)
from weftwork.graph.recurrent.wrappers import (
    DeviceWrapper,
    DropoutWrapper,
    MultiRNNCell,
    ResidualWrapper,
)

__all__ = [
    "BasicLSTMCell",
    "BasicRNNCell",
    "DeviceWrapper",
    "DropoutWrapper",
    "EmbeddingWrapper",
    "GRUBlockCell",
    "GRUBlockCellV2",
    "GRUCell",
    "InputProjectionWrapper",
    "LSTMBlockCell",
    "LSTMCell",
    "LSTMStateTuple",
    "MultiRNNCell",
    "OutputProjectionWrapper",
    "RNNCell",
    "ResidualWrapper",
    "stack_bidirectional_dynamic_rnn",
    "static_bidirectional_rnn",
    "static_rnn",
]
