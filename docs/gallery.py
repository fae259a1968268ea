"""Draw the gallery: docs/gallery.md and its pictures in docs/gallery/.

    make gallery

The code of each picture is the code on the page. A test compares the page with this script, and
looks that every plot of the package is in it.
"""

import argparse
import tempfile
import textwrap
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent


class Picture(NamedTuple):
    """A picture, the code that draws it, and what to see in it."""

    name: str
    title: str
    code: str
    text: str


SETTING = """
import numpy as np
import pymc as pm
import pymc_glm as pg

rng = np.random.default_rng(1)
n, types = 12, np.repeat(["excitatory", "inhibitory"], [8, 4])
basis = pg.basis.raised_cosine(2, window=0.1, bin_width=0.005)
inhibitory = types == "inhibitory"
present = rng.random((n, n)) < np.where(inhibitory, 0.5, 0.15)  # [post, pre]
weights = np.where(inhibitory, -1.6, 1.0)[None, :, None] * present[..., None] * [1.0, 0.5]
weights[range(n), range(n)] = [-2.0, -0.4]
network = pg.NetworkParameters(np.full(n, -2.9), weights, basis)
counts = pg.simulate(network, 24_000, random_seed=2)  # two minutes
fitted = counts.isel(time=slice(0, 18_000))

options = {"draws": 250, "tune": 250, "chains": 2, "random_seed": 1, "progressbar": False}
model = pg.build_glm(fitted, basis)
tree = pg.sample(model=model, **options)
strong = pg.BlockWeights(mean=pm.Normal.dist(0, 1))  # of types, stronger than the default expects
types_model = pg.build_glm(fitted, basis, edges=pg.BlockEdges(3), weights=strong)
types_tree = pg.sample(model=types_model, **options)
distance_tree = pg.sample(model=pg.latent_distance_glm(fitted, basis), **options)
dense_tree = pg.sample(model=pg.dense_glm(fitted, basis), **options)
uncoupled = pg.build_glm(fitted, basis, edges=pg.BernoulliEdges(0.0))
uncoupled_tree = pg.sample(model=uncoupled, **options)

grid = np.stack(np.meshgrid(np.arange(4.0), np.arange(4.0)), axis=-1).reshape(16, 2)
squares = ((grid[:, None] - grid) ** 2).sum(axis=-1)
near = rng.random((16, 16)) < 1 / (1 + np.exp(2.5 * squares - 5))  # neighbours are connected
signs = rng.choice([-1.5, 0.7], 16)[None, :, None]
sheet_weights = signs * near[..., None] * [1.0, 0.5]
sheet_weights[range(16), range(16)] = [-2.0, -0.4]
sheet = pg.NetworkParameters(np.full(16, -2.6), sheet_weights, basis)
sheet_counts = pg.simulate(sheet, 24_000, random_seed=3)
places = pg.build_glm(sheet_counts, basis, edges=pg.DistanceEdges())
places_tree = pg.sample(model=places, **options)
"""

