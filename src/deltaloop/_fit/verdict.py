"""Whether a fit can end well, and whether it did: the warnings at its start and at its end.

No fit ends as if it were well when it is not. What is measured comes from a sample of the instances
(``csrc/training/survey.c``); here are the rules, and the sentences with the remedies.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core, _losses
from deltaloop._activations import ROWS
from deltaloop.losses import _parts

if TYPE_CHECKING:
    from deltaloop.solvers import Solver

# Parts of what there is to learn, which is the cost of predicting the means of the targets less the
# least cost. Above the first nothing is learned yet; above the second the scale of the data may be
# in the way, and above the third outputs at their limits; below the last one the cost is at its
# end, whatever the solver says.
LITTLE, MUCH, ROOM, NOTHING = 0.5, 0.1, 0.01, 1e-6
# Where a cross-entropy has so little to learn there is one class.
ONE_CLASS = 1e-9
# Columns of numbers as large as the first, as small as the second, or so many times as large as
# they differ, are not what weights are drawn for.
LARGE, SMALL, APART = 100.0, 0.01, 10.0
SAMPLE = 1000
# Above this nothing is learned, whatever ends the fit.
BARELY = 0.999
# A goal of so many times the cost of predicting the means is none.
FAR = 2.0
# Of two successive costs that differ by so much of what there is to learn, one can be far away.
COARSE = 0.01
# Where a step of the size of the parameters, along the gradient, would change the cost by less than
# this part of it to first order, the gradient counts as 0; and so little a part of the cost is what
# the last epoch of a solver takes off that ends because nothing is left.
FLAT, LAST = 1e-3, 1e-6
# The ends that a caller asks for: of a single epoch they promise nothing.
ASKED = ("max_epochs", "max_time", "callback")
# With those that are not the solver's own.
GIVEN = (*ASKED, "patience")
# The outputs that have bounds.
LIMITS = {row.name: row.range for row in ROWS if row.range != (-math.inf, math.inf)}
# What sets the scale right, of a network without a scaling and of one that has one.
SCALE = "scale X and Y, as fit(..., scale='standard') does"
RESCALE = "see whether net.scaling suits these data"


class Ask(NamedTuple):
    """What the targets ask for: their extremes, the least cost, that of predicting their means.

    `room` is what there is to learn, the difference; not positive, or NaN, if there is nothing.
    """

    lowest: float
    highest: float
    least: float
    mean: float
    room: float
    vanishing: bool  # they vary, but by so little that its square is 0


class End(NamedTuple):
    """How a stage of a fit has ended."""

    solver: Solver
    reason: str
    epochs: int
    total: int  # epochs of the whole call
    initial: float  # the cost before them, or of the first one; NaN where it is unknown
    before: float  # the cost before the last one, or NaN
    cost: float
    gradient_norm: float
    own_epochs: bool = False  # the number of epochs was chosen by the fit

    @property
    def wanted(self) -> bool:
        """Whether the caller asked for this end."""
        return self.reason in ASKED and not (self.own_epochs and self.reason == "max_epochs")


def ask(network: _core.Core, run: _core.Fit) -> Ask:
    """Measure the targets of a fit; their extremes only where outputs have bounds."""
    loss = _parts(network.loss)[0]
    bounded = network.output in LIMITS and loss in _losses.ANY_OUTPUT
    lowest, highest, least, mean = run.targets(bounded)
    if "entropy" in loss and mean - least < ONE_CLASS:
        mean = least
    return tuple.__new__(Ask, (lowest, highest, least, mean, mean - least, run.vanishing))


def advice(network: _core.Core) -> str:
    """Say what may set the scale right."""
    return SCALE if network._scaling is None else RESCALE


def at_start(network: _core.Core, asked: Ask, tol: float, goal: float) -> list[str]:
    """Return what stands in the way of a fit that is to begin."""
    found = []
    if asked.lowest < math.inf:
        low, high = LIMITS[network.output]
        beyond = asked.lowest < low or asked.highest > high
        slack = 1e-6 * max(abs(asked.lowest), abs(asked.highest)) if beyond else 0.0
        if asked.lowest < low - slack or asked.highest > high + slack:
            scaled = " as net.scaling scales it" if network._scaling is not None else ""
            both = math.isfinite(low) and math.isfinite(high)
            how = ", as fit(..., scale='minmax') does" if both and not scaled else ""
            found.append(
                f"Y{scaled} goes from {asked.lowest:g} to {asked.highest:g}, but {network.output} "
                f"outputs only from {low:g} to {high:g}: build the network with output='identity', "
                f"or scale Y into that range{how}"
            )
    if asked.vanishing:
        found.append(
            "Y varies, but by so little that the cost of predicting the mean of Y is 0: "
            f"{advice(network)}"
        )
    if tol > 0 and 0 < asked.room <= tol < math.inf:
        found.append(
            f"tol={tol:g} is not below the cost of predicting the mean of Y, {asked.room:.3g}, so "
            f"that the fit may end anywhere: {advice(network)}, or take a smaller tol"
        )
    if goal > -math.inf and asked.room > 0 and far(goal, asked):
        found.append(
            f"goal={goal:g} is far above the cost of predicting the mean of Y, {asked.mean:.3g}: "
            f"take a smaller goal, or {advice(network)}"
        )
    return found


def far(goal: float, asked: Ask) -> bool:
    """Return whether a goal is met by a network that has learned nothing; infinity is meant."""
    return FAR * asked.room <= goal - asked.least < math.inf


def trouble(
    network: _core.Core,
    run: _core.Fit,
    asked: Ask,
    end: End,
    tol: float,
    goal: float,
    searched: bool = False,
) -> str:
    """Return what is wrong with the end of a fit and what may help, or "" where all is well.

    `searched` says that rows held out have chosen the penalty.
    """
    left, room = end.cost - asked.least, asked.room
    learned = not (room > 0 and left > LITTLE * room)
    if end.reason == "goal" and (learned or not far(goal, asked)):
        return ""
    vary = True
    if room > 0 and left > ROOM * room:
        saturated, constant, vary = run.health()
        # Hidden units at their limits may be the best there is for classes with noise.
        if saturated and (not learned or saturated == len(network.layers) - 1):
            return (
                f"all units of layer {saturated} are saturated for all instances, and the cost is "
                f"{share(left, asked)}; {advice(network)}, or try another seed, a smaller step or "
                "another activation"
            )
        if constant and searched and not learned:
            return (
                "the network predicts the same for all instances, while Y varies, since the "
                "penalty that suits rows held out leaves nothing else. Either X says little about "
                f"Y, or {advice(network)}; goal=0 trains without a penalty"
            )
        if constant and not learned:
            return (
                "the network predicts the same for all instances, while Y varies; "
                f"{advice(network)}, or try another seed, {end.solver._less_penalty}"
            )
    if end.reason in end.solver._emergencies and not at_rest(network, asked, end, learned):
        first = "in the first epoch" if end.epochs == 0 else f"after {end.epochs} epochs"
        return (
            f"the solver found no step that lowers the cost {first}, though its gradient is not "
            f"small; {advice(network)}, or try another seed or another solver"
        )
    if not learned:
        if end.reason == "converged" and tol >= COARSE * asked.room:
            return (
                f"tol={tol:g} is coarse for a cost of {asked.room:.3g}, that of predicting the "
                f"mean of Y, and the cost is still {share(left, asked)}; {advice(network)}, or "
                "take a smaller tol"
            )
        if end.reason == "goal":
            return f"the goal is far above the cost of predicting the mean of Y, {asked.mean:.3g}"
        if end.reason == "min_gradient" and not flat(network, asked, end):
            return (
                "min_gradient is coarse for such a cost, whose gradient is not small yet; "
                f"{advice(network)}, or take a smaller min_gradient"
            )
        stepping = end.total <= 1 and end.wanted
        if end.cost >= end.initial and not stepping:
            return (
                f"the cost has not fallen: {end.initial:.6g} before the first epoch, "
                f"{end.cost:.6g} now; try a smaller {end.solver._smaller}, or {advice(network)}"
            )
        ended = not (end.wanted or end.reason == "patience" or flat(network, asked, end))
        if vary and left > BARELY * asked.room and ended:
            return (
                f"the cost is {share(left, asked)}, so that nothing is learned; {advice(network)}, "
                "or try another seed, another solver or a weaker penalty"
            )
    return ""


def unscaled(
    network: _core.Core,
    asked: Ask,
    end: End,
    x: NDArray[Any],
    y: NDArray[Any],
    rows: NDArray[Any] | None,
) -> str:
    """Say which column is out of scale where much of the cost is left; "" if none is.

    `rows` are those that were learned from, None for all.
    """
    left = end.cost - asked.least
    if not left > MUCH * asked.room > 0 or network._scaling is not None:
        return ""
    if end.total <= 1 and end.wanted:
        return ""
    n = len(x) if rows is None else len(rows)
    few = np.arange(0, n, max(1, -(-n // SAMPLE)))
    few = few if rows is None else rows[few]
    parts = [] if isinstance(x, _core.Csr) else [("X", x)]
    plain = _parts(network.loss)[0] in _losses.ANY_OUTPUT
    if y.ndim > 1 and plain and network.output == "identity":
        parts.append(("Y", y))
    for name, array in parts:
        values = array[few].astype(np.float64)
        low, high = np.fmin.reduce(values), np.fmax.reduce(values)  # of targets that are there
        size = np.maximum(np.abs(low), np.abs(high))
        wild = (size > LARGE) | (size < SMALL) | (size > APART * (high - low))
        wild &= high > low
        if wild.any():
            j = int(np.argmax(wild))
            where = f"column {j} of {name}" if array.shape[1] > 1 else name
            return (
                f"the cost is {share(left, asked)}, and {where} goes from {low[j]:.4g} to "
                f"{high[j]:.4g}; {SCALE}"
            )
    return ""


def share(left: float, asked: Ask) -> str:
    """Say how much of the cost is left."""
    part = left / asked.room
    if part > 2.0:
        return f"{part:.2g} times that of predicting the mean of Y"
    return f"{100.0 * part:.3g} % of that of predicting the mean of Y"


def at_least(asked: Ask, end: End) -> bool:
    """Return whether the solver ended by itself where no cost is lower."""
    return end.reason not in GIVEN and end.cost <= asked.least and not asked.vanishing


def flat(network: _core.Core, asked: Ask, end: End) -> bool:
    """Return whether the gradient is as good as 0, for the size of the parameters and the cost."""
    reach = end.gradient_norm * float(np.linalg.norm(network._parameters))
    return not reach > FLAT * (end.cost - asked.least)


def at_rest(network: _core.Core, asked: Ask, end: End, learned: bool) -> bool:
    """Return whether a solver that found no step had none to find."""
    if end.cost - asked.least <= NOTHING * asked.room or flat(network, asked, end):
        return True
    if end.epochs == 0:  # a fit that goes on where another one ended
        return learned
    # At a kink of relu units, too, the last steps are small.
    small = learned and not end.before - end.cost > LAST * abs(end.cost)
    return small or "l2" not in end.solver._takes


def message(end: End, tol: float, goal: float, patience: int, well: bool = True) -> str:
    """Return why a stage ended, as a sentence."""
    match end.reason:
        case "converged":
            return f"Two successive costs differ by less than tol={tol:g}."
        case "goal":
            return f"The cost is at most goal={goal:g}."
        case "max_epochs":
            return "All epochs are done."
        case "max_time":
            return "The time of max_time is over."
        case "callback":
            return "The callback asked for the end."
        case "patience":
            return f"The validation cost has not fallen in {patience} epochs."
        case reason:
            text = end.solver._stop_reasons.get(reason, reason).replace("`", "")
            if not well:  # some go on to say that this may be a good end
                text = text.partition(":")[0]
            return text[:1].upper() + text[1:] + "."
