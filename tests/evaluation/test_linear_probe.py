"""Linear classifiers on features, held against SciPy's minimum and hand-made data."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp

from convnets.evaluation.probes import Labelled, accuracy, fit, probe


def clusters(count: int, seed: int, spread: float = 1.0, classes: int = 3, dimensions: int = 5) -> Labelled:
    centres = np.random.default_rng(7).normal(size=(classes, dimensions))
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    features = centres[labels] + spread * random.normal(size=(count, dimensions))
    return Labelled(features.astype(np.float32), labels.astype(np.int32))


@pytest.mark.parametrize("strength", [1.0, 0.01])
def test_the_classifier_is_the_minimum_that_scipy_finds(strength):
    data = clusters(60, 0)
    x, y = data.features.astype(np.float64), data.labels
    kernel, bias = fit(data.features, data.labels, strength, (np.zeros((5, 3), np.float32), np.zeros(3, np.float32)))

    def objective(flat):
        w, b = flat[:15].reshape(5, 3), flat[15:]
        logits = x @ w + b
        losses = logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]
        return losses.mean() + 0.5 * strength * np.sum(w**2)

    found = minimize(objective, np.zeros(18), method="BFGS", options={"gtol": 1e-8})
    ours = objective(np.concatenate([np.ravel(kernel), np.ravel(bias)]).astype(np.float64))
    assert ours == pytest.approx(found.fun, abs=2e-6)
    np.testing.assert_allclose(kernel, found.x[:15].reshape(5, 3), atol=2e-3)


def test_the_regularization_is_the_one_that_the_validation_examples_prefer():
    """Twelve examples in sixty dimensions, of which one tells the classes apart: the weakest overfits."""
    random = np.random.default_rng(0)

    def data(count):
        labels = random.integers(0, 2, count)
        features = random.normal(size=(count, 60))
        features[:, 0] += 4 * (2 * labels - 1)
        return Labelled(features.astype(np.float32), labels.astype(np.int32))

    training, validation = data(12), data(400)
    chosen = probe(training, validation, 2)
    for strength in (1.0, 1e-5):
        alone = probe(training, validation, 2, [strength])
        assert alone.strength == strength and chosen.validation >= alone.validation
    assert chosen.validation == accuracy(chosen.classifier, validation)
    assert chosen.training == accuracy(chosen.classifier, training)


def test_the_scale_of_a_feature_and_one_that_never_changes_do_not_matter():
    training, validation = clusters(90, 1), clusters(90, 2)
    plain = probe(training, validation, 3, [0.01])
    stretch = np.array([1e-3, 1, 1e3, 1, 10], np.float32)

    def stretched(data):
        features = np.concatenate([data.features * stretch + 5, np.full((90, 1), 3.0)], 1)
        return Labelled(features.astype(np.float32), data.labels)

    other = probe(stretched(training), stretched(validation), 3, [0.01])
    assert other.validation == pytest.approx(plain.validation, abs=0.012)
    assert np.all(np.isfinite(other.classifier(stretched(validation).features)))


def test_separable_data_are_learned_and_logits_have_one_number_for_each_class():
    training, validation = clusters(200, 3, 0.05), clusters(50, 4, 0.05)
    found = probe(training, validation, 3)
    assert found.training == found.validation == 1.0
    assert found.classifier(validation.features).shape == (50, 3)
