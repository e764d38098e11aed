"""Expressions whose nodes TensorFlow has operations for, by subject: (names that they use, expressions).

`python -m tests.graph.interchange.operations` has TensorFlow run all of them, and writes what it said.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

import weftwork as tf

RECORD = Path(__file__).with_suffix(".json")
"""What TensorFlow computed from the GraphDefs: for each expression, [dtype, shape, elements] of each tensor."""
SUBJECTS: dict[str, tuple[str, str]] = {
    "text": (
        """
""",
        r"""
tf.string_to_number(["1","2.5"])
tf.string_to_number(["1","2"],tf.int64)
tf.as_string([1,2])
tf.as_string([1.5],precision=2)
tf.as_string([1.5],scientific=True,precision=3)
tf.as_string([1.5],shortest=True)
tf.as_string([1.5],width=8,fill="0")
tf.as_string([True])
tf.as_string([1+2j])
tf.strings.format("a {} b {}",[tf.constant([1,2]),tf.constant("x")])
tf.string_to_hash_bucket(["a","b"],10)
tf.string_to_hash_bucket_fast(["a","b"],10)
tf.string_to_hash_bucket_strong(["a"],10,[1,2])
tf.string_to_hash_bucket_strong(["a"],10,[-1,2])
tf.strings.join(["a",["b","c"]],"-")
tf.reduce_join([["a","b"],["c","d"]],0)
tf.reduce_join([["a","b"],["c","d"]],keepdims=True,separator=".")
tf.reduce_join([["a","b"],["c","d"]],[1,0])
tf.reduce_join([["a","b"],["c","d"]],tf.placeholder_with_default([0],[1]))
tf.strings.unsorted_segment_join(["a","b","c"],[0,1,0],2,":")
tf.string_split(["a b","c"])
tf.string_split(["a,b;","c"],",;",skip_empty=False)
tf.strings.split(["a b","c"])
tf.strings.split(["a,b,c","c"],",",maxsplit=1)
tf.substr("hello",1,3)
tf.substr(["häallo","bcd"],[1,0],[2,2],unit="UTF8_CHAR")
tf.strings.length(["abc","ä"],unit="UTF8_CHAR")
tf.string_strip([" a "])
tf.strings.lower(["ABCÄ"])
tf.strings.upper(["abcä"],encoding="utf-8")
tf.strings.unicode_transcode(["aä"],"UTF-8","UTF-16-BE")
tf.strings.regex_replace(["aab"],"a+","x")
tf.strings.regex_replace(["aabaa"],"a+","x",replace_global=False)
tf.strings.regex_full_match(["aab","b"],"a+b")
tf.encode_base64(["hello"])
tf.encode_base64(["hello"],pad=True)
tf.decode_base64(["aGVsbG8"])
tf.decode_raw(["abcd"],tf.int16)
tf.decode_raw(["abcd"],tf.int16,little_endian=False)
tf.decode_raw(["abcd"],tf.uint8)
tf.decode_csv(["1,a","2,"],[[0],["x"]])
tf.decode_csv(["1;a;3"],[[0],tf.constant([],tf.float32)],field_delim=";",select_cols=[0,2],na_value="-")
tf.decode_csv(['"a",b'],[[""],[""]],use_quote_delim=False)
tf.fingerprint([[1,2],[3,4]])
""",
    ),
    "images": (
        """
X=tf.constant(np.arange(32,dtype=np.float32).reshape(1,4,4,2)/32)
R=tf.constant(np.arange(48,dtype=np.float32).reshape(1,4,4,3)/48)
P=tf.placeholder_with_default(np.arange(32,dtype=np.float32).reshape(1,4,4,2)/32,[None,None,None,2])
B=[[0.,0.,1.,1.],[0.,0.,1.,1.1],[2.,2.,3.,3.]]
""",
        r"""
