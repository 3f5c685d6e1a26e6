/* names.c - the names that mlp.h lists, by the values of their enumerators. */
#include "mlp.h"

#define NAME(identifier, name) name,
#define COUNT(names) (sizeof(names) / sizeof *(names))

static const char *const activations[] = {MLP_ACTIVATIONS(NAME)};
static const char *const losses[] = {MLP_LOSSES(NAME)};
static const char *const functions[] = {MLP_FUNCTIONS(NAME)};

const char *mlp_activation_name(size_t i) { return i < COUNT(activations) ? activations[i] : NULL; }
const char *mlp_loss_name(size_t i) { return i < COUNT(losses) ? losses[i] : NULL; }
const char *mlp_function_name(size_t i) { return i < COUNT(functions) ? functions[i] : NULL; }
