"""tf.linalg: linear algebra on matrices in the last two axes."""

from weftwork.graph.linear.blocks import (
    LinearOperatorBlockDiag,
    LinearOperatorKronecker,
    LinearOperatorLowRankUpdate,
)
from weftwork.graph.linear.circulant import (
    LinearOperatorCirculant,
    LinearOperatorCirculant2D,
    LinearOperatorCirculant3D,
)
from weftwork.graph.linear.kinds import (
    LinearOperatorDiag,
    LinearOperatorFullMatrix,
    LinearOperatorHouseholder,
    LinearOperatorIdentity,
    LinearOperatorLowerTriangular,
    LinearOperatorScaledIdentity,
    LinearOperatorToeplitz,
    LinearOperatorZeros,
)
from weftwork.graph.linear.operator import (
    LinearOperator,
    LinearOperatorAdjoint,
    LinearOperatorComposition,
    LinearOperatorInversion,
)
from weftwork.graph.nn.ops import (
    l2_normalize,
)
from weftwork.graph.ops.clipping import (
    global_norm,
)
from weftwork.graph.ops.factoring import (
    adjoint,
    cholesky_solve,
    logm,
    lu,
    lu_matrix_inverse,
    lu_reconstruct,
    lu_solve,
    matrix_rank,
    matvec,
    normalize,
    pinv,
    sqrtm,
)
from weftwork.graph.ops.filling import (
    eye,
)
from weftwork.graph.ops.linalg_ops import (
    cholesky,
    det,
    diag,
    diag_part,
    eigh,
    eigvalsh,
    expm,
    inv,
    logdet,
    lstsq,
    matmul,
    matrix_determinant,
    matrix_diag,
    matrix_diag_part,
    matrix_exponential,
    matrix_inverse,
    matrix_solve,
    matrix_solve_ls,
    matrix_triangular_solve,
    norm,
    qr,
    self_adjoint_eig,
    self_adjoint_eigvals,
    slogdet,
    solve,
    svd,
    trace,
    triangular_solve,
)
from weftwork.graph.ops.products import (
    cross,
    einsum,
    tensordot,
)
from weftwork.graph.ops.rearranging import (
    diag as tensor_diag,
)
from weftwork.graph.ops.rearranging import (
    diag_part as tensor_diag_part,
)
from weftwork.graph.ops.spaces import (
    matrix_band_part as band_part,
)
from weftwork.graph.ops.spaces import (
    matrix_set_diag as set_diag,
)
from weftwork.graph.ops.spaces import (
    matrix_transpose,
)
from weftwork.graph.ops.spaces import (
    matrix_transpose as transpose,
)
from weftwork.graph.ops.tridiagonal import tridiagonal_matmul, tridiagonal_solve

__all__ = [
    "LinearOperator",
    "LinearOperatorAdjoint",
    "LinearOperatorBlockDiag",
    "LinearOperatorCirculant",
    "LinearOperatorCirculant2D",
    "LinearOperatorCirculant3D",
    "LinearOperatorComposition",
    "LinearOperatorDiag",
    "LinearOperatorFullMatrix",
    "LinearOperatorHouseholder",
    "LinearOperatorIdentity",
    "LinearOperatorInversion",
    "LinearOperatorKronecker",
    "LinearOperatorLowRankUpdate",
    "LinearOperatorLowerTriangular",
    "LinearOperatorScaledIdentity",
    "LinearOperatorToeplitz",
    "LinearOperatorZeros",
    "adjoint",
    "band_part",
    "cholesky",
    "cholesky_solve",
    "cross",
    "det",
    "diag",
    "diag_part",
    "eigh",
    "eigvalsh",
    "einsum",
    "expm",
    "eye",
    "global_norm",
    "inv",
    "l2_normalize",
    "logdet",
    "logm",
    "lstsq",
    "lu",
    "lu_matrix_inverse",
    "lu_reconstruct",
    "lu_solve",
    "matmul",
    "matrix_determinant",
    "matrix_diag",
    "matrix_diag_part",
    "matrix_exponential",
    "matrix_inverse",
    "matrix_rank",
    "matrix_solve",
    "matrix_solve_ls",
    "matrix_transpose",
    "matrix_triangular_solve",
    "matvec",
    "norm",
    "normalize",
    "pinv",
    "qr",
    "self_adjoint_eig",
    "self_adjoint_eigvals",
    "set_diag",
    "slogdet",
    "solve",
    "sqrtm",
    "svd",
    "tensor_diag",
    "tensor_diag_part",
    "tensordot",
    "trace",
    "transpose",
    "triangular_solve",
    "tridiagonal_matmul",
    "tridiagonal_solve",
]
