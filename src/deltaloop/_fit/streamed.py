"""A fit to instances that are read block by block: what it takes, and what it refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from deltaloop import _core
from deltaloop._arguments import gaps as _gaps
from deltaloop._arguments.problem import Problem
from deltaloop._blocks import kinds as _kinds
from deltaloop._blocks.opened import Opened
from deltaloop._fit import choice as _choice
from deltaloop._fit.arguments import NO_VALIDATION, Validation, check_validation
from deltaloop._fit.stages import Course
from deltaloop.solvers import Solver

# Why no penalty is searched for.
REASON = "X is read block by block"


def takes(kind: _kinds.Kind, course: Course, validation: object) -> bool:
    """Whether a fit reads X block by block, which no array in memory must be."""
    if kind.reader != "Mapped":
        return True
    whole = not course.solvers or any(_shuffles(solver) for solver in course.solvers)
    return not whole and (validation is None or isinstance(validation, tuple | list))


def _shuffles(solver: Solver) -> bool:
    """Whether it draws rows from everywhere."""
    return solver.batch_size is not None and solver.shuffle is True


@contextmanager
def opened(
    course: Course,
    kind: _kinds.Kind,
    X: object,
    Y: object,
    problem: Problem,
    *,
    sample_weight: object,
    class_weight: object,
    validation: object,
    patience: object,
    skip: bool,
    check_finite: bool,
) -> Iterator[None]:
    """Fill in a course with what is read, as long as the context lasts."""
    network = course.network
    for solver in course.solvers:
        if _shuffles(solver):
            raise ValueError(
                f"{type(solver).__name__}(shuffle=True) draws rows from everywhere in X, which is "
                f"{kind.named}, read in order; use shuffle='blocks', which shuffles within blocks "
                "of rows, or shuffle=False"
            )
    if validation is not None and not isinstance(validation, tuple | list):
        raise ValueError(
            f"validation={validation!r} sets rows aside at random, and X, {kind.named}, is read in "
            "order; give validation=(X, Y), arrays or data that are read in blocks as well"
        )
    if course.kind is not None and skip:
        raise ValueError(
            "scale and missing_targets='skip' go together only where X lies in memory; give the "
            "network its scaling before: network.scaling = deltaloop.Scaling(...)"
        )
    blockwise = not course.solvers or any(s.shuffle == "blocks" for s in course.solvers)
    unit = _core.shuffled_rows(network.layers[0]) if blockwise else 1
    with ExitStack() as stack:
        data = stack.enter_context(
            Opened(
                kind,
                network,
                X,
                Y,
                sample_weight=sample_weight,
                class_weight=class_weight,
                skip=skip,
                check_finite=check_finite,
                threads=course.threads,
                unit=unit,
            )
        )
        course.x, course.y, course.labels = data.x, data.y, data.labels  # type: ignore[assignment]
        course.missing, course.streamed, course.sources = data.missing, data, (data,)
        course.watch = watch(course, stack, validation, patience, skip, check_finite)
        if skip and not course.missing and course.watch.given is not None:
            course.missing = course.watch.given[1].ndim > 1 and _gaps.has(course.watch.given[1])
        if course.missing and class_weight is not None:
            raise ValueError(
                "class_weight needs all targets, got missing ones with missing_targets='skip'; "
                "give sample_weight"
            )
        targets = _core.GAPS if course.missing else 0
        course.problem = problem._replace(weights=data.weights, targets=targets)
        yield


def watch(
    course: Course,
    stack: ExitStack,
    validation: object,
    patience: object,
    skip: bool,
    check_finite: bool,
) -> Validation:
    """Return the validation of such a fit: arrays, or what is read block by block itself."""
    if validation is None and patience is None:
        return NO_VALIDATION
    network, n = course.network, course.n
    if isinstance(validation, tuple | list) and len(validation) in (2, 3):
        kind = _kinds.find(validation[0], validation[1], ("validation[0]", "validation[1]"))
        if kind is not None:
            check_validation(network, 0.5, patience, 4, check_finite, skip)  # of patience alone
            data = stack.enter_context(
                Opened(
                    kind,
                    network,
                    validation[0],
                    validation[1],
                    sample_weight=validation[2] if len(validation) == 3 else None,
                    name="validation[0]",
                    y_name="validation[1]",
                    skip=skip,
                    check_finite=check_finite,
                    threads=course.threads,
                )
            )
            course.sources = (*course.sources, data)
            if data.missing:
                course.missing = True
            most = 0 if patience is None else int(patience)  # type: ignore[call-overload]
            return Validation((data.x, data.y, data.labels, data.weights), 0, most)  # type: ignore[arg-type]
    return check_validation(network, validation, patience, n, check_finite, skip)


def chosen(course: Course, max_epochs: int | None) -> _choice.Choice:
    """Return what such a fit does where no solver is given: no trials, and blocks are shuffled."""
    choice = _choice.pick(
        course.network,
        course.n,
        course.y,
        None,
        course.problem,
        stream=None,  # type: ignore[arg-type]
        trial=None,  # type: ignore[arg-type]
        mean=None,  # type: ignore[arg-type]
        reason=REASON,
        penalised=bool(course.remembered),
        max_epochs=max_epochs,
    )
    solver = choice.solver
    if solver.batch_size is not None:
        solver = dataclasses.replace(solver, shuffle="blocks")  # type: ignore[type-var]
    return choice._replace(solver=solver)
