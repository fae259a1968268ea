"""Draw the gallery: docs/gallery.md and its pictures in docs/gallery/.

    make gallery

The code that draws each picture is the code on the page. A test compares the page with this script
and checks that it contains every plot of the package.
"""

import argparse
import tempfile
import textwrap
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent


class Picture(NamedTuple):
    """A picture, the code that draws it, and its caption."""

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
strong = pg.BlockWeights(mean=pm.Normal.dist(0, 1))  # stronger than the default expects
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

loadings = np.random.default_rng(4).normal(0.0, 1.0, (n, 2))  # [post, factor]
shared = pg.PathParameters(loadings, [0.02, 0.3], [0.5, 1.5], [0.005, 0.1])
driven_counts = pg.simulate(network._replace(shared_input=shared), 12_000, random_seed=5)
unseen = pg.SharedInput(2, smoothness=[0.5, 1.5], max_delay=0.0)
driven = pg.build_glm(driven_counts, basis, shared_input=unseen)
driven_tree = pg.sample(model=driven, **options)
"""

PICTURES = (
    Picture("raster", "The recording", "pg.plot_raster(tree, stop=5.0)",
            "Five seconds of spikes, one row per neuron."),
    Picture("network", "Who influences whom",
            "pg.plot_network(tree, truth=network.adjacency)",
            "Inclusion probabilities, rows post and columns pre, next to the true network if it is "
            "known."),
    Picture("weights", "How strongly", 'pg.plot_network(tree, quantity="weight")',
            "Coupling filters at their peaks; absent edges are zero."),
    Picture("filters", "Time course", "pg.plot_filters(tree, truth=network.filters)",
            "Posterior means and pointwise bands for the most probable edges, a third of them "
            "self-edges; true filters are dashed."),
    Picture("simultaneous", "Simultaneous bands",
            'pg.plot_filters(tree, pairs=[("7", "4"), ("9", "0")], simultaneous=True)',
            "Bands that contain the filter at all lags at once."),
    Picture("rates", "Rates one bin ahead", "pg.plot_rates(tree, start=0.0, stop=5.0)",
            "The predicted rate of each bin, given the spikes before it."),
    Picture("prior_rates", "Prior: at what rates do networks fire?",
            "pg.plot_rate_check(pg.prior_rates(model, draws=50, random_seed=1))",
            "Networks drawn from the prior, driven by their own spikes."),
    Picture("posterior_rates", "Posterior: does the fitted network fire like the recording?",
            "pg.plot_rate_check(pg.posterior_rates(tree, draws=50, random_seed=1))",
            "Networks drawn from the posterior, driven by their own spikes."),
    Picture("time_rescaling", "Goodness of fit of each neuron",
            "pg.plot_time_rescaling(pg.time_rescaling(tree, random_seed=1), difference=True)",
            "Time rescaling, exact for binned spikes: a correct model stays within the dashed "
            "lines with probability 95%."),
    Picture("residuals", "Residual correlations",
            "pg.plot_residual_correlograms(pg.residual_correlograms(uncoupled_tree))",
            "Residuals of the uncoupled model: missing couplings stand out from the band."),
    Picture("intervals", "Inter-spike intervals",
            'pg.plot_predictive_check(pg.predictive_check(tree, "isi", draws=50, random_seed=1))',
            "Quantiles of the intervals, in the recording and in simulated ones."),
    Picture("fano", "Fano factors",
            'pg.plot_predictive_check(pg.predictive_check(tree, "fano", draws=50, random_seed=1))',
            "Variance over mean of the counts in windows of time."),
    Picture("autocorrelograms", "Autocorrelograms",
            "pg.plot_predictive_check("
            'pg.predictive_check(tree, "autocorrelogram", draws=50, random_seed=1))',
            "The rate of a neuron after its own spikes: here reduced for some 30 ms."),
    Picture("synchrony", "Synchrony",
            "pg.plot_predictive_check("
            'pg.predictive_check(tree, "synchrony", draws=50, random_seed=1))',
            "How many neurons fire in one bin."),
    Picture("crosscorrelograms", "Cross-correlograms",
            "pg.plot_predictive_check("
            'pg.predictive_check(tree, "crosscorrelogram", draws=50, random_seed=1))',
            "The pairs that the model fits worst."),
    Picture("blocks", "Cell types", "pg.plot_blocks(pg.block_summary(types_tree))",
            "A stochastic block model: which neurons share a type, and which types connect."),
    Picture("positions", "Positions", "pg.plot_positions(places_tree, reference=grid)",
            "A latent distance model of another network, sixteen neurons on a grid that are "
            "connected to their neighbours; lines join inferred and true positions."),
    Picture("shared_input", "Shared input",
            "pg.plot_shared_input(driven_tree, start=10.0, stop=14.0)",
            "The same network driven by two latent paths: their posterior means and bands below "
            "the spikes, and the loadings of the neurons beside them."),
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
        "Every plot of the package, with the line that draws it. `make gallery` makes this page",
        "with docs/gallery.py.",
        "",
        "The data: twelve simulated neurons, eight excitatory and four inhibitory, two minutes of",
        "spikes, the last half minute held out; a sheet of sixteen neurons for the positions; and",
        "the twelve neurons with shared input:",
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
        warnings.simplefilter("ignore")  # warnings about few draws do not matter for pictures
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
    """Write the page and the pictures, each completely or not at all."""
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
