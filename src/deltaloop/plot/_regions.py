"""What a model of two inputs answers, wherever they may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deltaloop import _core, _scalars
from deltaloop._activations import ACTIVATIONS
from deltaloop._arguments import arrays as _arrays
from deltaloop._losses import TASKS, targets
from deltaloop.plot import _axes, _classes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Outputs that are read as classes where the loss does not tell.
OF_CLASSES = tuple(row.name for row in ACTIVATIONS.values() if row.range == (0.0, 1.0))
# How much of the axis lies beyond the outermost points on each side.
MARGIN = 0.1


def decision_regions(
    model: Any,
    X: ArrayLike,
    y: ArrayLike | None = None,
    ax: Axes | None = None,
    *,
    task: str | None = None,
    resolution: int = 300,
) -> Axes:
    """Draw the answer of a model of two inputs in the plane of its inputs, and the data.

    For classes a region for each with lines between them, and the points of each with a marker of
    their own; for values a filled contour with its scale, and the points in the colours of `y`.

    Parameters
    ----------
    model : Network or estimator
        Something with two inputs that predicts: a network, or a fitted object with ``predict``, and
        ``classify`` where that tells the classes.
    X : array_like or data frame, shape (n, 2)
        Instances: the picture shows where they lie and a tenth more. The columns of a frame name
        the axes.
    y : array_like, optional
        Their true classes (n,), in a form that the model answers in, or (n, k) with a 1 in the
        column of the class; or their true values (n,) or (n, 1). By default the points are drawn
        without.
    ax : matplotlib.axes.Axes, optional
        What to draw on; by default a new figure of pyplot's.
    task : {"classification", "regression"}, optional
        Whether to draw classes or values. By default classes if the network's loss is a
        cross-entropy, its output sigmoid, softmax or step, or if it has several outputs; for an
        estimator, if it has ``classes_`` or ``classify`` or does not predict floats.
    resolution : int, default 300
        Points on each axis at which the model is asked, at least 2.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        Without matplotlib: ``pip install 'deltaloop[plot]'``.
    TypeError, ValueError
        If the model has not two inputs or does not predict, arrays do not fit, hold what is not
        finite or are empty, or an argument is of the wrong type.

    Examples
    --------
    >>> import deltaloop as dl
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> net = dl.Network([2, 2, 1], seed=0)
    >>> result = net.fit(X, y, solver=dl.GradientDescent(learning_rate=2.0), max_epochs=20_000)
    >>> ax = dl.plot.decision_regions(net, X, y)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['0', '1']
    """
    n = _scalars.integer("resolution", resolution, at_least=2)
    kind = None if task is None else _scalars.choice("task", task, TASKS)
    points = _points(model, X)
    x0, x1 = (_axis(points[:, j], n) for j in (0, 1))
    grid = np.column_stack([part.ravel() for part in np.meshgrid(x0, x1)])
    answers, of_classes = _answers(model, _like(X, grid), kind)
    if answers.shape[0] != grid.shape[0]:
        raise ValueError(
            f"model must predict one row for each instance, got shape {answers.shape} "
            f"for {grid.shape[0]} instances"
        )
    if of_classes:
        codes, names, of_y = _codes(answers, y, points)
        axes = _axes.axes(ax)
        _regions(axes, x0, x1, codes.reshape(n, n), names)
        _groups(axes, points, of_y, names)
    else:
        surface = _values("the predictions of model", answers, grid.shape[0])
        values = None if y is None else _values("y", y, points.shape[0])
        axes = _axes.axes(ax)
        _surface(axes, x0, x1, surface.reshape(n, n), points, values)
    axes.set_xlim(x0[0], x0[-1])
    axes.set_ylim(x1[0], x1[-1])
    names = [str(name) for name in getattr(X, "columns", ("x0", "x1"))]
    axes.set_xlabel(_axes.shorten(names[0]), parse_math=False)
    axes.set_ylabel(_axes.shorten(names[1]), parse_math=False)
    return axes


# ---- what is asked, and what the model answers ----


def _points(model: Any, X: object) -> NDArray[np.float64]:
    """Return the instances, (n, 2), of a model that has two inputs."""
    if isinstance(model, type) or not (hasattr(model, "predict") or hasattr(model, "classify")):
        raise TypeError(
            f"model must be a Network or a fitted object with predict, got {_kind(model)}"
        )
    n_inputs = getattr(model, "n_features_in_", 2)
    if isinstance(model, _core.Core):
        n_inputs = model.layers[0]
    if n_inputs != 2:
        raise ValueError(f"model must have 2 inputs to be drawn in a plane, got {n_inputs}")
    array = _arrays.numbers("X", X)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"X must have shape (n, 2), got {array.shape}")
    if array.shape[0] == 0:
        raise ValueError("X is empty: it has no instances")
    _arrays.finite("X", array)
    return array.astype(np.float64)


def _kind(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def _axis(values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return n points that cover the values and a margin."""
    low, high = float(values.min()), float(values.max())
    room = MARGIN * (high - low) or MARGIN * abs(high) or 1.0
    return np.linspace(low - room, high + room, n)


def _like(X: Any, grid: NDArray[np.float64]) -> Any:
    """Return the grid as a frame with the columns of X, if that is one."""
    if not hasattr(X, "columns"):
        return grid
    return type(X)(dict(zip(X.columns, grid.T, strict=True)))


