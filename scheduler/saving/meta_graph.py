"""MetaGraphDefs: a graph, its collections and its saver in one protocol buffer.

item      an element of a collection. Variables, queue runners and savers are written as messages, tensors and
          operations by name, numbers and bytes as they are. Anything else is left out, with a warning
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable
from typing import Any

from weftwork.actors.checkpoints.files import file_errors, files_of, write_whole
from weftwork.graph.graph import Graph, GraphKeys
from weftwork.graph.interchange.native import Functions
from weftwork.graph.interchange.reading import import_graph_def
from weftwork.graph.names import with_scope, without_scope
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.protos import TENSORFLOW_VERSION, protos
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables.variable import Variable
from weftwork.scheduler.input.queue_runner import QueueRunner
from weftwork.scheduler.saving.saver_def import SaverDef
from weftwork.scheduler.saving.scoped_graph import check_bound, within
from weftwork.scheduler.saving.stripping import op_list, other_savers, strip_defaults, without

log = logging.getLogger("weftwork")
FORGOTTEN = frozenset({GraphKeys.COND_CONTEXT, GraphKeys.WHILE_CONTEXT})
"""Collections that in TensorFlow say which nodes are in which branch. Our nodes say it themselves."""
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


def _entry_of(item: Any, scope: str | None = None, is_read: bool = True) -> tuple[str, Any]:
    """(kind of list, entry) for an item, with names relative to a scope. Raises TypeError if it cannot be written.

    is_read: the reader knows what the collection's bytes are. Elsewhere a variable is written as its tensor's name.
    """
    if isinstance(item, Variable) and not is_read:
        return "node_list", without_scope(item.name, scope)
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


def _write_collections(
    made: Any, graph: Graph, wanted: Iterable[str] | None, scope: str | None, left_out: Collection[str] = ()
) -> None:
    readers = _readers()
    for name in graph.get_all_collection_keys() if wanted is None else wanted:
        if not isinstance(name, str) or name in FORGOTTEN:
            continue
        try:
            items = [item for item in graph.get_collection(name) if _inside(item, scope)]
            items = [item for item in items if not _belongs(item, left_out)]
            entries = [_entry_of(item, scope, name in readers) for item in items]
            kinds = {kind for kind, _ in entries}
            if len(kinds) > 1:
                raise TypeError(f"items of several kinds: {', '.join(sorted(kinds))}")
        except TypeError as error:
            log.warning("The collection %s is not written: it holds %s.", name, error)
            continue
        if entries:
            getattr(made.collection_def[name], entries[0][0]).value.extend([entry for _, entry in entries])


def _inside(item: Any, scope: str | None) -> bool:
    """Whether to export an item. Savers are exported only with a whole graph."""
    if not scope:
        return True
    if isinstance(item, SaverDef) or hasattr(item, "as_saver_def"):
        return False
    if isinstance(item, (str, bytes)):  # the name of a node, as TensorFlow has it
        return (item.encode() if isinstance(item, str) else item).startswith(f"{scope.rstrip('/')}/".encode())
    return not hasattr(item, "name") or item.name.startswith(f"{scope.rstrip('/')}/")


def _belongs(item: Any, nodes: Collection[str]) -> bool:
    """Whether an item is one of some nodes, or a saver that they make."""
    saver = getattr(item, "as_saver_def", lambda: item)()
    if isinstance(saver, SaverDef):
        return saver.restore_op_name in nodes
    return isinstance(item, (Tensor, Operation)) and (item.op if isinstance(item, Tensor) else item).name in nodes


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
        elif kind == "bytes_list" and scope:  # names of nodes, as TensorFlow has it
            items = [with_scope(data.decode(errors="surrogateescape"), scope) for data in values]
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


# Whole MetaGraphDefs


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
    """The MetaGraphDef of a graph, by default the default graph. If `filename` is given, it is also written to a file.

    graph_def: nodes to write instead of all.   collection_list: collections to write instead of all.
    as_text: write protobuf's text format.   clear_devices: leave out devices.
    export_scope: write only nodes of this name scope, with names relative to it. Their inputs from outside are called
        `$unbound_inputs_NAME`, and the collection `unbound_inputs_col_name` lists them.
    clear_extraneous_savers: leave out the nodes of other savers than `saver_def`'s.
    strip_default_attrs: leave out attributes that have TensorFlow's default, for older programs to read.
    save_debug_info: accepted, without effect.
    Raises ImportError if TensorBoard is not installed, TypeError for a `graph_def` or `meta_info_def` of another kind,
    and OpErrors of the file system.
    """
    graph = graph or get_default_graph()
    made = protos("meta_graph").MetaGraphDef()
    _expect(meta_info_def, "meta_info_def", "MetaInfoDef")
    _expect(graph_def, "graph_def", "GraphDef")
    if meta_info_def is not None:
        made.meta_info_def.MergeFromString(meta_info_def.SerializeToString())
    definition = graph.as_graph_def(add_shapes=True) if graph_def is None else graph_def
    unbound: list[str] = []
    if export_scope:
        definition, unbound = within(definition, export_scope)
    left_out = other_savers(definition, saver_def) if clear_extraneous_savers else set()
    made.graph_def.MergeFromString((without(definition, left_out) if left_out else definition).SerializeToString())
    if clear_devices:
        for node in made.graph_def.node:
            node.device = ""
    if saver_def is not None:
        made.saver_def.MergeFromString(saver_def.SerializeToString())
    if not made.meta_info_def.tensorflow_version:
        made.meta_info_def.tensorflow_version = TENSORFLOW_VERSION
    if not made.meta_info_def.HasField("stripped_op_list"):
        for declared in op_list(made.graph_def):
            made.meta_info_def.stripped_op_list.op.add().MergeFromString(declared.SerializeToString())
    if strip_default_attrs:
        strip_defaults(made.graph_def)
        made.meta_info_def.stripped_default_attrs = True
    _write_collections(made, graph, collection_list, export_scope, left_out)
    if unbound and unbound_inputs_col_name:
        made.collection_def[unbound_inputs_col_name].bytes_list.value.extend([name.encode() for name in unbound])
    if filename is not None:
        write_whole(os.fspath(filename), as_bytes(made, as_text), files_of(os.fspath(filename)))
    return made


def _expect(given: Any, argument: str, kind: str) -> None:
    """Raise TypeError unless a message, if it is given, is of a kind."""
    if given is not None and getattr(getattr(given, "DESCRIPTOR", None), "name", None) != kind:
        raise TypeError(f"{argument} must be of type {kind}, not {type(given)}")


def as_bytes(message: Any, as_text: bool) -> bytes:
    """Serialize a message, as protobuf's text or binary format."""
    if not as_text:
        return message.SerializeToString(deterministic=True)
    from google.protobuf import text_format

    return text_format.MessageToString(message).encode()


def read_meta_graph_file(filename: Any) -> Any:
    """Read a MetaGraphDef from a file, in binary or text format. Raises OSError if it is missing or malformed."""
    name = os.fspath(filename)
    files = files_of(name)
    if not files.exists(name):
        raise OSError(f"File {name} does not exist.")
    with file_errors(name), files.open(name) as reader:
        data = reader.read()
    return parsed(data, protos("meta_graph").MetaGraphDef, name)


def parsed(data: bytes, kind: Any, name: str) -> Any:
    """Parse a message in protobuf's binary or text format. Raises OSError if it is neither."""
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
    """Add a MetaGraphDef, or a file of one, to the default graph. Returns it, and the scope that it was given."""
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
    scope = graph.get_name_scope() or None
    if import_scope:
        with graph.name_scope(import_scope) as whole:
            scope = whole.rstrip("/")
    unbound = made.collection_def[_UNBOUND].bytes_list.value if _UNBOUND in made.collection_def else ()
    check_bound([name.decode() for name in unbound], input_map)
    import_graph_def(made.graph_def, input_map, name=f"{scope}/" if scope else "", functions=functions)
    _read_collections(made, graph, scope)
    return made, scope