tf.image.resize_bilinear(X,[3,5])
tf.image.resize_bilinear(X,[3,5],align_corners=True)
tf.image.resize_bilinear(X,[3,5],half_pixel_centers=True)
tf.image.resize_bicubic(X,[3,5])
tf.image.resize_bicubic(X,[3,5],align_corners=True)
tf.image.resize_nearest_neighbor(X,[3,5])
tf.image.resize_area(X,[3,5])
tf.image.resize_images(X,tf.placeholder_with_default([3,5],[2]))
tf.image.resize_images(P,[2,2],method=2)
tf.image.resize_images(tf.cast(X*255,tf.uint8),[2,2])
tf.image.crop_and_resize(X,[[0.,0.,1.,.5]],[0],[2,3])
tf.image.crop_and_resize(X,[[0.,0.,1.,1.5]],[0],[2,3],method="nearest",extrapolation_value=7.)
tf.gradients(tf.image.resize_bilinear(X,[3,5]),X)
tf.gradients(tf.image.resize_bicubic(X,[3,5]),X)
tf.gradients(tf.image.resize_nearest_neighbor(X,[3,5]),X)
tf.image.adjust_hue(R,.3)
tf.image.adjust_saturation(R,.3)
tf.image.adjust_contrast(R,.3)
tf.image.adjust_brightness(R,.3)
tf.image.adjust_hue(tf.cast(R*255,tf.uint8),.3)
tf.image.per_image_standardization(R[0])
tf.image.rgb_to_grayscale(R)
tf.image.rgb_to_grayscale(tf.cast(R*255,tf.uint8))
tf.image.rgb_to_hsv(R)
tf.image.hsv_to_rgb(R)
tf.image.rgb_to_yuv(R)
tf.image.convert_image_dtype(R,tf.uint8)
tf.image.convert_image_dtype(R,tf.uint8,saturate=True)
tf.image.convert_image_dtype(tf.cast(R*255,tf.uint8),tf.float32)
tf.image.non_max_suppression(B,[.5,.9,.1],2)
tf.image.non_max_suppression(B,[.5,.9,.1],3,iou_threshold=.95,score_threshold=.2)
tf.image.non_max_suppression_padded(B,[.5,.9,.1],3,pad_to_max_output_size=True)
tf.image.non_max_suppression_overlaps([[1.,.9],[.9,1.]],[.5,.9],2)
tf.image.non_max_suppression_with_scores(B,[.5,.9,.1],3,soft_nms_sigma=.5)
tf.image.draw_bounding_boxes(R,[[[0.,0.,.5,.5]]])
tf.image.flip_left_right(X[0])
tf.image.rot90(X[0])
tf.image.central_crop(X[0],.5)
tf.image.resize_image_with_crop_or_pad(X,6,3)
tf.image.resize_image_with_pad(X,6,3)
tf.image.pad_to_bounding_box(X,1,1,6,6)
tf.image.crop_to_bounding_box(X,1,1,2,2)
tf.image.total_variation(X)
tf.image.sobel_edges(X)
tf.image.image_gradients(X)
tf.image.decode_png(tf.image.encode_png(tf.cast(R[0]*255,tf.uint8)))
tf.shape(tf.image.decode_image(tf.image.encode_png(tf.cast(R[0]*255,tf.uint8))))
tf.extract_image_patches(X,[1,2,2,1],[1,1,1,1],[1,1,1,1],'VALID')
tf.extract_image_patches(X,[1,2,2,1],[1,2,2,1],[1,2,2,1],'SAME')
tf.space_to_depth(X,2)
tf.depth_to_space(tf.space_to_depth(X,2),2)
tf.space_to_batch_nd(X,[2,2],[[0,0],[0,0]])
tf.batch_to_space_nd(tf.space_to_batch_nd(X,[2,2],[[0,0],[0,0]]),[2,2],[[0,0],[1,0]])
tf.space_to_batch(X,[[0,0],[0,0]],2)
tf.batch_to_space(tf.space_to_batch(X,[[0,0],[0,0]],2),[[0,0],[0,0]],2)
""",
    ),
    "matrices and blocks": (
        """
X=tf.constant(np.arange(1,13,dtype=np.float32).reshape(3,4))
S=tf.constant([[2.,1.],[1.,3.]])
C=tf.constant([[2.,1j],[-1j,3.]],tf.complex64)
I=tf.constant([3,1,2,1])
""",
        r"""
