"""Rows of the table: checkpoints and bundles."""

from __future__ import annotations

from barproof.audits.entry import Audit

ROWS = (
    Audit(
        "CKP-01",
        "Metric reproduction",
        "metric_reproduction",
        "checkpoints",
        "critical",
        "a stored and a recomputed metric",
        "The metric of the reloaded checkpoint on the stored validation rows is the one stored with it.",
        "A validation loss of 0.009572 came back as 0.030852, and no number of that model could be believed.",
        "A relative error above 1e-4 fails; 5e-3 in mixed precision or on another device.",
        "Case S000.",
        formula="`|recomputed - stored| / |stored|`",
        bad="metric_reproduction(0.009572, 0.030852)",
        good="metric_reproduction(0.009572, 0.0095721)",
    ),
    Audit(
        "CKP-02",
        "Target-configuration scenario search",
        "scenario_search",
        "checkpoints",
        "critical",
        "a stored metric, and the metric by each reading",
        "Which reading of the checkpoint (targets, shift, scaling, "
        "mode, reduction, feature order, precision) gives the "
        "stored metric.",
        "Two readings were tried, neither fitted, and the search "
        "stopped. Stopping at the first that fits blesses accidents.",
        "Exactly one passes; none fails, as does one that is not "
        "the declared; several are inconclusive. The chance of an "
        "accidental match, readings x 2 x tolerance, stands in the evidence.",
        "Case S000.",
        setup='readings = {"all 240": 0.0308, "20 of WLD": 0.0121, "20 of WLD, shift 1": 0.009572}',
        bad="scenario_search(0.0171, readings)",
        good="scenario_search(0.009572, readings)",
    ),
    Audit(
        "CKP-03",
        "Architecture accounting",
        "architecture",
        "checkpoints",
        "high",
        "shapes in the file and of the built model",
        "Strict load, the stated number of parameters, and a head as wide as there are targets.",
        "8,995,009 parameters leave room for 20 outputs and none "
        "for 240: an arithmetic that the diagnosis never did.",
        "Any missing, unknown or differently shaped parameter fails, as does another count or width.",
        "Case S000.",
        setup='built = {"fc.weight": (20, 256), "fc.bias": (20,)}',
        bad='architecture({"fc.weight": (240, 256), "fc.bias": (240,)}, built)',
        good='architecture(built, built, parameters=5_140, head="fc.weight", targets=20)',
    ),
    Audit(
        "CKP-04",
        "Train and validation sanity",
        "loss_pair",
        "checkpoints",
        "high",
        "train and validation loss",
        "The ratio of validation to train loss, and validation against the best constant.",
        "Train 0.130130 with validation 0.009572, 13.6 times lower, was called excellent.",
        "Validation below half of train warns: another reduction, "
        "target scale, or a leak. Validation at or above the best "
        "constant fails.",
        "Case S000.",
        bad="loss_pair(0.130130, 0.009572)",
        good="loss_pair(0.130, 0.141, constant=0.25)",
    ),
    Audit(
        "CKP-05",
        "Bundle manifest",
        "bundle_manifest",
        "checkpoints",
        "critical",
        "a bundle, or what it holds",
        "Weights come with scaler, ordered features, label rule and "
        "a self-test, and with horizon, thresholds, costs, data, "
        "split, versions, seed and metrics.",
        "Three of five systems could not be run again: no scaler, no feature list, no idea which data.",
        "Missing features, scaler, label or self-test fails; anything else missing warns.",
        "Cases S001, S002 and S004.",
        setup='held = {"features": ["rsi(14)"], "scaler": "buffers", "label": "horizon 6", "self_test": "8 rows"}\n'
        'names = "horizon thresholds calibrator costs data split code libraries seed metrics".split()\n'
        'more = dict.fromkeys(names, "told")',
        bad='bundle_manifest({"features": ["rsi(14)"], **more})',
        good="bundle_manifest({**held, **more})",
    ),
    Audit(
        "CKP-06",
        "Which model is running",
        "running_model",
        "checkpoints",
        "critical",
        "a log of decisions with model hashes",
        "The hash of the loaded weights, logged with each decision, is the one that the claim names.",
        "Four time stamps were candidates, and nobody could say which of them was live.",
        "Any decision by another model, or without a hash, fails.",
        "Case S004.",
        bad='running_model(["9f2c"] * 40 + ["17aa"] * 2, "9f2c")',
        good='running_model(["9f2c"] * 42, "9f2c")',
    ),
    Audit(
        "CKP-07",
        "Mode, dtype, device parity",
        "mode_parity",
        "checkpoints",
        "high",
        "predictions of the same rows in several modes",
        "Eval and train mode, single and half precision, CPU and "
        "GPU, one row and a batch give the same probabilities and "
        "decisions.",
        "Batch norm in train mode answers by the other rows of "
        "the batch, and half precision moves what stands near a "
        "threshold.",
        "Beyond 5e-3 for fp16 and gpu, or 1e-6 for anything else, "
        "fails, as does a decision that flips outside of that "
        "band. With dropout or batch norm (`stochastic=True`) train mode may differ.",
        "Case S000.",
        setup="p = np.linspace(0.1, 0.9, 100)",
        bad='mode_parity(p, {"fp16": p + 1e-3, "batch 1": p + 0.01})',
        good='mode_parity(p, {"fp16": p + 1e-3, "batch 1": p}, threshold=0.75)',
    ),
)
