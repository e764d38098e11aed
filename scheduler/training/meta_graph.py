"""MetaGraphDefs: a graph with its collections and its saver, as one protocol buffer.

item      of a collection: a variable, a queue runner or a saver as a message of its own; a tensor or an operation by
          its name; a number or bytes as they are. What is none of these is left out, with a warning
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

from weftwork.actors.checkpoints.files import files_of, told, write_whole
from weftwork.graph.graph import Graph, GraphKeys
from weftwork.graph.interchange.native import Functions
from weftwork.graph.interchange.reading import import_graph_def
from weftwork.graph.names import with_scope, without_scope
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.protos import protos
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables.variable import Variable
from weftwork.scheduler.training.queue_runner import QueueRunner
from weftwork.scheduler.training.saver_def import SaverDef
from weftwork.scheduler.training.scoped_graph import check_bound, within

log = logging.getLogger("weftwork")
FORGOTTEN = frozenset({GraphKeys.COND_CONTEXT, GraphKeys.WHILE_CONTEXT})
"""Collections of TensorFlow's that say which nodes are in which branch: the nodes themselves say it."""
_UNBOUND = "unbound_inputs"
_VARIABLES = frozenset(
    {
        GraphKeys.GLOBAL_VARIABLES,
        GraphKeys.LOCAL_VARIABLES,
        GraphKeys.MODEL_VARIABLES,
        GraphKeys.TRAINABLE_VARIABLES,
        "moving_average_variables",
        "saveable_objects",
    }
)


# Collections


def _told(item: Any, scope: str | None = None) -> tuple[str, Any]:
    """(the kind of list, the entry) of an item, as it is inside a scope. Raises TypeError for what cannot be told."""
    if isinstance(item, (Variable, QueueRunner)):
        return "bytes_list", item.to_proto(scope).SerializeToString()
    if isinstance(item, SaverDef) or hasattr(item, "as_saver_def"):
        message = getattr(item, "as_saver_def", lambda: item)()
        return "bytes_list", message.SerializeToString()
    if isinstance(item, (Tensor, Operation)):
        return "node_list", without_scope(item.name, scope)
    if isinstance(item, bool) or not isinstance(item, (int, float, str, bytes)):
        raise TypeError(f"a {type(item).__name__}")
    if isinstance(item, (str, bytes)):
        return "bytes_list", item.encode() if isinstance(item, str) else item
    return ("int64_list", item) if isinstance(item, int) else ("float_list", item)


def _write_collections(made: Any, graph: Graph, wanted: Iterable[str] | None, scope: str | None) -> None:
    for name in graph.get_all_collection_keys() if wanted is None else wanted:
        if not isinstance(name, str) or name in FORGOTTEN:
            continue
        try:
            told_ = [_told(item, scope) for item in graph.get_collection(name) if _inside(item, scope)]
            kinds = {kind for kind, _ in told_}
            if len(kinds) > 1:
                raise TypeError(f"items of several kinds: {', '.join(sorted(kinds))}")
        except TypeError as error:
            log.warning("The collection %s is not written: it holds %s.", name, error)
            continue
        if told_:
            getattr(made.collection_def[name], told_[0][0]).value.extend([entry for _, entry in told_])


def _inside(item: Any, scope: str | None) -> bool:
    """Whether an item belongs to what is exported: savers are whole graphs'."""
    if not scope:
        return True
    if isinstance(item, SaverDef) or hasattr(item, "as_saver_def"):
        return False
    return not hasattr(item, "name") or item.name.startswith(f"{scope.rstrip('/')}/")


def _readers() -> dict[str, Callable[[bytes, str | None], Any]]:
    def variable(data: bytes, scope: str | None) -> Any:
        return Variable.from_proto(protos("variable").VariableDef.FromString(data), scope)

    def saver(data: bytes, scope: str | None) -> Any:
        return scoped(SaverDef.FromString(data), scope)

    return {
        **dict.fromkeys(_VARIABLES, variable),
        GraphKeys.QUEUE_RUNNERS: QueueRunner.from_proto,
        GraphKeys.SAVERS: saver,
    }


def _read_collections(given: Any, graph: Graph, scope: str | None) -> None:
    readers, known = _readers(), {}
    for name, collection in sorted(given.collection_def.items()):
        kind = collection.WhichOneof("kind")
        if name in FORGOTTEN or name == _UNBOUND or kind in (None, "any_list"):
            continue
        values = getattr(collection, kind).value
        if kind == "bytes_list" and name in readers:
            items = []
            for data in values:
                if (readers[name], data) not in known:
                    known[readers[name], data] = readers[name](data, scope)
                items.append(known[readers[name], data])
        elif kind == "node_list":
            items = [graph.as_graph_element(with_scope(text, scope)) for text in values]
        else:
            items = list(values)
        for item in items:
            graph.add_to_collection(name, item)


