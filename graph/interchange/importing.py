"""One import: creates the nodes of a GraphDef in the graph, one after another.

Branches and loops (Switch, Merge, Enter ...) become operations that own sections, as `tf.cond` makes them.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from weftwork.graph import dtypes, shapes
from weftwork.graph.errors import NotFoundError, OpError, UnimplementedError
from weftwork.graph.graph import Graph
from weftwork.graph.interchange import native
from weftwork.graph.interchange.frames import CONTROL_FLOW, ENTERS, EXITS, NEXTS, Branch, Loop, Place, Places, source
from weftwork.graph.interchange.given import Given, attributes, lacking, named, reader_of, same, types
from weftwork.graph.interchange.signatures import Signature, signature
from weftwork.graph.interchange.writing import SECTION
from weftwork.graph.operation import Kind, Operation, Tensor, Traits
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.owners import add_owner
from weftwork.graph.ops.spaces import ensure_shape
from weftwork.graph.sections import Section


class Import:
    """One import: the nodes, their places, and what has been created for them.

    made: tensors by (node, output).   ops: operations by node, for control inputs; None if a node has none here.
    """

    def __init__(self, graph: Graph, nodes: dict[str, Any], prefix: str, mapped: dict, functions: native.Functions):
        self.graph, self.nodes, self.prefix, self.functions = graph, nodes, prefix, functions
        self.mapped, self.used = mapped, set()
        self.places = Places(nodes)
        self.made: dict[tuple[str, int], Tensor] = {}
        self.ops: dict[str, Operation | None] = {}
        self.native_sections: dict[int, Section] = {}
        self.frames: dict[tuple[Place, str], _Frame] = {}
        self.sections: dict[Place, Section | None] = {(): graph.section}
        self.branches: dict[Any, _Cond] = {}
        self.renamed: dict[str, str] = {}
        """Names that the graph had already, and what the nodes are called instead."""

    def full(self, name: str) -> str:
        """The name of a node in the graph."""
        name = f"{self.prefix}/{name}" if self.prefix else name
        return self.renamed.get(name, name)

    def run(self) -> None:
        order = self.places.order()
        for name in map(self.full, self.nodes):
            is_taken = name in self.graph._by_name
            free = self.graph.reserve(name)
            if is_taken:
                self.renamed[name] = free
        self._native_sections()
        for name in order:
            self._make(name)

    # Inputs

    def tensor(self, name: str, output: int) -> Tensor:
        """The tensor for a node's output."""
        key = (name, output)
        if key in self.mapped:
            self.used.add(key)
            return self.mapped[key]
        return self.made[key]

    def _controls(self, name: str) -> list[Operation]:
        found = []
        for other, output in self.places.inputs[name]:
            if output < 0:
                if (other, -1) in self.mapped:
                    self.used.add((other, -1))
                    found.append(self.mapped[other, -1])
                elif self.ops.get(other) is not None:
                    found.append(self.ops[other])
        return found

    # Nodes

    def _make(self, name: str) -> None:
        node = self.nodes[name]
        if node.op in CONTROL_FLOW:
            self._flow(name, node)
            return
        given = [self._in_place(name, *edge) for edge in self.places.inputs[name] if edge[1] >= 0]
        section = self._section_of(name, node)
        with ExitStack() as scopes:
            scopes.enter_context(self.graph.in_section(section))
            controls = [op for op in self._controls(name) if op.section is section]
            if controls:
                scopes.enter_context(self.graph.control_dependencies(controls))
            if node.device:
                scopes.enter_context(self.graph.device(node.device))
            if native.ATTRIBUTE in node.attr:
                result: Any = self._native(name, node, given)
            else:
                result = self._declared(name, node, given)
        tensors = result if isinstance(result, (list, tuple)) else [result] if isinstance(result, Tensor) else []
        self.ops[name] = tensors[0].op if tensors else result if isinstance(result, Operation) else None
        for output, tensor in enumerate(tensors):
            self.made[name, output] = tensor
        self._colocate(name, node)

    def _section_of(self, name: str, node: Any) -> Section | None:
        if SECTION in node.attr and node.attr[SECTION].i in self.native_sections:
            return self.native_sections[node.attr[SECTION].i]
        return self._section(self.places.inside[name])

    def _declared(self, name: str, node: Any, inputs: list[Tensor]) -> Any:
        declared = signature(node.op)
        if declared is None:
            raise NotFoundError(
                None,
                None,
                f"Op type not registered '{node.op}' in binary running on this machine. Make sure the Op and Kernel "
                f"are registered in the binary running in this process. (Node '{name}')",
            )
        attrs = attributes(name, node, declared)
        expected, outputs = types(declared.inputs, attrs), types(declared.outputs, attrs)
        self._check(name, inputs, declared, expected)
        given = Given(self.full(name), node.op, inputs, attrs, [dtype for dtype, _ in outputs])
        try:
            result = (reader_of(node.op) or lacking)(given)
        except (ValueError, TypeError) as error:
            text = f"{error} (for node '{self.full(name)}', op: '{node.op}')"
            raise (type(error)(None, None, text) if isinstance(error, OpError) else type(error)(text)) from error
        return named(result, given)

    def _check(self, name: str, inputs: list[Tensor], declared: Signature, expected: list) -> None:
        if len(inputs) != len(expected):
            words = ", ".join([dtype.cpp_name + ("_ref" if ref else "") for dtype, ref in expected])
            raise ValueError(
                f"NodeDef expected inputs '{words}' do not match {len(inputs)} inputs specified; Op<name="
                f"{declared.name}>; NodeDef: {{node {self.full(name)}}}"
            )
        edges = [edge for edge in self.places.inputs[name] if edge[1] >= 0]
        for number, (tensor, (dtype, ref), edge) in enumerate(zip(inputs, expected, edges, strict=True)):
            have = tensor.dtype
            if dtypes.object in (have.base_dtype, dtype) or dtype is dtypes.resource or have is dtypes.variant:
                continue
            if have.base_dtype is not dtype or (ref and not have._is_ref_dtype):
                origin = tensor.name if edge in self.mapped else self.full(f"{edge[0]}:{edge[1]}")
                raise ValueError(
                    f"Input {number} of node {self.full(name)} was passed {have.cpp_name}"
                    f"{'_ref' if have._is_ref_dtype else ''} from {origin} incompatible with expected "
                    f"{dtype.cpp_name}{'_ref' if ref else ''}."
                )

    def _colocate(self, name: str, node: Any) -> None:
        op, groups = self.ops[name], node.attr["_class"].list.s if "_class" in node.attr else ()
        names = [text.decode().removeprefix("loc:@") for text in groups]
        for missing in [each for each in names if each not in self.nodes]:
            raise ValueError(
                f"Specified colocation to an op that does not exist during import: {missing} in {self.full(name)}"
            )
        if op is not None and op.kind is not Kind.READ and names:
            op.colocation = tuple([self.full(each) for each in names])

    # Operations that only Weftwork has

    def _native_sections(self) -> None:
        """Create the sections of operations that were written with sections."""
        sections: dict[int, dict] = {}
        for name, node in self.nodes.items():
            if native.ATTRIBUTE in node.attr and b'"sections"' in node.attr[native.ATTRIBUTE].s:
                sections |= {about["index"]: about for about in self._read(name, node).get("sections", ())}
        for _, about in sorted(sections.items()):
            outer = self.native_sections.get(about["outer"], self.graph.section)
            self.native_sections[about["index"]] = Section(self.graph, about["word"], outer)

    def _read(self, name: str, node: Any) -> dict:
        try:
            return native.loads(node.attr[native.ATTRIBUTE].s, self.functions)
        except ValueError as error:
            raise ValueError(f"Node '{name}' cannot be imported: {error}") from error

    def _native(self, name: str, node: Any, inputs: list[Tensor]) -> Any:
        about = self._read(name, node)
        attrs = {key: self._renamed(key, value) for key, value in about["attrs"].items()}
        if "sections" in about:
            attrs["_sections"] = tuple([self._complete_section(section) for section in about["sections"]])
        result = self.graph.add(
            Kind(about["kind"]),
            node.op,
            kernel=about["kernel"],
            inputs=tuple(inputs),
            attrs=attrs,
            outputs=[(dtypes.as_dtype(dtype), shape) for dtype, shape in about["outputs"]],
            name=self.full(name) + "/",
            traits=about.get("traits", Traits()),
        )
        result.container = about.get("container", "")
        return list(result.outputs) or result

    def _renamed(self, key: str, value: Any) -> Any:
        """An attribute that refers to another node by name."""
        named = key in ("_variable", "_stream", "_queue") and isinstance(value, str) and value in self.nodes
        return self.full(value) if named else value

    def _complete_section(self, about: dict) -> int:
        section = self.native_sections[about["index"]]
        section.parameters = [self.made[source(text)] for text in about["parameters"]]
        section.outputs = [self.tensor(*source(text)) for text in about["outputs"]]
        section.targets = [op for op in [self.ops[text] for text in about["targets"]] if op is not None]
        return section.index

    # Branches and loops

    def _section(self, place: Place) -> Section | None:
        """The section for a place, created on first use."""
        if place in self.sections:
            return self.sections[place]
        last, outer = place[-1], self._section(place[:-1])
        word = "while loop" if isinstance(last, Loop) else "a branch of a cond"
        self.sections[place] = Section(self.graph, word, outer)
        if isinstance(last, Loop):
            # Both must exist before either gets nodes, and the condition's must be the first.
            self._section((*place[:-1], Loop(last.frame, not last.inside)))
        return self.sections[place]

    def _in_place(self, name: str, other: str, output: int) -> Tensor:
        """An input.

        Inside a loop's body, a loop variable is the body's own parameter, even if it comes from the Merge.
        """
        if (other, output) not in self.mapped and self.places.is_loop_merge(other):
            frame = self._frame(self.places.inside[other])
            return frame.parameter(other, inside=self._is_inside(name, self.places.inside[other]))
        return self.tensor(other, output)

    def _is_inside(self, name: str, loop: Place) -> bool:
        place = self.places.inside[name]
        return len(place) >= len(loop) and place[len(loop) - 1].inside  # type: ignore[union-attr]

    def _frame(self, place: Place) -> _Frame:
        last = place[-1]
        assert isinstance(last, Loop)
        key = (place[:-1], last.frame)
        if key not in self.frames:
            self.frames[key] = _Frame(self, place[:-1], last.frame)
        return self.frames[key]

    def _flow(self, name: str, node: Any) -> None:
        """A node of control flow. It creates no node, but names an existing tensor."""
        self.ops[name] = None
        edges = [edge for edge in self.places.inputs[name] if edge[1] >= 0]
        place = self.places.inside[name]
        if self.places.is_loop_switch(name):
            frame = self._frame(place)
            self.made[name, 1] = frame.parameter(edges[0][0], inside=True)
            if self.places.type(edges[1][0]) != "LoopCond":
                frame.test = self._in_place(name, *edges[1])
        elif node.op in ("Switch", "RefSwitch"):
            self.made[name, 0] = self.made[name, 1] = self._in_place(name, *edges[0])
        elif node.op in ENTERS:
            self.made[name, 0] = self._in_place(name, *edges[0])
        elif node.op == "LoopCond":
            self._frame(place).test = self._in_place(name, *edges[0])
        elif node.op in NEXTS:
            self.made[name, 0] = self._in_place(name, *edges[0])
        elif node.op in EXITS:
            frame = self._frame(place)
            variable = self.places.inputs[edges[0][0]][0][0]
            self._register(name, frame.owner(self.full(name)).outputs[frame.merges.index(variable)], place[:-1])
        elif self.places.is_loop_merge(name):
            self._frame(place).add(name, node)
        else:
            self._merge(name, place)

    def _merge(self, name: str, place: Place) -> None:
        last = place[-1] if place else None
        if not isinstance(last, Branch):
            raise UnimplementedError(None, None, f"Merge '{name}' does not join the branches of one Switch")
        key = (place[:-1], last.pred, last.turn)
        if key not in self.branches:
            self.branches[key] = _Cond(self, place[:-1], last)
        output = self.branches[key].output(name)
        self._register(name, output, place[:-1])
        with self.graph.in_section(self._section(place[:-1])):
            self.made[name, 1] = cast(self.tensor(*last.pred), dtypes.int32)

    def _register(self, name: str, tensor: Tensor, place: Place) -> None:
        """Register a tensor under the name that the graph uses for it."""
        if tensor.op.name != self.full(name):
            with self.graph.in_section(self._section(place)):
                tensor = same(tensor, self.full(name) + "/")
        self.made[name, 0], self.ops[name] = tensor, tensor.op


