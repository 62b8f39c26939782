"""Self-conditioning (analog bits, Chen et al., arXiv:2208.04202, section 3.2)."""

from tinydiff.guides import Annotated, Range, guide


@guide("self_conditioning", stage="hint", needs={"hint"}, paper="arXiv:2208.04202")
def self_conditioning(
    denoise,
    context,
    *,
    self_conditioning: Annotated[
        int,
        Range(0, 1, "1: the network is given its last estimate, as in training; 0: it is not"),
    ] = 1,
):
    """Give each call of the network the estimate of the clean text that the call before it made.

    It begins without an estimate in each window, and where the text has become longer.
    """

    def reminded(x, t, cache=None):
        before = context.memory.get("hint")
        fits = before is not None and before.shape[1] == x.shape[1]
        prediction = denoise(x, t, cache, hint=before if fits else None)
        context.memory["hint"] = context.process.hint(prediction)
        return prediction

    return reminded if self_conditioning else denoise
