"""Steps by ratios, for every noise that knows p_t(y) / p_t(x) for the neighbours y of x: SEDD
(arXiv:2310.16834), Campbell et al. (arXiv:2205.14987). The ratios follow from the prediction, so
temperature and top-p act on them too. The last step of both samplers is the noise's own reverse
step, after which no noise is left.
"""

import torch
import torch.nn.functional as F

from tinydiff.predictions import LOG_ZERO
from tinydiff.randomness import rand
from tinydiff.samplers import Step, after, moves, sampler


def each_step(step, process, denoise, start, times, rng):
    """Take steps from noise to text with step(x, prediction, t, s) -> x_s, times (B, L)."""
    noise, x, canvas = process.noise, start.x, start.canvas
    for t, s in moves(start, times):
        prediction, t_all, s_all = denoise(x, canvas.time(t)), canvas.time(t), canvas.time(s)
        x = noise.pin(moved(step, noise, x, prediction, t_all, s_all, rng), canvas)
        x, canvas = after((yield Step(x, prediction, s)), x, canvas)


def moved(step, noise, x, prediction, t, s, rng):
    """The step, but the noise's own reverse step at each position that becomes clean."""
    ends = noise.alpha(s) == 1
    if ends.all():
        return noise.reverse(x, prediction, t, s, rng)
    new = step(x, prediction, t, s, rng)
    if not ends.any() or step == noise.reverse:
        return new
    return torch.where(ends, noise.reverse(x, prediction, t, s, rng), new)


@sampler("euler", needs={"ratios"}, paper="arXiv:2205.14987")
def euler(process, denoise, start, times, rng):
    """Let every position jump on its own, at the rate that the ratios had when the step began
    (tau-leaping)."""
    noise = process.noise

    def step(x, prediction, t, s, rng):
        # SEDD, eq. 17, with the rate summed up over the step; a position jumps once at most
        t, s = t.double(), s.double()
        log_r = noise.log_ratios(x, prediction.log_x0.double(), t)
        V = log_r.shape[-1]
        log_r = log_r.masked_fill(F.one_hot(x, V + 1)[..., :V].bool(), LOG_ZERO)
        jump = rand(x, rng, "jump") < log_r.exp().sum(-1) * noise.jumps(t, s)
        return torch.where(jump, noise.jumped(prediction, log_r, rng), x)

    yield from each_step(step, process, denoise, start, times, rng)


@sampler("tweedie", needs={"ratios"}, paper="arXiv:2310.16834", weighs=True)
def tweedie(process, denoise, start, times, rng):
    """Undo exactly the noise of one step, each position on its own: the best step that treats
    positions as independent (SEDD).

    Eq. 19 and theorem 4.2: for ratios that a prediction of x_0 implies, this is the mixture of
    q(x_s | x_t, x_0) over the prediction, whatever the noise. So x_0 is drawn first.
    """
    yield from each_step(process.noise.reverse, process, denoise, start, times, rng)
