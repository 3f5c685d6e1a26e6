/* Fits and trainers of random networks by every solver, with options that the solvers' classes in Python
 * let through. A fit in slices, on several threads, or resumed from what another one reported, has the
 * bits of the fit in one piece on one thread; arrays that no fit reported are refused, or do no harm. */
#include "fuzz.h"

enum { MOST_PARAMETERS = 800, MOST_SQUARED = 120, MOST_EPOCHS = 5, MOST_CALLS = 20000 };

/* ---- options ---- */

/* What Python lets through, and what a solver has unless it is told. */
struct range {
    const char *name;
    double usual, low, high;
};
static const struct range RANGES[] = {
    {"learning_rate", 0.05, 1e-300, 1e300},
    {"momentum", 0.9, 0.0, 0.999999},
    {"nesterov", 0, 0, 1},
    {"beta1", 0.9, 0.0, 0.999999},
    {"beta2", 0.999, 0.0, 0.999999},
    {"epsilon", 1e-8, 1e-300, 1e300},
    {"weight_decay", 0.01, 0.0, 1e300},
    {"raw_epsilon", 0, 0, 1},
    {"eta_plus", 1.2, 1.000001, 1e300},
    {"eta_minus", 0.5, 1e-300, 0.999999},
    {"delta_0", 0.1, 1e-300, 1e300},
    {"delta_min", 0.0, 0.0, 1e300},
    {"delta_max", 50.0, 1e-300, 1e300},
    {"plus", 1, 0, 1},
    {"rule", 1, 0, 2},
    {"diagonal", 0, 0, 1},
    {"geodesic", 0, 0, 1},
    {"bayesian", 0, 0, 1},
    {"damping", 1e-3, 1e-12, 1e12},
    {"decrease", 0.1, 1e-300, 0.999999},
    {"increase", 10.0, 1.5, 1e300},
    {"max_damping", 1e10, 1e-300, 1e20},
    {"min_gradient", 1e-7, 0.0, 1e300},
    {"memory", 10, 1, 12},
    {"max_evaluations", 20, 1, 25},
    {"c1", 1e-4, 1e-12, 0.4},
    {"c2", 0.9, 0.5, 0.999999},
    {"sigma", 5e-5, 1e-300, 1e300},
    {"lambda", 5e-7, 1e-300, 1e300},
    {"mu", 1.75, 1e-300, 1e300},
    {"decay", 1e-4, 0.0, 1e300},
    {"batch_size", 0, 0, 0}, /* see below */
    {"shuffle", 1, 0, 1},
    {"clip_norm", 0.0, 0.0, 1e300},
    {"clip_value", 0.0, 0.0, 1e300},
    {"power", 0.5, 1e-300, 1e300},
    {"factor", 0.5, 1e-300, 0.999999},
    {"minimum", 0.0, 0.0, 1.0},
    {"threshold", 1e-4, 0.0, 1e300},
    {"epochs", 3, 1, 6},
    {"warmup", 0, 0, 5},
};

static double option(struct input *in, const char *name, const char *type)
{
    for (size_t i = 0; i < sizeof RANGES / sizeof *RANGES; i++) {
        const struct range *r = &RANGES[i];
        if (strcmp(name, r->name) != 0)
            continue;
        if (strcmp(type, "double") != 0)
            return seldom(in, 2) ? floor(r->low + (double)at_most(in, (size_t)(r->high - r->low)))
                                 : r->usual;
        return seldom(in, 3) ? between(in, r->low, r->high) : r->usual;
    }
    abort(); /* an option that has no row */
}