tf.linalg.slogdet(S)
tf.matrix_solve(S,[[1.],[2.]])
tf.matrix_solve(S,[[1.],[2.]],adjoint=True)
tf.matrix_triangular_solve(S,[[1.],[2.]])
tf.matrix_triangular_solve(S,[[1.],[2.]],lower=False,adjoint=True)
tf.matrix_solve_ls(X,[[1.],[2.],[4.]],l2_regularizer=.1)
tf.matrix_solve_ls(tf.transpose(S),[[1.],[2.]])
tf.svd(X,compute_uv=False)
tf.self_adjoint_eigvals(S)
tf.matrix_inverse(S,adjoint=True)
tf.matrix_inverse(C,adjoint=True)
tf.linalg.logdet(S)
tf.linalg.logdet(C)
tf.trace(S)
tf.linalg.adjoint(C)
tf.matrix_band_part(X,1,0)
tf.matrix_set_diag(X,[9.,8.,7.])
tf.matrix_diag([1,2],k=1)
tf.matrix_diag_part(X,k=1)
tf.matrix_diag_part(X,k=(-1,1),padding_value=5.)
tf.matrix_diag_part(X,k=(-1,1),align="RIGHT_LEFT")
tf.matrix_set_diag(X,[9.,9.],k=2)
tf.matrix_diag_part(X)
tf.matrix_diag([1.,2.])
tf.linalg.tridiagonal_solve([[1.,1.,0.],[2.,2.,2.],[0.,1.,1.]],[1.,2.,3.])
tf.cholesky(S)
tf.norm(X)
tf.norm(X,1)
tf.norm(X,np.inf,axis=1)
tf.norm(X,3,axis=1,keepdims=True)
tf.norm(X,axis=[0,1])
tf.norm(X,1,axis=[0,1])
tf.tensor_scatter_update([1,2,3],[[0]],[9])
tf.tensor_scatter_add([1,2,3],[[0],[0]],[9,1])
tf.tensor_scatter_sub([1,2,3],[[0],[0]],[9,1])
tf.bitcast(tf.constant([1,2]),tf.float32)
tf.bitcast(tf.constant([1,2]),tf.uint8)
tf.setdiff1d(I,[1])
tf.setdiff1d(I,[1],index_dtype=tf.int64)
tf.ensure_shape(tf.placeholder_with_default([1.,2.],[None]),[2])
tf.dynamic_stitch([[0,2],[1]],[[1,3],[2]])
tf.dynamic_partition(I,[0,1,0,1],2)
tf.gradients(X[1:,::2],X)
tf.gradients(X[1],X)
tf.gradients(tf.placeholder_with_default(X,[None,4])[1:],X)
tf.argsort(I)
tf.argsort(I,direction="DESCENDING")
tf.argsort(X,axis=0,direction="DESCENDING")
tf.sort(X)
tf.sort(X,direction="DESCENDING")
tf.sort(X,axis=0)
tf.searchsorted([1,3,5],[2,5])
tf.searchsorted([[1,3,5]],[[2,5]],side="right",out_type=tf.int64)
tf.repeat([1,2],2)
tf.repeat([1,2,3],[2,0,1])
tf.repeat(X,2,axis=1)
tf.meshgrid([1,2],[3,4,5])
tf.meshgrid([1,2],[3,4,5],indexing="ij")
tf.meshgrid([1,2],[3,4,5],[6])
tf.sets.set_union([[1,2]],[[2,3]])
tf.sets.set_intersection([[1,2]],[[2,3]])
tf.sets.set_difference([[1,2]],[[2,3]])
tf.sets.set_difference([[1,2]],[[2,3]],aminusb=False)
tf.sets.set_size(tf.SparseTensor([[0,0],[0,1]],[1,1],[1,2]))
tf.space_to_depth(tf.reshape(X,[1,2,2,3]),2)
tf.depth_to_space(tf.reshape(X,[1,1,1,12]),2)
tf.space_to_batch_nd(tf.reshape(X,[1,2,2,3]),[2,2],[[0,0],[0,0]])
tf.batch_to_space_nd(tf.reshape(X,[4,1,1,3]),[2,2],[[0,0],[0,0]])
tf.extract_image_patches(tf.reshape(X,[1,3,4,1]),[1,2,2,1],[1,1,1,1],[1,1,1,1],'VALID')
tf.extract_volume_patches(tf.reshape(X,[1,3,2,2,1]),[1,2,1,2,1],[1,1,1,1,1],'SAME')
tf.eye(2,3,[2])
tf.zeros_like(I,dtype=tf.float64)
tf.ones_like(I,dtype=tf.float32)
tf.gather_nd(X,[[0],[1]],batch_dims=0)
tf.gather_nd(tf.reshape(X,[3,2,2]),[[0],[1],[1]],batch_dims=1)
X[:,tf.constant(1)]
tf.stack([tf.constant(1.),tf.constant(2)])
""",
    ),
    "numbers": (
        """