PICTURES = (
    Picture("raster", "The recording", "pg.plot_raster(tree, stop=5.0)",
            "Spikes of five seconds, one row a neuron."),
    Picture("network", "Who influences whom",
            "pg.plot_network(tree, truth=network.adjacency)",
            "Inclusion probabilities, rows post and columns pre; the truth beside them where it is "
            "known."),
    Picture("weights", "How strongly", 'pg.plot_network(tree, quantity="weight")',
            "Coupling filters at their peaks, absent edges as zero."),
    Picture("filters", "Over what time course", "pg.plot_filters(tree, truth=network.filters)",
            "Posterior means and pointwise bands of the most probable edges, a third of them "
            "self-edges, the true filters dashed."),
    Picture("simultaneous", "The same, for whole filters",
            'pg.plot_filters(tree, pairs=[("7", "4"), ("9", "0")], simultaneous=True)',
            "Bands that hold a filter at all lags together."),
    Picture("rates", "Rates one bin ahead", "pg.plot_rates(tree, start=0.0, stop=5.0)",
            "What the model says of each bin, given the spikes before it."),
    Picture("prior_rates", "Before the data: what networks does the prior make?",
            "pg.plot_rate_check(pg.prior_rates(model, draws=50, random_seed=1))",
            "Networks drawn from the prior, running freely."),
    Picture("posterior_rates", "After: does the fitted network fire as the recording does?",
            "pg.plot_rate_check(pg.posterior_rates(tree, draws=50, random_seed=1))",
            "Networks drawn from the posterior, running freely."),
    Picture("time_rescaling", "Goodness of fit of every neuron",
            "pg.plot_time_rescaling(pg.time_rescaling(tree, random_seed=1), difference=True)",
            "Time rescaling, exact in bins: within the dashed lines in 95% of right models."),
    Picture("residuals", "What coupling leaves over",
            "pg.plot_residual_correlograms(pg.residual_correlograms(uncoupled_tree))",
            "Residuals of the uncoupled model: couplings that it lacks stand out of the band."),
    Picture("intervals", "Inter-spike intervals",
            'pg.plot_predictive_check(pg.predictive_check(tree, "isi", draws=50, random_seed=1))',
            "Quantiles of the intervals, in recordings that the posterior makes."),
    Picture("fano", "Fano factors",
            'pg.plot_predictive_check(pg.predictive_check(tree, "fano", draws=50, random_seed=1))',
            "Variance over mean of the counts in windows."),
    Picture("autocorrelograms", "Autocorrelograms",
            "pg.plot_predictive_check("
            'pg.predictive_check(tree, "autocorrelogram", draws=50, random_seed=1))',
            "How a neuron fires after its own spikes: here less, for some 30 ms."),
    Picture("synchrony", "Synchrony",
            "pg.plot_predictive_check("
            'pg.predictive_check(tree, "synchrony", draws=50, random_seed=1))',
            "How many neurons fire in one bin."),
    Picture("crosscorrelograms", "Cross-correlograms",
            "pg.plot_predictive_check("
            'pg.predictive_check(tree, "crosscorrelogram", draws=50, random_seed=1))',
            "The pairs that are farthest off."),
    Picture("blocks", "Cell types", "pg.plot_blocks(pg.block_summary(types_tree))",
            "A stochastic block model: which neurons are of one type, and who connects to whom."),
    Picture("positions", "Places", "pg.plot_positions(places_tree, reference=grid)",
            "A latent distance model of another network, sixteen neurons on a grid that are "
            "connected with their neighbours; lines join what was found with the truth."),
    Picture("comparison", "Which model?",
            "trees = {\n"
            '    "independent": tree,\n'
            '    "block": types_tree,\n'
            '    "distance": distance_tree,\n'
            '    "dense": dense_tree,\n'
            '    "uncoupled": uncoupled_tree,\n'
            "}\n"
            "table = pg.compare_models(trees, counts, start=90.0, random_seed=1)\n"
            "pg.plot_comparison(table)",
            "LOO, stacking weights, held-out bits per spike and time rescaling of five models."),
)  # fmt: skip


def page() -> str:
    """Return the text of the page."""
    lines = [
        "# Gallery",
        "",
        "Every plot of the package, with the line that draws it. Made by `make gallery` from",
        "docs/gallery.py.",
        "",
        "Twelve simulated neurons, eight excitatory and four inhibitory, two minutes of spikes,",
        "half a minute of them held out; and a sheet of sixteen for the picture of places:",
        "",
        f"```python\n{SETTING.strip()}\n```",
        "",
    ]
    for picture in PICTURES:
        lines += [
            f"## {picture.title}",
            "",
            *textwrap.wrap(picture.text, 118),
            "",
            f"```python\n{picture.code}\n```",
            "",
            f"![{picture.title}](gallery/{picture.name}.png)",
            "",
        ]
    return "\n".join(lines)


def draw(folder: Path) -> None:
    """Draw all pictures."""
    import warnings

    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    import numpy as np

    known: dict = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is for who fits, not for who draws
        exec(compile(SETTING, "gallery", "exec"), known)
        for picture in PICTURES:
            *before, last = picture.code.split("\npg.")
            if before:
                exec(compile(before[0], "gallery", "exec"), known)
                last = f"pg.{last}"
            axes = eval(compile(last, "gallery", "eval"), known)
            figure = np.asarray(axes, dtype=object).ravel()[0].figure
            figure.savefig(folder / f"{picture.name}.png", dpi=80)
            plt.close(figure)


def main() -> None:
    """Write page and pictures, each whole or not at all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page-only", action="store_true", help="leave the pictures as they are")
    arguments = parser.parse_args()
    if not arguments.page_only:
        (HERE / "gallery").mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=HERE) as folder:
            draw(Path(folder))
            for picture in PICTURES:
                name = f"{picture.name}.png"
                (Path(folder) / name).replace(HERE / "gallery" / name)
    new = HERE / "gallery.md.new"
    new.write_text(page(), encoding="utf-8")
    new.replace(HERE / "gallery.md")


if __name__ == "__main__":
    main()
