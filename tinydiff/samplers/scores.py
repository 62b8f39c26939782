"""Steps that are written in ratios, for every noise that knows p_t(y) / p_t(x) of x's neighbours y:
SEDD (arXiv:2310.16834), Campbell et al. (arXiv:2205.14987). The ratios are those of the bet, so
that temperature and top-p act on them too. The last step of both is the process's own, which leaves
no noise.
"""

import torch
import torch.nn.functional as F

from tinydiff.processes import LOG_ZERO, draw, rand
from tinydiff.samplers import Step, pairwise, sampler


def by_ratios(step, process, denoise, canvas, times, rng):
    """step(x, log_ratios, t, s) -> x_s, times (B, L), from noise to text."""
    x = process.prior(canvas, rng)
    for t, s in pairwise(times):
        prediction, t_all, s_all = denoise(x, canvas.time(t)), canvas.time(t), canvas.time(s)
        if s > 0:
            log_r = process.log_ratios(x, prediction.log_x0.double(), t_all.double())
            new = step(x, log_r, t_all.double(), s_all.double())
        else:
            new = process.reverse(x, prediction, t_all, s_all, rng)
        x = process.pin(new, canvas)
        yield Step(x, prediction, s)


@sampler("euler", needs={"ratios"}, paper="arXiv:2205.14987")
def euler(process, denoise, canvas, times, rng):
    """Let every position jump on its own, at the speed that the ratios had when the step began
    (tau-leaping)."""

    def step(
        x, log_r, t, s
    ):  # SEDD, eq. 17, with the rate summed up over the step; a position jumps once at most
        V = log_r.shape[-1]
        log_r = log_r.masked_fill(F.one_hot(x, V + 1)[..., :V].bool(), LOG_ZERO)
        jump = rand(x, rng) < log_r.exp().sum(-1) * process.jumps(t, s)
        return torch.where(jump, draw(log_r, rng), x)

    yield from by_ratios(step, process, denoise, canvas, times, rng)


@sampler("tweedie", needs={"ratios"}, paper="arXiv:2310.16834")
def tweedie(process, denoise, canvas, times, rng):
    """Undo exactly the noise of one step, position by position: the best step in which none waits
    for the others (SEDD)."""

    def step(x, log_r, t, s):  # SEDD, eq. 19 and theorem 4.2
        return draw(process.undone(log_r, x, t, s), rng)

    yield from by_ratios(step, process, denoise, canvas, times, rng)
