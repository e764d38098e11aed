"""Derivatives of sparse tensors where values meet a dense tensor. Everything else is gathers, with known rules."""

from __future__ import annotations

from weftwork.graph.build import apply
from weftwork.graph.gradients.registry import not_differentiable, rule
from weftwork.graph.gradients.tools import sum_to
from weftwork.graph.kernels import sparse as kernels
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.composite import SparseTensor
from weftwork.graph.ops.sparse_ops import sparse_tensor_dense_matmul

not_differentiable(
    *(
        "SparseReorder",
        "SparseReshape",
        "SparseTranspose",
        "SparseSlice",
        "SparseSplit",
        "SparseConcat",
        "SparseRetain",
    ),
    *("SparseFillEmptyRows", "SparseResetShape", "SparseMask", "SparseUnion", "SparseGroups", "DenseToSparse"),
)


@rule("SparseToDense")
def _to_dense(op: Operation, g: Tensor):
    indices, dims, values, _ = op.inputs
    found = apply(kernels.picked, [g, indices, dims], type="SparsePicked", dtype=g.dtype, shape=(None,))
    whole = found if values.raw_shape != () else math_ops.reduce_sum(found)
    return [None, None, whole, lambda: math_ops.reduce_sum(g) - math_ops.reduce_sum(found)]


@rule("SparsePicked")
def _picked(op: Operation, g: Tensor):
    _, indices, dims = op.inputs
    return [array_ops.scatter_nd(indices, g, dims), None, None]


@rule("SparseTensorDenseMatMul")
def _matmul(op: Operation, g: Tensor):
    """For the values: rows of g times rows of b, at their indices. For b: the adjoint of the matrix times g."""
    indices, values, dims, b = op.inputs
    adjoint_a, adjoint_b = op.attrs["adjoint_a"], op.attrs["adjoint_b"]

    def of_values() -> Tensor:
        right = math_ops.conj(array_ops.transpose(b)) if adjoint_b else b
        rows, columns = indices[:, 0], indices[:, 1]
        down, across = (columns, rows) if adjoint_a else (rows, columns)
        product = array_ops.gather(g, down) * math_ops.conj(array_ops.gather(right, across))
        found = math_ops.reduce_sum(product, -1)
        return math_ops.conj(found) if adjoint_a else found

    def of_dense() -> Tensor:
        found = sparse_tensor_dense_matmul(SparseTensor(indices, values, dims), g, adjoint_a=not adjoint_a)
        return math_ops.conj(array_ops.transpose(found)) if adjoint_b else found

    return [None, of_values, None, of_dense]


@rule("SparseDensePick")
def _pick(op: Operation, g: Tensor):
    dense, indices, dims = op.inputs

    def of_dense() -> Tensor:
        whole = array_ops.scatter_nd(indices, g, dims)
        return sum_to(whole, dense)

    return [of_dense, None, None]