#define SET_OPTION(at, type, name) HOLDS(mlp_option_set(o, #name, option(in, #name, #type)));
#define SET_SCHEDULE(at, type, name)                                                               \
    HOLDS(mlp_schedule_set(&o->schedule, #name, option(in, #name, #type)));
#define OPTIONS(identifier, name, group, shared)                                                   \
    case MLP_##identifier:                                                                         \
        MLP_##identifier##_OPTIONS(SET_OPTION, ) MLP_##shared##_OPTIONS(SET_OPTION, ) break;

static void options(struct input *in, const struct subject *s, size_t n, struct mlp_fit_options *o)
{
    memset(o, 0, sizeof *o);
    o->solver = (enum mlp_solver)at_most(in, MLP_QUICKPROP);
    switch (o->solver) {
        MLP_SOLVERS(OPTIONS)
    }
    MLP_SCHEDULE_OPTIONS(SET_SCHEDULE, )
    HOLDS(!mlp_option_set(o, "no such option", 1.0));
    o->tol = seldom(in, 4) ? between(in, 0.0, 1e6) : 0.0;
    o->goal = seldom(in, 6) ? between(in, 0.0, 1e3) : -(double)INFINITY;
    o->n_threads = 1;
    o->stream = (struct mlp_stream){{byte(in), byte(in)}, byte(in)};
    if (o->solver == MLP_GRADIENT_DESCENT || o->solver == MLP_ADAM) {
        o->batch_size = seldom(in, 2) ? from_to(in, 1, n) : 0;
        o->mean = o->batch_size > 0 && seldom(in, 3);
        if (o->mean)
            o->clip_norm = o->clip_value = 0.0;
        if (seldom(in, 3))
            o->schedule.kind = (enum mlp_schedule_kind)at_most(in, MLP_PLATEAU);
        if (o->schedule.kind == MLP_COSINE && o->schedule.warmup >= o->schedule.epochs)
            o->schedule.warmup = o->schedule.epochs - 1;
        double *rate = o->solver == MLP_ADAM ? &o->adam.learning_rate : &o->descent.learning_rate;
        if (o->schedule.minimum > *rate)
            o->schedule.minimum = *rate;
    } else {
        o->batch_size = 0;
    }
    if (o->solver == MLP_RPROP) {
        struct mlp_rprop *r = &o->rprop;
        r->delta_min = fmin(r->delta_min, r->delta_max);
    }
    if (o->solver == MLP_LEVENBERG_MARQUARDT) {
        struct mlp_levenberg *l = &o->levenberg;
        if (s->loss != MLP_SQUARED_ERROR)
            l->geodesic = l->bayesian = 0;
        if (l->bayesian) {
            l->rule = MLP_FIXED;
            l->diagonal = l->geodesic = 0;
        }
    }
}

/* What the solver's class refuses. */
static int takes(const struct subject *s, const struct mlp_fit_options *o)
{
    if (o->solver != MLP_LEVENBERG_MARQUARDT)
        return 1;
    return s->P <= MOST_SQUARED && (s->loss == MLP_SQUARED_ERROR || s->loss == MLP_CROSS_ENTROPY ||
                                    s->loss == MLP_BINARY_CROSS_ENTROPY || s->loss == MLP_POISSON);
}

/* ---- one fit ---- */

/* A fit to be made several times: what it is about, and how it is cut. */
struct training {
    const struct mlp_kernels *kernels;
    const struct subject *s;
    struct mlp_fit_options options;
    const struct array *x, *y, *xv, *yv, *weights_v; /* the validation's are NULL without one */
    size_t n, nv, epochs, patience;
};

enum { KINDS = 4 };
struct outcome {
    double *parameters, history[KINDS][MOST_EPOCHS], cost, validation;
    size_t epochs, evaluations;
    uint64_t position;
    enum mlp_event event;
    struct mlp_array arrays[MLP_MAX_ARRAYS]; /* copies */
    size_t n_arrays;
    struct mlp_stream stream;
    double best[2];
    int complete;
};

static void outcome_free(struct outcome *o)
{
    free(o->parameters);
    for (size_t i = 0; i < o->n_arrays; i++)
        free(o->arrays[i].data);
}

static void keep(struct mlp_fit *fit, struct outcome *o)
{
    struct mlp_fit_report r;
    mlp_fit_describe(fit, &r);
    HOLDS(r.n_arrays <= MLP_MAX_ARRAYS && r.epochs == o->epochs);
    HOLDS(o->event != MLP_OWN || r.reason != NULL);
    o->n_arrays = r.n_arrays;
    o->stream = r.stream;
    memcpy(o->best, r.best, sizeof r.best);
    for (size_t i = 0; i < r.n_arrays; i++)
        o->arrays[i] = (struct mlp_array){r.arrays[i].name, copied(r.arrays[i].data, r.arrays[i].n),
                                          r.arrays[i].n};
}

/* Up to epoch `until` in portions of so much work; from other arrays, when they are given, after so many
 * epochs. 0 where memory ran out or the arrays were refused: the parameters are as they were. */
static int fitted(const struct training *t, size_t until, size_t n_threads, double work,
                  size_t capacity, const struct outcome *from, struct outcome *o)
{
    static double unused[MOST_EPOCHS];
    memset(o, 0, sizeof *o);
    o->parameters = copied(t->s->parameters, t->s->P);
    struct mlp_network *net = built(t->s, t->kernels, o->parameters);
    struct mlp_fit *fit = NULL;
    struct mlp_fit_options options = t->options;
    options.n_threads = n_threads;
    if (from != NULL)
        options.stream = from->stream;
    enum mlp_status status = MLP_NO_MEMORY;
    if (net != NULL)
        status = mlp_fit_new(&fit, net, &t->x->matrix, &t->y->matrix, t->n, &options);
    if (status == MLP_OK && t->nv > 0) {
        double best[2] = {(double)INFINITY, 0.0};
        if (from != NULL) {
            best[0] = from->best[0];
            best[1] = from->best[1] - (double)from->epochs;
        }
        status =
            mlp_fit_validate(fit, &t->xv->matrix, &t->yv->matrix,
                             t->weights_v ? &t->weights_v->matrix : NULL, t->nv, t->patience, best);
    }
    HOLDS(status == MLP_OK || status == MLP_NO_MEMORY || status == MLP_TOO_LARGE);
    settle();
    if (status == MLP_OK && from != NULL) {
        if (mlp_fit_resume(fit, from->arrays, from->n_arrays, from->epochs) != NULL)
            status = MLP_TOO_LARGE;
        else
            o->epochs = from->epochs;
    }
    if (status != MLP_OK) {
        HOLDS(same(o->parameters, t->s->parameters, t->s->P));
        mlp_fit_free(fit);
        mlp_network_free(net);
        return 0;
    }
    o->event = MLP_EPOCH;
    for (int calls = 0; o->epochs < until; calls++) {
        HOLDS(calls < MOST_CALLS);
        size_t recorded = 0;
        const size_t e = o->epochs;
        const struct mlp_history h = {o->history[0] + e, o->history[1] + e, o->history[2] + e,
                                      o->history[3] + e, unused + e};
        const size_t room = until - e < capacity ? until - e : capacity;
        o->event = mlp_fit_run(fit, until, work, room, &h, &recorded);
        HOLDS(recorded <= room);
        o->epochs += recorded;
        if (o->event != MLP_PAUSED && o->event != MLP_EPOCH)
            break;
    }
    keep(fit, o);
    o->evaluations = mlp_fit_evaluations(fit);
    o->position = mlp_fit_position(fit);
    (void)mlp_fit_largest_gradient(fit);
    (void)mlp_fit_settled(fit);
    for (int calls = 0; !mlp_fit_finish(fit, work, &o->cost, &o->validation); calls++)
        HOLDS(calls < MOST_CALLS);
    settle();
    for (size_t j = 0; j < t->s->P; j++) /* no fit leaves others than it was given */
        HOLDS(from != NULL || isfinite(o->parameters[j]));
    mlp_fit_free(fit);
    mlp_network_free(net);
    return 1;
}

static void same_outcome(const struct training *t, const struct outcome *a, const struct outcome *b,
                         size_t since)
{
    HOLDS(a->event == b->event && a->epochs == b->epochs);
    for (int k = 0; k < KINDS; k++)
        HOLDS(a->epochs <= since ||
              same(a->history[k] + since, b->history[k] + since, a->epochs - since));
    HOLDS(same(a->parameters, b->parameters, t->s->P));
    HOLDS(same(&a->cost, &b->cost, 1) && same(&a->validation, &b->validation, 1));
    HOLDS(a->n_arrays == b->n_arrays);
    for (size_t i = 0; i < a->n_arrays; i++)
        HOLDS(a->arrays[i].n == b->arrays[i].n &&
              same(a->arrays[i].data, b->arrays[i].data, a->arrays[i].n));
}

/* Arrays that no fit reported. */
static void spoil(struct input *in, struct outcome *o)
{
    for (size_t k = from_to(in, 1, 3); k > 0 && o->n_arrays > 0; k--) {
        struct mlp_array *a = &o->arrays[at_most(in, o->n_arrays - 1)];
        switch (at_most(in, 5)) {
        case 0:
            a->name = "something else";
            break;
        case 1: { /* shorter */
            double *rest = copied(a->data, a->n / 2);
            free(a->data);
            a->data = rest;
            a->n /= 2;
            break;
        }
        case 2:
            free(a->data);
            *a = o->arrays[--o->n_arrays];
            break;
        default:
            if (a->n > 0)
                a->data[byte(in) % a->n] =
                    seldom(in, 3) ? (byte(in) & 1 ? (double)INFINITY : (double)NAN) : number(in);
            break;
        }
    }
}

static void fits(struct input *in, struct training *t)
{
    struct outcome whole, cut, first, second;
    t->epochs = from_to(in, 1, MOST_EPOCHS);
    const size_t stop = from_to(in, 1, t->epochs), n_threads = from_to(in, 1, 3);
    const double work = seldom(in, 2) ? 1.0 : 1e4;
    const size_t capacity = from_to(in, 1, 3);
    const unsigned what = byte(in);
    run_out(in);
    if (!fitted(t, t->epochs, 1, INFINITY, MOST_EPOCHS, NULL, &whole)) {
        outcome_free(&whole);
        return;
    }
    if (what % 3 == 0) {
        HOLDS(fitted(t, t->epochs, n_threads, work, capacity, NULL, &cut));
        HOLDS(cut.evaluations == whole.evaluations && cut.position == whole.position);
        same_outcome(t, &whole, &cut, 0);
        outcome_free(&cut);
    } else {
        HOLDS(fitted(t, stop, n_threads, INFINITY, MOST_EPOCHS, NULL, &first));
        if (first.event == MLP_EPOCH && first.epochs == stop) {
            if (what % 3 == 1) {
                HOLDS(fitted(t, t->epochs, 1, work, capacity, &first, &second));
                if (stop < t->epochs)
                    same_outcome(t, &whole, &second, stop);
            } else {
                spoil(in, &first);
                run_out(in);
                fitted(t, t->epochs, n_threads, work, capacity, &first, &second);
            }
            outcome_free(&second);
        }
        outcome_free(&first);
    }
    outcome_free(&whole);
}

/* ---- from outside ---- */

/* Other instances, other rates, as the estimators do it. */
static void replaced(struct input *in, const struct training *t)
{
    double *parameters = copied(t->s->parameters, t->s->P);
    struct mlp_network *net = built(t->s, t->kernels, parameters);
    struct mlp_fit_options o = t->options;
    struct mlp_fit *fit = NULL;
    size_t *order = memory(t->n * sizeof *order), recorded;
    for (size_t i = 0; i < t->n; i++)
        order[i] = (size_t)(random_bits(in) % t->n);
    o.shuffle = 0;
    o.schedule.kind = MLP_CONSTANT;
    o.batch_size = o.batch_size ? o.batch_size : 1;
    o.order = order;
    HOLDS(net != NULL);
    if (mlp_fit_new(&fit, net, &t->x->matrix, &t->y->matrix, t->n, &o) == MLP_OK) {
        double room[5][MOST_EPOCHS];
        const struct mlp_history h = {room[0], room[1], room[2], room[3], room[4]};
        size_t epochs = 0;
        for (size_t k = from_to(in, 1, 4); k > 0; k--) {
            const double work = seldom(in, 2) ? 1.0 : (double)INFINITY;
            const enum mlp_event event =
                mlp_fit_run(fit, epochs + from_to(in, 1, 3), work, 3, &h, &recorded);
            epochs += recorded;
            if (event != MLP_PAUSED && event != MLP_EPOCH)
                break;
            if (seldom(in, 2))
                mlp_fit_set_rate(fit, between(in, 1e-300, 1e300));
            if (seldom(in, 2) && t->nv > 0)
                (void)mlp_fit_replace(fit, &t->xv->matrix, &t->yv->matrix,
                                      t->weights_v ? &t->weights_v->matrix : NULL, t->nv, NULL);
        }
        for (size_t j = 0; j < t->s->P; j++)
            HOLDS(isfinite(parameters[j]));
    }
    settle();
    mlp_fit_free(fit);
    mlp_network_free(net);
    free(parameters);
    free(order);
}

/* Steps; another trainer that goes on from what the first one remembers takes the same ones. */
static void trained(struct input *in, const struct training *t)
{
    double *parameters = copied(t->s->parameters, t->s->P), *others = NULL, cost, again;
    struct mlp_network *net = built(t->s, t->kernels, parameters), *twin = NULL;
    struct mlp_trainer *one = NULL, *two = NULL;
    struct mlp_fit_options o = t->options;
    o.batch_size = 0;
    o.mean = 0;
    o.problem.weights = NULL;
    if (o.schedule.kind == MLP_PLATEAU)
        o.schedule.kind = MLP_CONSTANT;
    double *own = copied(t->s->parameters, t->s->P);
    HOLDS(net != NULL);
    run_out(in);
    const enum mlp_status status = mlp_trainer_new(&one, net, &o, from_to(in, 1, 3));
    settle();
    int set = 0; /* whether the rate has been */
    const size_t steps = from_to(in, 1, 6), parting = at_most(in, steps);
    for (size_t k = 0; status == MLP_OK && k < steps; k++) {
        if (k == parting) {
            struct mlp_array arrays[MLP_MAX_ARRAYS];
            const size_t n_arrays = mlp_trainer_describe(one, arrays);
            HOLDS(n_arrays <= MLP_MAX_ARRAYS);
            others = copied(t->s->parameters, t->s->P);
            twin = built(t->s, t->kernels, others);
            HOLDS(mlp_trainer_new(&two, twin, &o, 1) == MLP_OK);
            mlp_trainer_set_position(two, mlp_trainer_position(one));
            HOLDS(mlp_trainer_resume(two, arrays, n_arrays) == NULL);
            HOLDS(same(parameters, others, t->s->P));
            if (set)
                mlp_trainer_set_rate(two, mlp_trainer_rate(one));
            const double rate = mlp_trainer_rate(one), other = mlp_trainer_rate(two);
            HOLDS(same(&rate, &other, 1));
        }
        const size_t n = from_to(in, 1, t->n);
        if (n % 3 == 0) { /* from outside */
            set |= n % 2 == 0;
            if (n % 2 == 0)
                mlp_trainer_set_rate(one, 1e-3 * (double)n);
            if (n % 2 == 0 && two != NULL)
                mlp_trainer_set_rate(two, 1e-3 * (double)n);
            mlp_trainer_apply(one, own);
            if (two != NULL)
                mlp_trainer_apply(two, own);
            HOLDS(two == NULL || same(parameters, others, t->s->P));
        }
        const struct mlp_matrix *w = seldom(in, 3) && t->weights_v ? &t->weights_v->matrix : NULL;
        if (w != NULL && n > t->nv)
            w = NULL;
        cost = 1.5;
        run_out(in);
        const enum mlp_status step =
            mlp_trainer_step(one, &t->x->matrix, &t->y->matrix, w, n, &cost);
        settle();
        if (step != MLP_OK) {
            HOLDS(cost == 1.5);
            break;
        }
        if (two != NULL) {
            HOLDS(mlp_trainer_step(two, &t->x->matrix, &t->y->matrix, w, n, &again) == MLP_OK);
            HOLDS(same(&cost, &again, 1) && same(parameters, others, t->s->P));
            HOLDS(mlp_trainer_position(one) == mlp_trainer_position(two));
        }
    }
    mlp_trainer_free(one);
    mlp_trainer_free(two);
    mlp_network_free(net);
    mlp_network_free(twin);
    free(parameters);
    free(others);
    free(own);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size, 1};
    struct subject s;
    struct training t = {.kernels = isa(&in), .s = &s};
    const unsigned what = byte(&in);
    if (!subject(&in, t.kernels, MOST_PARAMETERS, 0, &s))
        return 0;
    t.n = seldom(&in, 6) ? from_to(&in, 1, 200) : from_to(&in, 1, 20);
    const int wild = seldom(&in, 4), stepped = what % 4 == 3;
    options(&in, &s, t.n, &t.options);
    t.nv = seldom(&in, 2) ? from_to(&in, 1, 20) : 0;
    t.patience = seldom(&in, 2) ? from_to(&in, 1, 3) : 0;
    struct array x = array(&in, t.n, s.layers[0], ANY, 0, wild), y = targets(&in, &s, t.n, wild);
    struct array weights = array(&in, t.n, 1, POSITIVE, 0, 0);
    struct array xv = array(&in, t.nv ? t.nv : 1, s.layers[0], ANY, 0, wild);
    struct array yv = targets(&in, &s, t.nv ? t.nv : 1, wild);
    struct array weights_v = array(&in, t.nv ? t.nv : 1, 1, POSITIVE, 0, 0);
    t.x = &x;
    t.y = &y;
    t.xv = &xv;
    t.yv = &yv;
    t.weights_v = seldom(&in, 2) ? &weights_v : NULL;
    t.options.problem.weights = seldom(&in, 3) ? &weights.matrix : NULL;
    const int bayesian =
        t.options.solver == MLP_LEVENBERG_MARQUARDT && t.options.levenberg.bayesian;
    if (t.options.solver != MLP_LEVENBERG_MARQUARDT)
        t.options.problem.l1 = seldom(&in, 4) ? between(&in, 0.0, 1e300) : 0.0;
    if (!bayesian)
        t.options.problem.l2 = seldom(&in, 4) ? between(&in, 0.0, 1e300) : 0.0;
    const int first = t.options.solver == MLP_GRADIENT_DESCENT || t.options.solver == MLP_ADAM;
    double dropout[MOST_LAYERS];
    if (first && s.L > 1 && seldom(&in, 4)) {
        for (size_t l = 0; l + 1 < s.L; l++)
            dropout[l] = between(&in, 0.0, 0.99);
        t.options.problem.dropout = dropout;
    }
    if (takes(&s, &t.options)) {
        if (stepped && first && what % 8 == 3)
            replaced(&in, &t);
        else if (stepped && first)
            trained(&in, &t);
        else
            fits(&in, &t);
    }
    array_free(&x);
    array_free(&y);
    array_free(&weights);
    array_free(&xv);
    array_free(&yv);
    array_free(&weights_v);
    subject_free(&s);
    return 0;
}
