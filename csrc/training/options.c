/* options.c - solvers, schedules, damping rules and events by their names, and options by theirs: all of
 * it follows from the lists in mlp.h. */
#include "mlp.h"

#include <string.h>

#define NAME(identifier, name) name,
#define SOLVER_NAME(identifier, name, group, shared) name,
#define COUNT(names) (sizeof(names) / sizeof *(names))

static const char *const solvers[] = {MLP_SOLVERS(SOLVER_NAME)};
static const char *const schedules[] = {MLP_SCHEDULES(NAME)};
static const char *const damping_rules[] = {MLP_DAMPING_RULES(NAME)};
static const char *const events[] = {MLP_EVENTS(NAME)};

const char *mlp_solver_name(size_t i) { return i < COUNT(solvers) ? solvers[i] : NULL; }
const char *mlp_schedule_name(size_t i) { return i < COUNT(schedules) ? schedules[i] : NULL; }
const char *mlp_damping_name(size_t i)
{
    return i < COUNT(damping_rules) ? damping_rules[i] : NULL;
}
const char *mlp_event_name(size_t i) { return i < COUNT(events) ? events[i] : NULL; }

#define SET(at, type, option)                                                                      \
    if (strcmp(name, #option) == 0) {                                                              \
        (at).option = (type)value;                                                                 \
        return 1;                                                                                  \
    }
#define OWN_AND_SHARED(identifier, text, group, shared)                                            \
    case MLP_##identifier:                                                                         \
        MLP_##identifier##_OPTIONS(SET, options->group);                                           \
        MLP_##shared##_OPTIONS(SET, *options);                                                     \
        break;

int mlp_option_set(struct mlp_fit_options *options, const char *name, double value)
{
    switch (options->solver) {
        MLP_SOLVERS(OWN_AND_SHARED)
    }
    return 0;
}

int mlp_schedule_set(struct mlp_schedule *schedule, const char *name, double value)
{
    MLP_SCHEDULE_OPTIONS(SET, *schedule)
    return 0;
}
