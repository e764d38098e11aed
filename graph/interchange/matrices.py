"""Readers and writers of operations on matrices: systems, decompositions, bands of diagonals."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import static_value
from weftwork.graph.interchange.given import Given, known, read_by, reads
from weftwork.graph.interchange.nodes import Inexpressible, Part
from weftwork.graph.interchange.writing import Node, writes, written_with
from weftwork.graph.ops import linalg_ops, rearranging, spaces, tridiagonal

Written = tuple[list[Part], dict[str, Any]]

# Systems and decompositions

read_by({"LogMatrixDeterminant": linalg_ops.slogdet, "MatrixBandPart": spaces.matrix_band_part})
read_by({"MatrixSetDiag": spaces.matrix_set_diag, "TridiagonalSolve": tridiagonal.solved})
read_by({"MatrixSolve": linalg_ops.solve}, adjoint="adjoint")
read_by({"MatrixTriangularSolve": linalg_ops.triangular_solve}, lower="lower", adjoint="adjoint")
read_by({"Qr": linalg_ops.qr}, full_matrices="full_matrices")


@reads("Svd")
def _svd(given: Given) -> Any:
    (x,) = given.inputs
    if given["compute_uv"]:
        return linalg_ops.svd(x, given["full_matrices"], name=given.name)
    s = linalg_ops.svd(x, compute_uv=False, name=given.name)
    return [s, s, s]  # the others are empty in TensorFlow, and nobody reads them


@reads("SelfAdjointEigV2")
def _eigenvalues(given: Given) -> Any:
    (x,) = given.inputs
    if given["compute_v"]:
        return linalg_ops.eigh(x, name=given.name)
    e = linalg_ops.eigvalsh(x, name=given.name)
    return [e, e]


@reads("MatrixSolveLs")
def _least_squares(given: Given) -> Any:
    matrix, rhs, l2 = given.inputs
    (factor,) = known([l2], "a regularizer", "is")
    return linalg_ops.lstsq(matrix, rhs, float(factor), name=given.name)


written_with("MatrixTriangularSolve", lower=lambda a: bool(a["lower"]), adjoint=lambda a: bool(a["adjoint"]))
written_with("Qr", full_matrices=lambda attrs: attrs["mode"] == "complete")


@writes("Svd")
def _write_svd(node: Node) -> Written:
    if len(node.op.outputs) == 1:
        return node.inputs(), {"compute_uv": False}
    return node.inputs(), {"full_matrices": bool(node.attrs["full_matrices"])}


@writes("SelfAdjointEigV2")
def _write_eigenvalues(node: Node) -> Written:
    return node.inputs(), {"compute_v": len(node.op.outputs) > 1}


@writes("MatrixSolveLs")
def _write_least_squares(node: Node) -> Written:
    """TensorFlow's regularizes with Cholesky's decomposition; without, it takes a complete orthogonal one."""
    l2 = node.attrs["l2_regularizer"]
    return [*node.inputs(), node.constant("l2_regularizer", l2, dtypes.float64)], {"fast": l2 != 0}


@writes("MatrixAdjoint")
def _write_adjoint(node: Node) -> Written:
    shape = node.op.inputs[0].raw_shape
    if shape is None:
        raise Inexpressible
    rank = len(shape)
    node.type = "ConjugateTranspose" if node.op.outputs[0].dtype.is_complex else "Transpose"
    return [*node.inputs(), node.constant("perm", [*range(rank - 2), rank - 1, rank - 2])], {}


@reads("ConjugateTranspose")
def _conjugate_transpose(given: Given) -> Any:
    return rearranging.transpose(*given.inputs, conjugate=True, name=given.name)


@writes("LogDet")
def _write_logdet(node: Node) -> Written:
    """2 sum(log(diagonal of Cholesky's factor))."""
    (x,) = node.inputs()
    diagonal = node.make("MatrixDiagPart", node.make("Cholesky", x))
    if x.dtype.is_complex:
        diagonal = node.make("Real", diagonal, Tout=x.dtype.real_dtype)
    total = node.make("Sum", node.make("Log", diagonal), [-1])
    node.type = "Add"
    return [total, total], {}


@writes("Trace")
def _write_trace(node: Node) -> Written:
    if (node.attrs.get("axis1", -2), node.attrs.get("axis2", -1)) != (-2, -1):
        raise Inexpressible
    node.type = "Sum"
    return [node.make("MatrixDiagPart", *node.inputs()), node.constant("axis", [-1])], {}


# Bands


def _band(node: Node) -> Part:
    low, high = node.attrs["band"]
    return node.constant("k", low if low == high else [low, high])


@writes("TakeBand")
def _write_taken(node: Node) -> Written:
    x, padding = node.inputs()
    node.type = "MatrixDiagPartV3"
    return [x, _band(node), padding], {"align": node.attrs["align"]}


@writes("PlaceBand")
def _write_placed(node: Node) -> Written:
    x, padding = node.inputs()
    rows, columns = node.attrs["sizes"]
    sizes = [node.constant("num_rows", rows), node.constant("num_cols", columns)]
    node.type = "MatrixDiagV3"
    return [x, _band(node), *sizes, padding], {"align": node.attrs["align"]}


@writes("PutBand")
def _write_put(node: Node) -> Written:
    node.type = "MatrixSetDiagV3"
    return [*node.inputs(), _band(node)], {"align": node.attrs["align"]}


def _numbers(given: Given, *tensors: Any) -> list[Any]:
    """The values of constant inputs as numbers, or lists of these."""
    return [np.asarray(value).tolist() for value in known(tensors, "diagonals or sizes")]


@reads("MatrixDiagPartV3", "MatrixDiagPartV2")
def _diag_part(given: Given) -> Any:
    x, k, padding = given.inputs
    (band,) = _numbers(given, k)
    return rearranging.matrix_diag_part(x, given.name, band, _or_zero(padding), given.attrs.get("align", "LEFT_LEFT"))


@reads("MatrixDiagV3", "MatrixDiagV2")
def _diag(given: Given) -> Any:
    x, k, rows, columns, padding = given.inputs
    band, height, width = _numbers(given, k, rows, columns)
    align = given.attrs.get("align", "LEFT_LEFT")
    return rearranging.matrix_diag(x, given.name, band, height, width, _or_zero(padding), align)


@reads("MatrixSetDiagV3")
def _set_diag(given: Given) -> Any:
    x, diagonal, k = given.inputs
    (band,) = _numbers(given, k)
    return spaces.matrix_set_diag(x, diagonal, given.name, band, given["align"])


def _or_zero(padding: Any) -> Any:
    """The padding as a number, if it is known."""
    value = static_value(padding)
    return padding if value is None else value.item()