class _Cond:
    """A cond. The values that meet in its Merges are the outputs of its two branches."""

    def __init__(self, work: Import, outer: Place, branch: Branch):
        self._work, self._outer = work, outer
        places = work.places
        self._merges = [
            name
            for name, place in places.inside.items()
            if places.ends(name) and place[:-1] == outer and place[-1:] and _same_cond(place[-1], branch)
        ]
        sections = []
        for side in (1, 0):
            section = work._section((*outer, branch._replace(side=side)))
            assert section is not None
            section.outputs = [self._value(name, side) for name in self._merges]
            sections.append(section)
        specs = [
            (a.dtype.base_dtype, shapes.common(a.raw_shape, b.raw_shape))
            for a, b in zip(sections[0].outputs, sections[1].outputs, strict=True)
        ]
        graph, first = work.graph, work.full(self._merges[0]) + "/"
        with graph.in_section(work._section(outer)):
            self._op = add_owner(graph, "If", sections, [work.tensor(*branch.pred)], specs, first, {})

    def _value(self, merge: str, side: int) -> Tensor:
        """The value that a Merge gets from one side."""
        places = self._work.places
        for edge in places.inputs[merge]:
            place: Place = places.seen_by(*edge) if edge[1] >= 0 else ()
            own_parts = list(place[len(self._outer) :])
            last = own_parts[-1] if own_parts else None
            if isinstance(last, Branch) and last.side == side:
                return self._work.tensor(*edge)
        raise UnimplementedError(None, None, f"Merge '{merge}' lacks a value of one side of its cond")

    def output(self, merge: str) -> Tensor:
        """The output of a Merge."""
        return self._op.outputs[self._merges.index(merge)]


