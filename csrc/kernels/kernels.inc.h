/* kernels.inc.h - the table of every hot loop of deltaloop: time is spent in these files, and in tile() of
 * tile.inc.h first of all.
 *
 * Compiled once per instruction set by a kernels_*.c that defines
 *   VL       doubles per vector
 *   MR       rows of the product's register tile, at most 8; it is two vectors wide, one at the
 *            right edge
 *   WIDE     vectors of a tile with a single row, then half of them: chains enough to hide the
 *            latency of an FMA
 *   FIRST    vectors of a tile of online()'s first layer, whose delta and z stay in registers
 *   KERNELS  the table's name; ISA_NAME the variant's
 * What is promised of each function stands in kernels.h. VECTORS_ALONE, of a test, leaves the loops out. */
#ifdef VECTORS_ALONE
#include "kernels/simd.h"

extern const struct mlp_kernels KERNELS;
#else
#include "kernels/activations.inc.h"
#include "kernels/jacobian.inc.h"
#include "kernels/kernels.h"
#include "kernels/lists.inc.h"
#include "kernels/online.inc.h"
#include "kernels/output.inc.h"
#include "kernels/product.inc.h"
#include "kernels/sums.inc.h"
#include "kernels/updates.inc.h"

const struct mlp_kernels KERNELS = {
    .name = ISA_NAME,
    .panel_size = panel_size,
    .product = product,
    .lists = lists,
    .gram = gram,
    .activate = activate,
    .activate_keep = activate_keep,
    .multiply_derivative = multiply_derivative,
    .single_delta = single_delta,
    .softmax_delta = softmax_delta,
    .output = output,
    .accumulate = accumulate,
    .descend = descend,
    .descend_momentum = descend_momentum,
    .add = add,
    .multiply = multiply,
    .penalise = penalise,
    .weigh = weigh,
    .sum_squares = sum_squares,
    .sum_sizes = sum_sizes,
    .dot = dot,
    .combine = combine,
    .curvature = curvature,
    .all_finite = all_finite,
    .online = online,
    .epochs = epochs,
    .vector_math = vector_math,
    .jacobian = jacobian,
    .eliminate = eliminate,
    .adam = adam,
    .rprop = rprop,
    .clip = clip,
};
#endif
