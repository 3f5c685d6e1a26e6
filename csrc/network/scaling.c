/* scaling.c - between the caller's units and the layers'; and what a scaling is made of. */
#include "network/scaling.h"

#include "network/memory.h"
#include "network/rows.h"

static const struct mlp_matrix *scaled(const struct mlp_matrix *x, const double *scaling,
                                       struct mlp_matrix *own)
{
    *own = *x;
    own->offset = scaling;
    own->scale = scaling + x->columns;
    return own;
}

const struct mlp_matrix *mlp_inputs(const struct mlp_network *net, const struct mlp_matrix *x,
                                    struct mlp_matrix *own)
{
    return mlp_scales_inputs(net) && x->starts == NULL ? scaled(x, mlp_input_scaling(net), own) : x;
}

const struct mlp_matrix *mlp_targets(const struct mlp_network *net, const struct mlp_matrix *y,
                                     struct mlp_matrix *own)
{
    const int targets = y->kind == MLP_VALUES || y->kind == MLP_GAPS;
    return mlp_scales_outputs(net) && targets ? scaled(y, mlp_output_scaling(net), own) : y;
}

void mlp_scale_row(const struct mlp_network *net, const double *x, double *out)
{
    const size_t m = mlp_n_inputs(net);
    const double *offset = mlp_input_scaling(net), *scale = offset + m;
    for (size_t j = 0; j < m; j++)
        out[j] = (x[j] - offset[j]) / scale[j];
}

void mlp_unscale_outputs(const struct mlp_network *net, size_t rows, double *a)
{
    const size_t m = mlp_n_outputs(net);
    if (!mlp_scales_outputs(net))
        return;
    const double *offset = mlp_output_scaling(net), *scale = offset + m;
    for (size_t i = 0; i < rows; i++) {
        for (size_t k = 0; k < m; k++)
            a[i * m + k] = a[i * m + k] * scale[k] + offset[k];
    }
}

void mlp_unscale_gradient(const struct mlp_network *net, size_t rows, double *gradient)
{
    const size_t m = mlp_n_inputs(net);
    if (!mlp_scales_inputs(net))
        return;
    const double *scale = mlp_input_scaling(net) + m;
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < m; j++)
            gradient[i * m + j] /= scale[j];
    }
}

void mlp_unscale_jacobian(const struct mlp_network *net, size_t rows, size_t columns, int inputs,
                          double *j)
{
    const size_t m = mlp_n_outputs(net);
    if (mlp_scales_outputs(net)) {
        const double *scale = mlp_output_scaling(net) + m;
        for (size_t i = 0; i < rows * m; i++) {
            for (size_t p = 0; p < columns; p++)
                j[i * columns + p] *= scale[i % m];
        }
    }
    if (inputs)
        mlp_unscale_gradient(net, rows * m, j);
}

/* *sum + *lost <- itself + x: Knuth's sum of two, and what it rounds off. */
static void add(double *sum, double *lost, double x)
{
    const double total = *sum + x, part = total - *sum;
    *lost += (*sum - (total - part)) + (x - part);
    *sum = total;
}

/* Elements that are converted at a time, on the stack: 4 KB. */
#define PIECE ((size_t)512)

size_t mlp_column_sums(const struct mlp_matrix *x, const struct mlp_matrix *weights, size_t n,
                       const double *centre, const double *factor, double *low, double *high,
                       double *sum, double *square)
{
    const size_t m = x->columns;
    double piece[PIECE], s = 1.0;
    size_t count = 0;
    const uint64_t saved = mlp_fp_enter();
    for (size_t i = 0; i < n; i++) {
        if (weights != NULL && !(*mlp_rows(weights, NULL, i, 1, &s) > 0.0))
            continue;
        count++;
        for (size_t j0 = 0; j0 < m; j0 += PIECE) {
            struct mlp_matrix part = *x;
            part.data += (ptrdiff_t)j0 * x->column_stride;
            part.columns = m - j0 < PIECE ? m - j0 : PIECE;
            const double *row = mlp_rows(&part, NULL, i, 1, piece);
            for (size_t j = j0; j < j0 + part.columns; j++) {
                const double v = row[j - j0];
                low[j] = v < low[j] ? v : low[j];
                high[j] = v > high[j] ? v : high[j];
                const double c = centre != NULL ? centre[j] : 0.0;
                const double d = (v - c) * (factor != NULL ? factor[j] : 1.0);
                add(&sum[j], &sum[m + j], d);
                if (square != NULL)
                    add(&square[j], &square[m + j], d * d);
            }
        }
    }
    mlp_fp_leave(saved);
    return count;
}