X=tf.constant([[1.,2.],[3.,4.]])
I=tf.constant([3,1,2,1])
Bo=tf.constant([True,False])
""",
        r"""
tf.bitwise.bitwise_and(I,1)
tf.bitwise.left_shift(I,1)
tf.bitwise.right_shift(I,1)
tf.bitwise.invert(I)
tf.math.xlogy(X,X)
tf.math.xdivy(X,X)
tf.math.multiply_no_nan(X,X)
tf.math.betainc(X,X,X/5)
tf.bincount(I)
tf.bincount(I,minlength=6)
tf.bincount(I,maxlength=3)
tf.bincount(I,weights=[1.,2.,3.,4.])
tf.bincount(tf.constant([],tf.int32))
tf.histogram_fixed_width([-1.0,0.0,1.5,2.0,5.0,15],[0.0,5.0],nbins=5)
tf.histogram_fixed_width_bins([-1.0,0.0,1.5],[0.0,5.0],nbins=5)
tf.confusion_matrix([1,2],[1,0])
tf.confusion_matrix([1,2],[1,0],num_classes=4,weights=[2,3],dtype=tf.float32)
tf.fake_quant_with_min_max_args(X,0.,3.)
tf.fake_quant_with_min_max_vars(X,0.,3.,num_bits=4)
tf.fake_quant_with_min_max_vars_per_channel(X,[0.,1.],[3.,4.],narrow_range=True)
tf.quantization.quantize_and_dequantize(X,0.,3.,range_given=True)
tf.quantization.quantize_and_dequantize(X,0.,3.,signed_input=False)
tf.math.reduce_variance(X)
tf.math.reduce_std(X,0)
tf.clip_by_norm(X,1.0)
tf.clip_by_norm(X,1.0,axes=[1])
tf.clip_by_norm(X*0,1.0)
tf.clip_by_global_norm([X,None,X],1.0)
tf.global_norm([X,X])
tf.clip_by_average_norm(X,.5)
tf.saturate_cast([300.,-5.],tf.uint8)
tf.logical_xor(Bo,True)
tf.log_sigmoid(X)
tf.reduce_logsumexp(X,1)
tf.sqrt(I)
tf.sigmoid(I)
tf.atan2(1,2)
tf.div_no_nan([1,2],[0,1])
tf.logical_and(1,2)
tf.logical_not([1])
tf.where([1,0],X,X+1)
tf.reduce_sum([True])
tf.reduce_mean([True])
tf.reduce_all([1])
tf.add_n([X,tf.constant([[1,2],[3,4]])])
tf.linspace(0,1,5)
tf.concat([X,tf.constant([[1,2]])],0)
tf.segment_mean([1.,2.,3.],[0,0,1])
tf.unsorted_segment_mean([1.,2.,3.],[0,0,1],2)
tf.unsorted_segment_sqrt_n([1.,2.,3.],[0,0,1],2)
tf.count_nonzero(['','a'])
tf.count_nonzero(X,1)
tf.nn.moments(X,[0])
tf.nn.weighted_moments(X,[0],1.)
tf.nn.normalize_moments(2.,X,X,None)
tf.spectral.rfft([1.,2.,3.])
tf.spectral.rfft2d(X)
tf.spectral.irfft([1+0j,2])
tf.spectral.rfft([1.,2.,3.],[4])
tf.nn.log_softmax(X)
tf.nn.softmax(X,axis=0)
tf.nn.log_softmax(X,axis=0)
tf.nn.weighted_cross_entropy_with_logits(X,X,2.)
tf.nn.sigmoid_cross_entropy_with_logits(labels=X,logits=X)
tf.nn.softmax_cross_entropy_with_logits_v2(labels=X/5,logits=X)
tf.nn.softmax_cross_entropy_with_logits_v2(labels=X/5,logits=X,dim=0)
tf.nn.softmax_cross_entropy_with_logits_v2(labels=tf.stack([X,X])/5,logits=tf.stack([X,X]))
tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[[0,1],[1,1]],logits=tf.stack([X,X]))
tf.nn.l2_normalize(X,1)
tf.nn.leaky_relu(X-2)
tf.nn.crelu(X-2)
tf.nn.swish(X)
tf.nn.zero_fraction(X)
tf.nn.top_k(X,1)
tf.nn.in_top_k(X,[0,1],1)
tf.nn.embedding_lookup([X,X],[1,0,2])
tf.cross([1.,2.,3.],[3.,4.,5.])
tf.tensordot(X,X,1)
tf.einsum("ij,jk->ik",X,X)
X@[1.,2.]
tf.matmul(tf.constant([[1,2],[3,4]]),X)
tf.math.argmax(X,1,output_type=tf.int32)
tf.math.zeta(X+1,X)
tf.cumsum(X,1,exclusive=True,reverse=True)
tf.cumprod(X,0)
tf.round(X*1.3)
tf.floordiv(X,2)
tf.mod(I,2)
tf.truncatemod(I,2)
tf.angle([1+1j])
tf.invert_permutation([1,0])
tf.unique_with_counts(I)
tf.nn.batch_normalization(X,0.,1.,.1,2.,1e-3)
""",
    ),
    "sparse tensors": (
        """
