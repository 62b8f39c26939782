"""Temperature: how sharp the prediction is."""

from tinydiff.guides import Annotated, Range, guide, reweighed


@guide("temperature", stage="temperature", paper="arXiv:1904.09751")
def temperature(
    denoise,
    context,
    *,
    temperature: Annotated[
        float, Range(0, 10, "below 1 sharper, 0 only the likeliest, above 1 wilder, 2 near chance")
    ] = 1.0,
):
    """Make the prediction sharper or flatter: its log-probabilities are divided by the temperature.

    Only what the rest of the text says of a token is divided; what its own noisy state says is
    added afterwards, as it is. At a mask the state says nothing, and this is log_x0 / temperature.
    Under other noise, dividing the sum would strengthen the token that stands there as much as
    the network's prediction, so that fewer tokens change: uniform noise then wrote as many
    wrong words at 0.5 as at 1.
    """

    def divided(rest):
        return rest / max(temperature, 1e-4)

    def warmed(x, t, cache=None):
        return reweighed(denoise(x, t, cache), x, t, context.process, divided)

    return denoise if temperature == 1 else warmed
