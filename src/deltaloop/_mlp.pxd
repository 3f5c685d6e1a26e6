"""csrc/mlp.h for Cython: what _core.pyx takes of it, without its contracts.

What mlp.h lists, such as activations and the options of solvers, is not repeated: it is asked for by name.
"""

from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "mlp.h" nogil:
    ctypedef enum mlp_status "enum mlp_status":
        MLP_OK
        MLP_NO_MEMORY
        MLP_STOPPED
        MLP_TOO_LARGE

    ctypedef enum mlp_activation "enum mlp_activation":
        pass
    ctypedef enum mlp_loss "enum mlp_loss":
        pass
    ctypedef enum mlp_function "enum mlp_function":
        pass
    ctypedef enum mlp_solver "enum mlp_solver":
        pass
    ctypedef enum mlp_schedule_kind "enum mlp_schedule_kind":
        pass
    ctypedef enum mlp_event "enum mlp_event":
        MLP_PAUSED

    ctypedef enum mlp_dtype "enum mlp_dtype":
        MLP_FLOAT64
        MLP_FLOAT32
        MLP_INT8
        MLP_INT16
        MLP_INT32
        MLP_INT64
        MLP_UINT8
        MLP_UINT16
        MLP_UINT32
        MLP_UINT64

    ctypedef enum mlp_kind "enum mlp_kind":
        MLP_VALUES
        MLP_LABELS
        MLP_GAPS
        MLP_SLOPES

    ctypedef struct mlp_blocks "struct mlp_blocks":
        int (*next)(void *context, size_t row) noexcept nogil
        void *context
        size_t first
        size_t end
        size_t at
        size_t places

    ctypedef struct mlp_matrix "struct mlp_matrix":
        const char *data
        ptrdiff_t row_stride
        ptrdiff_t column_stride
        size_t columns
        mlp_dtype dtype
        mlp_kind kind
        const double *offset
        const double *scale
        const size_t *rows
        const int64_t *starts
        const uint32_t *places
        mlp_blocks *blocks

    ctypedef struct mlp_stream "struct mlp_stream":
        uint64_t key[2]
        uint64_t position

    ctypedef struct mlp_problem "struct mlp_problem":
        const mlp_matrix *weights
        double l1
        double l2
        const double *dropout

    ctypedef enum mlp_sum "enum mlp_sum":
        MLP_SUM_COST
        MLP_SUM_GRADIENT
        MLP_SUM_JACOBIAN
    ctypedef struct mlp_request "struct mlp_request":
        mlp_sum kind
        int validation
        const double *parameters
        size_t n
        const size_t *order
        size_t begin
        const mlp_stream *masks
    ctypedef struct mlp_elsewhere "struct mlp_elsewhere":
        int (*sum)(void *, const mlp_request *, double *, double *) noexcept
        int (*rows)(void *, const size_t *, size_t, size_t, mlp_matrix *, mlp_matrix *,
                    mlp_matrix *, size_t *) noexcept
        void *context
        double observed
    ctypedef struct mlp_piece "struct mlp_piece":
        pass
    enum:
        MLP_MAX_NODES

    ctypedef struct mlp_schedule "struct mlp_schedule":
        mlp_schedule_kind kind

    ctypedef struct mlp_fit_options "struct mlp_fit_options":
        mlp_problem problem
        double tol
        double goal
        size_t most
        size_t n_threads
        mlp_stream stream
        const size_t *order
        int mean
        const mlp_elsewhere *elsewhere
        mlp_solver solver
        size_t batch_size
        int shuffle
        mlp_schedule schedule

    ctypedef struct mlp_history "struct mlp_history":
        double *cost
        double *validation
        double *rate
        double *norm
        double *seconds

    ctypedef struct mlp_array "struct mlp_array":
        const char *name
        double *data
        size_t n

    enum:
        MLP_MAX_ARRAYS

    ctypedef struct mlp_fit_report "struct mlp_fit_report":
        size_t epochs
        double initial_cost
        double cost
        double gradient_norm
        mlp_stream stream
        const char *reason
        double validation
        double best[2]
        size_t row
        uint64_t epoch_position
        size_t n_arrays
        mlp_array arrays[MLP_MAX_ARRAYS]

    ctypedef struct mlp_target_survey "struct mlp_target_survey":
        double lowest
        double highest
        double least
        double mean
        int vanishing
    ctypedef struct mlp_health "struct mlp_health":
        size_t saturated
        int constant
        int vary

    ctypedef struct mlp_kernels "struct mlp_kernels":
        pass
    ctypedef struct mlp_network "struct mlp_network":
        pass
    ctypedef struct mlp_predictor "struct mlp_predictor":
        pass
    ctypedef struct mlp_trainer "struct mlp_trainer":
        pass
    ctypedef struct mlp_fit "struct mlp_fit":
        pass

    const char *mlp_activation_name(size_t i)
    const char *mlp_loss_name(size_t i)
    const char *mlp_function_name(size_t i)
    const char *mlp_solver_name(size_t i)
    const char *mlp_schedule_name(size_t i)
    const char *mlp_damping_name(size_t i)
    const char *mlp_event_name(size_t i)

    const mlp_kernels *mlp_isa(size_t i)
    const char *mlp_isa_name(const mlp_kernels *kernels)
    int mlp_isa_supported(const mlp_kernels *kernels)
    const mlp_kernels *mlp_isa_best()
    void mlp_vector_math(const mlp_kernels *, mlp_function, size_t, const double *, double *)

    mlp_status mlp_network_new(mlp_network **, const mlp_kernels *, size_t, const size_t *,
                               const mlp_activation *, mlp_loss)
    void mlp_network_free(mlp_network *)
    size_t mlp_network_n_parameters(const mlp_network *)
    void mlp_network_set_loss_parameter(mlp_network *, double)
    size_t mlp_network_set_residual(mlp_network *)
    void mlp_network_set_parameters(mlp_network *, double *)
    size_t MLP_SCALING(size_t, size_t)
    void mlp_network_set_scaling(mlp_network *, const double *)
    void mlp_network_set_tuning(mlp_network *, size_t, double)
    void mlp_network_set_poll(mlp_network *, int (*)() noexcept)
    void mlp_network_set_kernels(mlp_network *, const mlp_kernels *)
    mlp_status mlp_predict(const mlp_network *, const mlp_matrix *, size_t, int, size_t,
                           double *)
    int mlp_predict_shares(const mlp_network *, size_t)
    mlp_status mlp_predict_row(const mlp_network *, const double *, double *)
    mlp_status mlp_activations(const mlp_network *, const mlp_matrix *, size_t, double **)
    mlp_status mlp_objective(const mlp_network *, const mlp_problem *, const mlp_matrix *,
                             const mlp_matrix *, size_t, size_t, double *, double *)
    ctypedef struct mlp_evaluation "struct mlp_evaluation":
        pass
    mlp_status mlp_evaluation_new(mlp_evaluation **, const mlp_network *, const mlp_problem *,
                                  const mlp_matrix *, const mlp_matrix *, size_t, size_t, double *)
    int mlp_evaluation_advance(mlp_evaluation *, double, double *)
    void mlp_evaluation_free(mlp_evaluation *)
    size_t mlp_chains(const mlp_network *, mlp_sum, size_t)
    size_t mlp_chain_begin(size_t, size_t, size_t)
    size_t mlp_chain_size(const mlp_network *, mlp_sum)
    size_t mlp_node_size(const mlp_network *, mlp_sum)
    void mlp_node_add(const mlp_network *, mlp_sum, const double *, double *)
    mlp_status mlp_piece_new(mlp_piece **, const mlp_network *, const mlp_problem *,
                             const mlp_matrix *, const mlp_matrix *, size_t, size_t, size_t, size_t)
    void mlp_piece_free(mlp_piece *)
    mlp_status mlp_piece_start(mlp_piece *, mlp_sum, const double *, const mlp_stream *,
                               const double *)
    bint mlp_piece_advance(mlp_piece *, double)
    size_t mlp_piece_nodes(const mlp_piece *, mlp_sum, size_t *, size_t *, int *)
    void mlp_piece_read(const mlp_piece *, double *, double *)
    mlp_status mlp_jacobian(const mlp_network *, const mlp_matrix *, size_t, int, double *)
    mlp_status mlp_input_gradient(const mlp_network *, const mlp_matrix *, const mlp_matrix *,
                                  const mlp_matrix *, size_t, size_t, double *)
    size_t mlp_column_sums(const mlp_matrix *, const mlp_matrix *, size_t, const double *,
                           const double *, double *, double *, double *, double *)
    mlp_status mlp_find_nonfinite(const mlp_kernels *, const mlp_matrix *, size_t, size_t *)

    mlp_status mlp_predictor_new(mlp_predictor **, const mlp_network *, size_t, void *)
    void mlp_predictor_free(mlp_predictor *)
    void *mlp_predictor_owner(const mlp_predictor *)
    void mlp_predictor_call(const double *, double *, void *)
    double mlp_predictor_scalar(int, double *, void *)

    int mlp_option_set(mlp_fit_options *, const char *, double)
    int mlp_schedule_set(mlp_schedule *, const char *, double)

    mlp_status mlp_trainer_new(mlp_trainer **, mlp_network *, const mlp_fit_options *,
                               size_t)
    void mlp_trainer_free(mlp_trainer *)
    void mlp_trainer_apply(mlp_trainer *, const double *gradient) noexcept
    double mlp_trainer_rate(const mlp_trainer *) noexcept
    void mlp_trainer_set_rate(mlp_trainer *, double rate) noexcept
    mlp_status mlp_trainer_step(mlp_trainer *, const mlp_matrix *, const mlp_matrix *,
                                const mlp_matrix *, size_t, double *)
    uint64_t mlp_trainer_position(const mlp_trainer *)
    size_t mlp_trainer_describe(mlp_trainer *, mlp_array *)
    const char *mlp_trainer_resume(mlp_trainer *, const mlp_array *, size_t)
    void mlp_trainer_set_position(mlp_trainer *, uint64_t)

    mlp_status mlp_fit_new(mlp_fit **, mlp_network *, const mlp_matrix *, const mlp_matrix *,
                           size_t, const mlp_fit_options *)
    void mlp_fit_free(mlp_fit *)
    mlp_status mlp_fit_validate(mlp_fit *, const mlp_matrix *, const mlp_matrix *,
                                const mlp_matrix *, size_t, size_t, const double *)
    mlp_event mlp_fit_run(mlp_fit *, size_t, double, size_t, const mlp_history *, size_t *)
    void mlp_fit_describe(mlp_fit *, mlp_fit_report *)
    const char *mlp_fit_resume(mlp_fit *, const mlp_array *, size_t, size_t)
    size_t mlp_fit_row(mlp_fit *)
    void mlp_fit_seek(mlp_fit *, int)
    int mlp_fit_enter(mlp_fit *, size_t, uint64_t)
    uint64_t mlp_fit_position(const mlp_fit *)
    void mlp_fit_set_rate(mlp_fit *, double)
    bint mlp_fit_replace(mlp_fit *, const mlp_matrix *, const mlp_matrix *, const mlp_matrix *,
                         size_t, const size_t *)
    size_t mlp_fit_evaluations(const mlp_fit *)
    double mlp_fit_largest_gradient(const mlp_fit *)
    int mlp_fit_settled(const mlp_fit *)
    int mlp_fit_finish(mlp_fit *, double, double *, double *)
    void mlp_fit_sample(mlp_fit *, const mlp_matrix *, const mlp_matrix *, const mlp_matrix *, size_t)
    mlp_status mlp_fit_targets(mlp_fit *, mlp_target_survey *)
    mlp_status mlp_fit_health(mlp_fit *, mlp_health *)

    void mlp_random_uniform(mlp_stream *, double, double, size_t, double *)
    void mlp_random_range(mlp_stream *, double, double, size_t, double *)
    void mlp_random_nguyen_widrow(mlp_stream *, double, size_t, size_t, double *, double *)
    void mlp_random_normal(mlp_stream *, const mlp_kernels *, double, double, size_t, double *)
    size_t mlp_random_shuffle(mlp_stream *, size_t, size_t, size_t *)
    size_t MLP_SHUFFLED(size_t)