S=tf.SparseTensor([[0,0],[0,2],[1,1]],[1.,2.,3.],[2,4])
Q=tf.SparseTensor([[0,0],[1,3]],[5.,2.],[2,4])
U=tf.SparseTensor([[1,0],[0,1]],[1.,2.],[2,2])
""",
        r"""
tf.sparse_reorder(U)
tf.sparse_reshape(S,[4,2])
tf.sparse_reshape(S,[-1,2])
tf.sparse_tensor_to_dense(S)
tf.sparse_tensor_to_dense(U,validate_indices=False)
tf.sparse_to_dense([1,2],[4],7)
tf.sparse_concat(1,[S,Q])
tf.sparse_concat(0,[S,Q])
tf.sparse_split(sp_input=S,num_split=2,axis=1)
tf.sparse_slice(S,[0,1],[2,2])
tf.sparse_transpose(S)
tf.sparse_transpose(S,[1,0])
tf.sparse_fill_empty_rows(tf.SparseTensor([[0,0],[2,1]],[1.,2.],[4,2]),7.)
tf.sparse_retain(S,[True,False,True])
tf.sparse_reset_shape(S)
tf.sparse_reset_shape(S,[3,5])
tf.sparse_add(S,Q)
tf.sparse_add(S,Q,2.5)
tf.sparse_add(S,tf.ones([2,4]))
tf.sparse_maximum(S,Q)
tf.sparse_minimum(S,Q)
S*2.
S*tf.ones([1,4])
S/tf.ones([1,4])
tf.sparse_tensor_dense_matmul(S,tf.ones([4,3]))
tf.sparse_tensor_dense_matmul(S,tf.ones([2,3]),adjoint_a=True)
tf.sparse_softmax(S)
tf.sparse_reduce_sum(S,1)
tf.sparse_reduce_sum(S)
tf.sparse_reduce_sum(S,1,keepdims=True)
tf.sparse_reduce_sum_sparse(S,0)
tf.sparse_reduce_max(S,1)
tf.sparse_reduce_max_sparse(S,1)
tf.sparse_segment_sum(tf.ones([4,2]),[0,1,3],[0,0,1])
tf.sparse_segment_mean(tf.ones([4,2]),[0,1,3],[0,0,1])
tf.sparse_segment_sqrt_n(tf.ones([4,2]),[0,1,3],[0,0,1])
tf.sparse_segment_sum(tf.ones([4,2]),[0,1,3],[0,0,1],num_segments=3)
tf.edit_distance(tf.SparseTensor([[0,0]],['a'],[1,1]),tf.SparseTensor([[0,0]],['b'],[1,1]))
tf.serialize_sparse(S)
tf.deserialize_many_sparse(tf.serialize_many_sparse(S),tf.float32)
tf.sparse_merge(tf.SparseTensor([[0,0],[0,1]],[2,0],[1,2]),tf.SparseTensor([[0,0],[0,1]],[1.,2.],[1,2]),3)
tf.sparse_mask(tf.IndexedSlices(tf.constant([[1.],[2.]]),tf.constant([1,2])),[1]).values
tf.nn.embedding_lookup_sparse(tf.constant([[1.,2.],[3.,4.]]),tf.SparseTensor([[0,0],[1,0]],[0,1],[2,1]),None)
tf.sparse_to_indicator(tf.SparseTensor([[0,0],[0,1]],[2,0],[1,2]),3)
tf.gradients(tf.sparse_tensor_dense_matmul(S,tf.ones([4,3])),S.values)
tf.gradients(tf.sparse_reduce_sum(S,1),S.values)
tf.gradients(tf.sparse_add(S,Q).values,S.values)
""",
    ),
    "derivatives": (
        """