def _tells_classes(model: Any) -> bool:
    """Whether it has labels: a model of tables calls them `classes`, an estimator `classes_`."""
    return hasattr(model, "classes") or hasattr(model, "classes_")


def _answers(model: Any, grid: Any, kind: str | None) -> tuple[NDArray[Any], bool]:
    """Return what the model says, and whether these are classes."""
    if kind is None and isinstance(model, _core.Core):
        of_classes = (
            targets(model.loss) == "probabilities"
            or model.output in OF_CLASSES
            or model.layers[-1] > 1
        )
        kind = TASKS[0] if of_classes else TASKS[1]
    classify = getattr(model, "classify", None)
    if kind is None and (classify is not None or _tells_classes(model)):
        kind = TASKS[0]
    if kind == TASKS[0] and classify is not None:
        return np.asarray(classify(grid)), True
    answers = np.asarray(model.predict(grid))
    return answers, kind == TASKS[0] or (kind is None and answers.dtype.kind != "f")


def _codes(
    answers: NDArray[Any], y: object, points: NDArray[np.float64]
) -> tuple[NDArray[np.intp], list[str], NDArray[np.intp] | None]:
    """Return the classes of the grid and of y as positions among their names."""
    parts = [_flat("the predictions of model", answers, None)]
    if y is not None:
        several = answers.ndim == 2 and answers.shape[1] > 1
        parts.append(_flat("y", y, answers.shape[1] if several else None))
        _classes.same_kind("the predictions of model", parts[0], "y", parts[1])
        if parts[1].shape[0] != points.shape[0]:
            raise ValueError(f"X has {points.shape[0]} instances but y has {parts[1].shape[0]}")
    known, codes = np.unique(np.concatenate(parts), return_inverse=True)
    names = [_axes.shorten(name) for name in known.tolist()]
    n = len(parts[0])
    return codes[:n], names, None if y is None else codes[n:]


def _flat(name: str, values: object, width: int | None) -> NDArray[Any]:
    """Return classes as (n,); those of several independent outputs as text such as "0, 1"."""
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] > 1:
        table = _arrays.numbers(name, array)
        if name == "y" and width is None:
            return np.asarray(table.argmax(axis=1))
        whole = [_classes.classes(name, column).astype(np.int64) for column in table.T]
        return np.array([", ".join(map(str, row)) for row in np.column_stack(whole).tolist()])
    return _classes.classes(name, array)


def _values(name: str, values: object, n: int) -> NDArray[np.float64]:
    """Return real numbers (n,), finite."""
    array = _arrays.numbers(name, values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},) or ({n}, 1), got {array.shape}")
    _arrays.finite(name, array)
    return array.astype(np.float64)


# ---- drawing ----


def _regions(
    ax: Axes,
    x0: NDArray[np.float64],
    x1: NDArray[np.float64],
    codes: NDArray[np.intp],
    names: list[str],
) -> None:
    from matplotlib.colors import ListedColormap

    k = len(names)
    # Halfway to white, so that points stand out.
    tints = [tuple(0.5 + 0.5 * part for part in shade[:3]) for shade in _axes.shades(k, 1.0)]
    ax.pcolormesh(
        x0, x1, codes, cmap=ListedColormap(tints), vmin=-0.5, vmax=k - 0.5, rasterized=True
    )
    for code in np.unique(codes):
        inside = (codes == code).astype(np.float64)
        if inside.min() < inside.max():
            ax.contour(x0, x1, inside, levels=[0.5], colors="black", linewidths=0.8)


def _groups(
    ax: Axes, points: NDArray[np.float64], codes: NDArray[np.intp] | None, names: list[str]
) -> None:
    """Draw the points of each class with a marker and a shade of their own."""
    size = _axes.marker_size(points.shape[0])
    options: dict[str, Any] = {"linestyle": "none", "markersize": size}
    options |= {"markeredgecolor": "black", "markeredgewidth": 0.5}
    if codes is None:
        ax.plot(*points.T, marker="o", color="white", **options)
    for code, (name, shade) in enumerate(zip(names, _axes.shades(len(names), 1.0), strict=True)):
        chosen = points[:0] if codes is None else points[codes == code]
        marker = "s" if codes is None else _axes.MARKERS[code % len(_axes.MARKERS)]
        ax.plot(*chosen.T, marker=marker, color=shade, label=name, **options)
    _axes.legend(ax, points.shape[0], title="class")


def _surface(
    ax: Axes,
    x0: NDArray[np.float64],
    x1: NDArray[np.float64],
    values: NDArray[np.float64],
    points: NDArray[np.float64],
    y: NDArray[np.float64] | None,
) -> None:
    from matplotlib.colors import Normalize
    from matplotlib.ticker import MaxNLocator

    shown = values if y is None else np.concatenate([values.ravel(), y])
    low, high = float(shown.min()), float(shown.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    levels = MaxNLocator(12).tick_values(low, high)
    norm = Normalize(levels[0], levels[-1])
    filled = ax.contourf(x0, x1, values, levels=levels, cmap="viridis", norm=norm)
    given = y is not None
    ax.scatter(
        points[:, 0],
        points[:, 1],
        s=_axes.marker_size(points.shape[0]) ** 2,
        c=y if given else "white",
        cmap="viridis" if given else None,
        norm=norm if given else None,
        edgecolors="black",
        linewidths=0.5,
        zorder=2,
    )
    ax.figure.colorbar(filled, ax=ax, label="predicted value")
