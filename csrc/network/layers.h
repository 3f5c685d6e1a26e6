/* layers.h - the formulas of backpropagation, layer by layer, for some instances of a chunk or some part
 * of the parameters. Where a result is a part of an array, arguments say from which row and which
 * columns. */
#ifndef MLP_LAYERS_H
#define MLP_LAYERS_H

#include "network/lists.h"
#include "network/network.h"
#include "network/penalty.h"
#include "network/step.h"

/* An activation costs about as much as so many multiply-adds. */
#define MLP_ACTIVATION 50.0

/* a^(l) <- g(b^(l) + a^(l-1) w^(l)), + a^(l-1) where that layer is skipped, l = 1..L, of instances
 * first .. first + rows - 1: x is the first one's a^(0), a[l-1] (.., m^(l)) holds all for l < L. last
 * (rows, m^(L)) <- a^(L), or z^(L) when linear. Where the layer keeps g'(z^(l)), a[L+l-1] takes it,
 * unless it is NULL. */
void mlp_forward(const struct mlp_network *net, size_t first, size_t rows, const double *x,
                 double *const *a, double *last, double *panel, int linear);
/* The same of rows begin .. begin + rows - 1 of CSR x, in the places of the first instances of a. */
void mlp_forward_lists(const struct mlp_network *net, const struct mlp_matrix *x, size_t begin,
                       size_t rows, int finite, double *const *a, double *last, double *panel,
                       int linear);
/* delta[l-1] <- e^(l) * g'(z^(l)), l = from .. to + 1, of the same instances: all of them for from =
 * L - 1, to = 0. e^(l) = dC/da^(l) is delta[l] w^(l+1)T, + e^(l+1) where layer l + 1 is skipped; of a
 * layer l that is skipped it is left in delta[L]. */
void mlp_deltas(const struct mlp_network *net, size_t from, size_t to, size_t first, size_t rows,
                double *const *a, double *const *delta, double *panel);

/* From instance `first` on, g'(z^(l+1)) where layers[l] keeps it, else NULL. */
static inline double *mlp_kept(const struct mlp_network *net, double *const *a, size_t l,
                               size_t first)
{
    const struct mlp_layer *layer = &net->layers[l];
    const int keeps = l + 1 < net->n_layers && mlp_layer_keeps(layer);
    double *d = keeps ? a[net->n_layers + l] : NULL;
    return d == NULL ? NULL : d + first * layer->m_out;
}
/* That, or a^(l+1): what g' is taken from. */
static inline const double *mlp_derivable(const struct mlp_network *net, double *const *a, size_t l,
                                          size_t first)
{
    const double *d = mlp_kept(net, a, l, first);
    return d == NULL ? a[l] + first * net->layers[l].m_out : d;
}

/* delta[L], from that instance on. */
static inline double *mlp_carried(const struct mlp_network *net, double *const *delta, size_t first)
{
    double *e = delta[net->n_layers];
    return e == NULL ? NULL : e + first * net->carried;
}

/* Columns c0 .. c1 - 1 of one step of mlp_forward, for layers[l]: of z (rows, m_out) from previous
 * (rows, m_in); and of d, unless it is NULL: see mlp_kept. What skips it is not added. */
void mlp_layer_forward(const struct mlp_network *net, size_t l, size_t rows, const double *previous,
                       size_t c0, size_t c1, double *z, double *d, double *panel, int linear);
/* All columns of the first layer's, from rows begin .. begin + rows - 1 of CSR x; w is finite, or `finite` 0. */
void mlp_layer_forward_lists(const struct mlp_network *net, const struct mlp_matrix *x,
                             const size_t *order, size_t begin, size_t rows, int finite, double *z,
                             double *d, int linear);
/* Those columns of a (rows, m_out) += previous (rows, m_in), where layers[l] is skipped. */
void mlp_layer_skip(const struct mlp_network *net, size_t l, size_t rows, const double *previous,
                    size_t c0, size_t c1, double *a);
/* The same of one step of mlp_deltas, through layers[l]: of previous (rows, m_in) from delta (rows,
 * m_out) and a (rows, m_in), what mlp_derivable gives of the layer before. carried is delta[L] from its
 * first instance on: its rows are as far apart for every layer, for a thread is in one layer with its
 * instances while another is in the next with its own. */
void mlp_layer_delta(const struct mlp_network *net, size_t l, size_t rows, const double *delta,
                     const double *a, size_t c0, size_t c1, double *previous, double *carried,
                     double *panel);
/* out (rows, m^(0)), rows `stride` apart, <- dC/dx = e^(0), after mlp_deltas. */
void mlp_input_delta(const struct mlp_network *net, size_t rows, double *const *delta, double *out,
                     ptrdiff_t stride, double *panel);

/* Whether so many threads share a layer's columns rather than the rows of a batch. Each then reads
 * and steps the same columns of w in every batch, which stay in its cache, and what goes from core
 * to core is activations and deltas: rows (m_in + m_out) numbers instead of m_in m_out. */
int mlp_by_columns(const struct mlp_layer *layer, size_t rows, size_t parts);

/* z (rows, m^(L)) <- a^(L) = g(z); d takes g'(z) where the output layer keeps it. Returns what
 * multiply_derivative() takes of it: a^(L) or d. */
const double *mlp_output_activate(const struct mlp_network *net, size_t rows, double *z, double *d);
/* delta (rows, m^(L)) <- d a^(L)_k / d z^(L) of instances whose a^(L) is a, with what
 * mlp_output_activate returned for them. */
void mlp_output_deltas(const struct mlp_network *net, size_t rows, size_t k, const double *a,
                       const double *derivable, double *delta);

/* Part number `part` of `parts` of every layer's gradient, from `rows` instances:
 * dC/dw^(l) <- C0 + a^(l-1)T delta^(l) and dC/db^(l) <- C0 + sum_i delta^(l)_i, where C0 is what the
 * chunks before left there, or 0 for the first. Then, unless it is NULL, the penalty's, and, unless
 * step is NULL, the step of that part; the gradient may be left undefined when `keep` is 0. Of CSR
 * instances x is NULL and `lists` describes them. */
void mlp_gradient_part(const struct mlp_network *net, size_t parts, size_t part, size_t rows,
                       const double *x, const struct mlp_lists *lists, double *const *a,
                       double *const *delta, int first, double *gradient, double *panel,
                       const struct mlp_penalty *penalty, const struct mlp_step *step, int keep);

#endif