X=tf.constant([[1.,2.],[3.,4.]])
I=tf.constant([3,1,2,1])
P=tf.placeholder_with_default([[1.,2.],[3.,4.]],[None,2])
Q=tf.placeholder_with_default([[1.,2.],[3.,4.]],None)
M=tf.constant(np.arange(48,dtype=np.float32).reshape(1,4,4,3)/48)
""",
        r"""
tf.gradients(P+X[0],[X,P])
tf.gradients(P*tf.ones([2,1]),[P])
tf.gradients(tf.reduce_mean(P),P)
tf.gradients(tf.reduce_mean(P,0),P)
tf.gradients(tf.reduce_sum(P,1,keepdims=True),P)
tf.gradients(tf.reduce_mean(X,1),X)
tf.gradients(tf.reduce_sum(Q),Q)
tf.gradients(Q+X,[X,Q])
tf.gradients(tf.nn.relu(P-2),P)
tf.gradients(tf.nn.leaky_relu(P-2),P)
tf.gradients(tf.nn.relu6(P*2),P)
tf.gradients(tf.nn.elu(P-2),P)
tf.gradients(tf.nn.softplus(P-2),P)
tf.gradients(tf.nn.softmax(P),P)
tf.gradients(tf.sigmoid(P),P)
tf.gradients(tf.tanh(P),P)
tf.gradients(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[0,1],logits=P),P)
tf.gradients(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[0,1],logits=P)),P)
tf.gradients(tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits_v2(labels=P,logits=P)),P)
tf.gradients(tf.gather(P,[0,0,1]),P)[0].values
tf.convert_to_tensor(tf.gradients(tf.gather(P,[0,0,1]),P)[0])
tf.convert_to_tensor(tf.gradients(tf.gather(X,[0,0,1]),X)[0])
tf.gradients(tf.unsorted_segment_sum(X,[0,5-5],2),X)
tf.gradients(tf.nn.conv2d(M,tf.ones([2,2,3,2]),1,"SAME"),M)
(lambda w: tf.gradients(tf.nn.conv2d(M,w,1,"SAME"),w))(tf.ones([2,2,3,2]))
(lambda w: tf.gradients(tf.nn.depthwise_conv2d(M,w,[1,1,1,1],"VALID"),[w,M]))(tf.ones([2,2,3,2]))
tf.gradients(tf.nn.conv2d_transpose(M,tf.ones([2,2,5,3]),[1,4,4,5],1),M)
tf.gradients(tf.nn.max_pool(M,2,2,"SAME"),M)
tf.gradients(tf.nn.avg_pool(M,2,2,"SAME"),M)
tf.gradients(tf.reshape(P,[-1]),P)
tf.gradients(tf.concat([P,X],0),[P,X])
tf.gradients(tf.stack([P,X]),[P,X])
tf.gradients(tf.split(X,2,1),X)
tf.gradients(tf.transpose(P),P)
tf.gradients(tf.pad(P,[[1,1],[0,0]]),P)
tf.gradients(tf.slice(X,[0,1],[2,1]),X)
tf.gradients(tf.matmul(P,X),[P,X])
tf.gradients(tf.reduce_max(P,1),P)
tf.gradients(tf.cumsum(P,1),P)
tf.gradients(tf.where(P>2,P,P*2),P)
tf.gradients(tf.clip_by_value(P,2.,3.),P)
tf.gradients(tf.pow(P,2.),P)
tf.gradients(tf.sqrt(P)/P,P)
tf.gradients(tf.nn.l2_normalize(P,1),P)
tf.gradients(tf.nn.bias_add(P,[1.,2.]),P)
tf.gradients(tf.nn.moments(P,[0]),P)
tf.gradients(tf.expand_dims(P,1),P)
tf.gradients(tf.squeeze(tf.expand_dims(P,1),[1]),P)
tf.gradients(tf.one_hot([0,1],2)*P,P)
tf.gradients(tf.gather_nd(P,[[0,1]]),P)
tf.gradients(tf.matrix_inverse(X+tf.eye(2)),X)
tf.gradients(tf.einsum("ij,jk->ik",P,X),[P,X])
tf.gradients(tf.losses.mean_squared_error(X,P),P)
tf.gradients(tf.losses.huber_loss(X,P),P)
tf.gradients(tf.losses.sigmoid_cross_entropy(X,P),P)
tf.gradients(tf.image.resize_bilinear(M,[2,2]),M)
tf.gradients(tf.boolean_mask(X,[True,False]),X)
tf.gradients(tf.reverse(P,[0]),P)
tf.gradients(tf.dynamic_partition(P,[0,1],2),P)
tf.gradients(tf.dynamic_stitch([[0],[1]],[P[:1],P[1:]]),P)
tf.gradients(tf.scatter_nd([[0],[1]],X,[3,2]),X)
tf.gradients(tf.matrix_diag_part(X),X)
tf.gradients(tf.minimum(P,2.5),P)
tf.gradients(tf.reduce_logsumexp(P,1),P)
tf.gradients(tf.abs(P),P)
tf.gradients(tf.log1p(P),P)
tf.gradients(tf.space_to_depth(tf.reshape(X,[1,2,2,1]),2),X)
""",
    ),
}


def expressions() -> list[tuple[str, str]]:
    """(subject, expression) of all."""
    return [(subject, line) for subject, (_, lines) in SUBJECTS.items() for line in lines.split("\n") if line]


def _tensors(value: Any) -> list[Any]:
    """The tensors that an expression gave, in order."""
    if isinstance(value, dict):
        return _tensors([value[key] for key in sorted(value)])
    if isinstance(value, tf.SparseTensor):
        return [value.indices, value.values, value.dense_shape]
    if isinstance(value, (list, tuple)):
        return [tensor for one in value for tensor in _tensors(one)]
    return [] if value is None else [value]


def built() -> dict[str, list[Any]]:
    """The tensors of each expression, in the default graph. Their names are told by `SUBJECT: EXPRESSION`."""
    found = {}
    for subject, (names, _) in SUBJECTS.items():
        scope = {"tf": tf, "np": np}
        exec(names, scope)
        for other, line in expressions():
            if other == subject:
                found[f"{subject}: {line}"] = [tf.identity(t) for t in _tensors(eval(line, scope))]
    return found


def told(value: Any) -> list[Any]:
    """A value as [dtype, shape, elements], in JSON's types."""
    array = np.array(value, object) if isinstance(value, bytes) else np.asarray(value)
    items = array.ravel().tolist()
    if array.dtype.kind == "O":
        items = [item.decode("latin1") for item in items]
    elif array.dtype.kind == "c":
        items = [[item.real, item.imag] for item in items]
    return ["string" if array.dtype.kind == "O" else array.dtype.name, list(array.shape), items]


def main() -> None:
    """Have TensorFlow run the GraphDefs of all expressions."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow.compat.v1 as peer  # pyright: ignore[reportMissingImports]

    peer.disable_v2_behavior()
    with tf.Graph().as_default() as graph:
        names = {key: [tensor.name for tensor in tensors] for key, tensors in built().items()}
        definition = peer.GraphDef.FromString(graph.as_graph_def().SerializeToString())
    with peer.Graph().as_default(), peer.Session() as session:
        peer.import_graph_def(definition, name="")
        results = {key: [told(value) for value in session.run(names[key])] for key in names}
    lines = [f"{json.dumps(key)}: {json.dumps(_rounded(value))}" for key, value in results.items()]
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