def scoped(saver_def: SaverDef, scope: str | None) -> SaverDef:
    """A SaverDef whose nodes were imported under a scope."""
    made = SaverDef()
    made.CopyFrom(saver_def)
    for field in ("filename_tensor_name", "save_tensor_name", "restore_op_name"):
        setattr(made, field, with_scope(getattr(saver_def, field), scope))
    return made


# The whole


def export_meta_graph(
    filename: Any = None,
    meta_info_def: Any = None,
    graph_def: Any = None,
    saver_def: SaverDef | None = None,
    collection_list: Iterable[str] | None = None,
    as_text: bool = False,
    graph: Graph | None = None,
    export_scope: str | None = None,
    clear_devices: bool = False,
    clear_extraneous_savers: bool = False,
    strip_default_attrs: bool = False,
    save_debug_info: bool = False,
    unbound_inputs_col_name: str = "unbound_inputs",
) -> Any:
    """A MetaGraphDef of a graph (the default one): its nodes, collections and saver; also written to `filename`.

    graph_def: the nodes, if not all of the graph's.   collection_list: the collections, if not all.
    as_text: the file holds protobuf's text.   clear_devices: without devices.
    export_scope: the name scope whose nodes are written, under their names inside of it. What they take from outside
        has the names `$unbound_inputs_NAME`, which the collection `unbound_inputs_col_name` lists.
    The rest is accepted, and of no effect.
    Raises ImportError when TensorBoard is not installed, OpErrors for what the system refuses.
    """
    graph = graph or get_default_graph()
    made = protos("meta_graph").MetaGraphDef()
    if meta_info_def is not None:
        made.meta_info_def.MergeFromString(meta_info_def.SerializeToString())
    definition = graph.as_graph_def(add_shapes=True) if graph_def is None else graph_def
    unbound: list[str] = []
    if export_scope:
        definition, unbound = within(definition, export_scope)
    made.graph_def.MergeFrom(definition)
    if clear_devices:
        for node in made.graph_def.node:
            node.device = ""
    if saver_def is not None:
        made.saver_def.MergeFromString(saver_def.SerializeToString())
    _write_collections(made, graph, collection_list, export_scope)
    if unbound and unbound_inputs_col_name:
        made.collection_def[unbound_inputs_col_name].bytes_list.value.extend([name.encode() for name in unbound])
    if filename is not None:
        write_whole(os.fspath(filename), as_bytes(made, as_text), files_of(os.fspath(filename)))
    return made


def as_bytes(message: Any, as_text: bool) -> bytes:
    """A message as protobuf's text, or on the wire."""
    if not as_text:
        return message.SerializeToString(deterministic=True)
    from google.protobuf import text_format

    return text_format.MessageToString(message).encode()


def read_meta_graph_file(filename: Any) -> Any:
    """The MetaGraphDef of a file, on the wire or as text. Raises OSError when there is none, or it is none."""
    name = os.fspath(filename)
    files = files_of(name)
    if not files.exists(name):
        raise OSError(f"File {name} does not exist.")
    with told(name), files.open(name) as reader:
        data = reader.read()
    return parsed(data, protos("meta_graph").MetaGraphDef, name)


def parsed(data: bytes, kind: Any, name: str) -> Any:
    """A message from the wire, or from protobuf's text. Raises OSError when it is neither."""
    from google.protobuf import text_format
    from google.protobuf.message import DecodeError

    try:
        return kind.FromString(data)
    except DecodeError:
        pass
    try:
        return text_format.Parse(data.decode(), kind())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise OSError(f"Cannot parse file {name}: {error}.") from error


def read_meta_graph(
    given: Any,
    clear_devices: bool = False,
    import_scope: str | None = None,
    input_map: Any = None,
    functions: Functions = False,
) -> tuple[Any, str | None]:
    """Add what a MetaGraphDef (or a file of one) holds to the default graph: (the MetaGraphDef, the scope it got)."""
    proto = protos("meta_graph").MetaGraphDef
    if isinstance(given, (str, bytes, os.PathLike)):
        given = read_meta_graph_file(os.fsdecode(given))
    elif getattr(getattr(given, "DESCRIPTOR", None), "name", None) != "MetaGraphDef":
        raise TypeError(f"meta_graph_or_file must be a MetaGraphDef or the name of a file, not {given!r}.")
    made = proto.FromString(given.SerializeToString())
    if clear_devices:
        for node in made.graph_def.node:
            node.device = ""
    graph = get_default_graph()
    scope = None
    if import_scope:
        with graph.name_scope(import_scope) as whole:
            scope = whole.rstrip("/")
    unbound = made.collection_def[_UNBOUND].bytes_list.value if _UNBOUND in made.collection_def else ()
    check_bound([name.decode() for name in unbound], input_map)
    import_graph_def(made.graph_def, input_map, name=f"{scope}/" if scope else "", functions=functions)
    _read_collections(made, graph, scope)
    return made, scope
