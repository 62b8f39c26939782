"""Self-conditioning (analog bits, Chen et al., arXiv:2208.04202, section 3.2)."""

from tinydiff.guides import Annotated, Range, guide


@guide("self_conditioning", stage="hint", needs={"hint"}, paper="arXiv:2208.04202")
def self_conditioning(
    denoise,
    context,
    *,
    self_conditioning: Annotated[
        int,
        Range(0, 1, "1: the network is told its last estimate, as it learned to be; 0: it is not"),
    ] = 1,
):
    """Tell each call what the one before made of the clean text.

    It begins anew with each window, and where the text has become longer.
    """

    def reminded(x, t, cache=None):
        before = context.memory.get("hint")
        fits = before is not None and before.shape[1] == x.shape[1]
        prediction = denoise(x, t, cache, hint=before if fits else None)
        context.memory["hint"] = context.process.hint(prediction)
        return prediction

    return reminded if self_conditioning else denoise