def _same_cond(part: Any, branch: Branch) -> bool:
    return isinstance(part, Branch) and (part.pred, part.turn) == (branch.pred, branch.turn)


class _Frame:
    """A loop. Its variables are its Merges, in the order in which they occur."""

    def __init__(self, work: Import, outer: Place, frame: str):
        self._work, self._outer = work, outer
        self._sections = [work._section((*outer, Loop(frame, inside))) for inside in (False, True)]
        self.merges: list[str] = []
        self.test: Tensor | None = None
        self._enters: list[Tensor] = []
        self._parameters: tuple[list[Tensor], list[Tensor]] = ([], [])
        self._parallel = 10
        self._owner: Operation | None = None

    def add(self, merge: str, node: Any) -> None:
        """Add a loop variable."""
        work = self._work
        edges = work.places.inputs[merge]
        enter = next(edge for edge in edges if work.places.type(edge[0]) not in NEXTS)
        start = work.tensor(*enter)
        self._parallel = int(work.nodes[enter[0]].attr["parallel_iterations"].i) or 10
        shape = start.raw_shape and (None,) * len(start.raw_shape)
        for section, result in zip(self._sections, self._parameters, strict=True):
            assert section is not None
            with work.graph.in_section(section):
                name = work.full(merge)
                name = f"{name}/" if result is self._parameters[0] else _free_name(work, f"{name}/body")
                spec = (start.dtype.base_dtype, shape)
                result.append(work.graph.add(Kind.PLACEHOLDER, "LoopVariable", outputs=[spec], name=name).outputs[0])
        self.merges.append(merge)
        self._enters.append(start)

    def parameter(self, merge: str, inside: bool) -> Tensor:
        """A loop variable as a parameter of the body or the condition."""
        return self._parameters[inside][self.merges.index(merge)]

    def owner(self, name: str) -> Operation:
        """The operation that runs the loop, created once everything in it exists."""
        if self._owner is not None:
            return self._owner
        work = self._work
        test, body = self._sections
        assert test is not None
        assert body is not None
        if self.test is None:
            raise UnimplementedError(None, None, f"The loop that ends in '{name}' has no LoopCond")
        test.outputs = [self.test]
        body.outputs = [self._next(merge) for merge in self.merges]
        test.parameters, body.parameters = self._parameters
        for at, (parameter, following) in enumerate(zip(body.parameters, body.outputs, strict=True)):
            if following.raw_shape is None and parameter.raw_shape is not None:
                with work.graph.in_section(body):
                    body.outputs[at] = ensure_shape(following, parameter.raw_shape)
            elif not shapes.less_specific(parameter.raw_shape, following.raw_shape):
                raise UnimplementedError(
                    None, None, f"A variable of the loop that ends in '{name}' changes its number of dimensions"
                )
        specs = [(t.dtype.base_dtype, t.raw_shape) for t in body.parameters]
        attrs = {"_carried": len(self._enters), "_limited": False, "_parallel": self._parallel}
        with work.graph.in_section(work._section(self._outer)):
            self._owner = add_owner(work.graph, "While", [test, body], self._enters, specs, name + "/", attrs)
        return self._owner

    def _next(self, merge: str) -> Tensor:
        work = self._work
        return next(work.tensor(*edge) for edge in work.places.inputs[merge] if work.places.type(edge[0]) in NEXTS)


def _free_name(work: Import, name: str) -> str:
    return work.graph.reserve(name) + "/"
