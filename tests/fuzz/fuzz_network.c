/* Predictions, costs and derivatives of random networks and arrays: what must be the same bits is, what
 * failed has written nothing, inputs are read within their memory. */
#include "fuzz.h"

enum { MOST_PARAMETERS = 6000 };
static const double UNTOUCHED = -1234.5;

static double *sentinels(size_t n)
{
    double *out = numbers(n);
    for (size_t i = 0; i < n; i++)
        out[i] = UNTOUCHED;
    return out;
}
static int untouched(const double *out, size_t n)
{
    size_t i = 0;
    while (i < n && out[i] == UNTOUCHED)
        i++;
    return i == n;
}
static int failed(enum mlp_status status, const double *out, size_t n)
{
    HOLDS(status == MLP_OK || status == MLP_NO_MEMORY || status == MLP_TOO_LARGE);
    HOLDS(status == MLP_OK || untouched(out, n));
    return status != MLP_OK;
}

/* x (n, m0) as contiguous float64 and predictions of it in several ways. */
static void predictions(struct input *in, const struct subject *s, const struct array *x, size_t n)
{
    const size_t m0 = s->layers[0], mL = s->layers[s->L], size = n * mL;
    const int linear = seldom(in, 3);
    double *out = sentinels(size), *other = sentinels(size);
    run_out(in);
    const int none =
        failed(mlp_predict(s->net, &x->matrix, n, linear, from_to(in, 1, 3), out), out, size);
    settle();
    if (!none) {
        HOLDS(mlp_predict(s->net, &x->matrix, n, linear, 1, other) == MLP_OK &&
              same(out, other, size));
    }
    /* the rows one by one */
    double *row = numbers(m0), *one = sentinels(mL);
    struct mlp_predictor *predictor = NULL;
    int owner;
    if (mlp_predictor_new(&predictor, s->net, 1, &owner) != MLP_OK)
        abort();
    HOLDS(mlp_predictor_owner(predictor) == &owner);
    HOLDS(mlp_predict(s->net, &x->matrix, n, 0, 1, out) == MLP_OK);
    for (size_t i = 0; i < n && i < 20; i++) {
        const struct mlp_matrix here = {.data = row_of(&x->matrix, i),
                                        .row_stride = x->matrix.row_stride,
                                        .column_stride = x->matrix.column_stride,
                                        .columns = m0,
                                        .dtype = x->matrix.dtype};
        HOLDS(mlp_predict(s->net, &here, 1, 0, 1, one) == MLP_OK && same(one, out + i * mL, mL));
        if (x->matrix.dtype != MLP_FLOAT64)
            continue;
        for (size_t j = 0; j < m0; j++)
            memcpy(row + j, here.data + (ptrdiff_t)j * here.column_stride, sizeof *row);
        for (size_t k = 0; k < mL; k++)
            one[k] = UNTOUCHED;
        run_out(in);
        if (!failed(mlp_predict_row(s->net, row, one), one, mL))
            HOLDS(same(one, out + i * mL, mL));
        settle();
        mlp_predictor_call(row, one, predictor);
        HOLDS(same(one, out + i * mL, mL));
        if (mL == 1) {
            const double value = mlp_predictor_scalar((int)m0, row, predictor);
            HOLDS(same(&value, out + i, 1) &&
                  isnan(mlp_predictor_scalar((int)m0 + 1, row, predictor)));
        }
    }
    mlp_predictor_free(predictor);
    free(row);
    free(one);
    free(out);
    free(other);
    (void)mlp_predict_shares(s->net, n);
}

static void activations(struct input *in, const struct subject *s, const struct array *x, size_t n)
{
    double *a[MOST_LAYERS] = {NULL};
    for (size_t l = 1; l <= s->L; l++)
        a[l - 1] = sentinels(n * s->layers[l]);
    run_out(in);
    const enum mlp_status status = mlp_activations(s->net, &x->matrix, n, a);
    settle();
    for (size_t l = 1; l <= s->L; l++)
        failed(status, a[l - 1], n * s->layers[l]);
    double *out = numbers(n * s->layers[s->L]);
    HOLDS(mlp_predict(s->net, &x->matrix, n, 0, 1, out) == MLP_OK);
    HOLDS(status != MLP_OK || same(out, a[s->L - 1], n * s->layers[s->L]));
    free(out);
    for (size_t l = 1; l <= s->L; l++)
        free(a[l - 1]);
}

static void costs(struct input *in, const struct subject *s, const struct array *x,
                  const struct array *y, const struct array *weights, size_t n)
{
    const struct mlp_problem problem = {seldom(in, 2) ? &weights->matrix : NULL,
                                        seldom(in, 4) ? between(in, 0.0, 1e3) : 0.0,
                                        seldom(in, 4) ? between(in, 0.0, 1e3) : 0.0, NULL};
    double *gradient = s->steps ? NULL : sentinels(s->P), cost = UNTOUCHED, again, alone;
    struct mlp_matrix given = y->matrix;
    if (!s->steps && given.kind == MLP_VALUES && n % 5 == 1)
        given.kind = MLP_SLOPES;
    run_out(in);
    const enum mlp_status status =
        mlp_objective(s->net, &problem, &x->matrix, &given, n, from_to(in, 1, 3), &cost, gradient);
    settle();
    const int none = failed(status, &cost, 1);
    if (gradient != NULL)
        failed(status, gradient, s->P);
    if (!none) {
        double *other = s->steps ? NULL : sentinels(s->P);
        HOLDS(mlp_objective(s->net, &problem, &x->matrix, &given, n, 1, &again, other) == MLP_OK);
        HOLDS(same(&cost, &again, 1) && (gradient == NULL || same(gradient, other, s->P)));
        HOLDS(mlp_objective(s->net, &problem, &x->matrix, &given, n, 2, &alone, NULL) == MLP_OK);
        HOLDS(same(&cost, &alone, 1));
        free(other);
    }
    free(gradient);
}

static void jacobians(struct input *in, const struct subject *s, const struct array *x, size_t n)
{
    const int inputs = seldom(in, 2);
    const size_t size = n * s->layers[s->L] * (inputs ? s->layers[0] : s->P);
    if (s->steps || size > 200000)
        return;
    double *out = sentinels(size);
    run_out(in);
    failed(mlp_jacobian(s->net, &x->matrix, n, inputs, out), out, size);
    settle();
    free(out);
}

static void input_gradients(struct input *in, const struct subject *s, const struct array *x,
                            const struct array *y, const struct array *weights, size_t n)
{
    if (s->steps)
        return;
    const size_t size = n * s->layers[0];
    const struct mlp_matrix *w = seldom(in, 2) ? &weights->matrix : NULL;
    double *out = sentinels(size), *other = sentinels(size);
    run_out(in);
    const int none =
        failed(mlp_input_gradient(s->net, &x->matrix, &y->matrix, w, n, from_to(in, 1, 3), out),
               out, size);
    settle();
    if (!none) {
        HOLDS(mlp_input_gradient(s->net, &x->matrix, &y->matrix, w, n, 1, other) == MLP_OK);
        HOLDS(same(out, other, size));
    }
    free(out);
    free(other);
}

static void searched(const struct mlp_kernels *kernels, struct input *in, const struct array *x,
                     size_t n)
{
    size_t index = SIZE_MAX;
    run_out(in);
    const enum mlp_status status = mlp_find_nonfinite(kernels, &x->matrix, n, &index);
    settle();
    HOLDS(status == MLP_OK || (status == MLP_NO_MEMORY && index == SIZE_MAX));
    if (status != MLP_OK)
        return;
    size_t expected = n * x->matrix.columns;
    for (size_t i = expected; i-- > 0;) {
        const char *p = row_of(&x->matrix, i / x->matrix.columns) +
                        (ptrdiff_t)(i % x->matrix.columns) * x->matrix.column_stride;
        double wide = 0.0;
        float narrow = 0.0f;
        if (x->matrix.dtype == MLP_FLOAT64)
            memcpy(&wide, p, sizeof wide);
        else if (x->matrix.dtype == MLP_FLOAT32)
            memcpy(&narrow, p, sizeof narrow);
        if (!isfinite(wide) || !isfinite(narrow))
            expected = i;
    }
    HOLDS(index == expected);
}

static void functions(const struct mlp_kernels *kernels, struct input *in)
{
    double x[40], y[40], z[40];
    const size_t n = from_to(in, 1, 40);
    const enum mlp_function f = (enum mlp_function)at_most(in, MLP_MISH_DERIVATIVE);
    for (size_t i = 0; i < n; i++)
        x[i] = number(in);
    mlp_vector_math(kernels, f, n, x, y);
    for (size_t i = 0; i < n; i++)
        mlp_vector_math(kernels, f, 1, x + i, z + i); /* wherever in the array */
    HOLDS(same(y, z, n));
}

/* Sizes that are no network: nothing may be believed of them. */
static void sizes(const struct mlp_kernels *kernels, struct input *in)
{
    size_t layers[4];
    const enum mlp_activation g[] = {MLP_TANH, MLP_RELU, MLP_IDENTITY};
    const size_t L = from_to(in, 1, 3);
    for (size_t l = 0; l <= L; l++) {
        const unsigned shift = (unsigned)at_most(in, 63);
        layers[l] = ((size_t)1 << shift) + at_most(in, 255);
    }
    struct mlp_network *net = NULL;
    const enum mlp_status status = mlp_network_new(&net, kernels, L, layers, g, MLP_SQUARED_ERROR);
    HOLDS((status == MLP_OK) == (net != NULL));
    mlp_network_free(net);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size, 1};
    struct subject s;
    const struct mlp_kernels *kernels = isa(&in);
    const unsigned what = byte(&in);
    if (what % 16 == 15) {
        functions(kernels, &in);
        return 0;
    }
    if (what % 16 == 14) {
        sizes(kernels, &in);
        return 0;
    }
    run_out(&in);
    const int made = subject(&in, kernels, MOST_PARAMETERS, 1, &s);
    settle();
    if (!made)
        return 0;
    const size_t n = seldom(&in, 6) ? from_to(&in, 1, 255) : from_to(&in, 1, 20);
    const int wild = seldom(&in, 3);
    struct array x = array(&in, n, s.layers[0], ANY, 0, wild);
    struct array y = targets(&in, &s, n, wild);
    struct array weights = array(&in, n, 1, POSITIVE, 0, wild);
    switch (what % 6) {
    case 0:
        predictions(&in, &s, &x, n);
        break;
    case 1:
        activations(&in, &s, &x, n);
        break;
    case 2:
        costs(&in, &s, &x, &y, &weights, n);
        break;
    case 3:
        jacobians(&in, &s, &x, n);
        break;
    case 4:
        input_gradients(&in, &s, &x, &y, &weights, n);
        break;
    default:
        searched(kernels, &in, &x, n);
        break;
    }
    array_free(&x);
    array_free(&y);
    array_free(&weights);
    subject_free(&s);
    return 0;
}
